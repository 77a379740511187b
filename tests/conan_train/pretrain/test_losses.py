"""Cross-entropy, z-loss and losses by group against a loop in float64; a compiled model gives the same."""

import math
import shutil

import numpy as np
import pytest
import torch

from conan_train.pretrain.borders import check_borders
from conan_train.pretrain.losses import GroupedLoss, batch_losses, means
from conan_train.pretrain.packing import Batch
from tests.conan_train.pretrain.test_borders import llama, rows_of


def some_batch() -> Batch:
    rows, _, _ = rows_of([5, 1, 9, 13, 2, 30, 7, 20, 9], 24)
    return rows.batch(0, rows.per_epoch)


def test_z_loss_by_hand() -> None:
    model, batch, cpu = llama(), some_batch(), torch.device("cpu")
    losses = batch_losses(model, batch, cpu, z_loss=1e-2)
    with torch.no_grad():
        logits = model(
            torch.from_numpy(batch.ids), position_ids=torch.from_numpy(batch.positions), use_cache=False
        ).logits.double()
    entropy = penalty = 0.0
    for row, labels in zip(logits, batch.labels, strict=True):
        for scores, label in zip(row.tolist(), labels.tolist(), strict=True):
            if label >= 0:
                log_z = math.log(sum(math.exp(score) for score in scores))
                entropy += log_z - scores[label]
                penalty += 1e-2 * log_z**2
    assert float(losses.cross_entropy_BL.sum()) == pytest.approx(entropy, rel=1e-5)
    assert float(losses.z_loss) == pytest.approx(penalty, rel=1e-5) and penalty > 1
    assert float(losses.total.detach()) == pytest.approx(entropy + penalty, rel=1e-5)
    losses.total.backward()
    with_penalty = model.lm_head.weight.grad.clone()
    model.zero_grad()
    batch_losses(model, batch, cpu).total.backward()
    assert (with_penalty - model.lm_head.weight.grad).abs().max() > 1e-3


def test_losses_by_group() -> None:
    model, batch, cpu = llama(), some_batch(), torch.device("cpu")
    group_of = np.array([0, 1, 1, 2, 0, 2, 0, 1, 1])
    grouped = GroupedLoss(group_of, 4, cpu)
    found = batch_losses(model, batch, cpu).cross_entropy_BL
    grouped.add(batch, found)
    grouped.add(batch, found)
    expected: dict[int, list[float]] = {}
    for losses, labels, documents in zip(found.tolist(), batch.labels, batch.documents, strict=True):
        for loss, label, document in zip(losses, labels, documents, strict=True):
            if label >= 0:
                expected.setdefault(int(group_of[document]), []).append(loss)
    result = means(grouped.sums, ["a", "b", "c", "none"])
    assert set(result) == {"a", "b", "c"}
    for group, name in enumerate("abc"):
        assert result[name] == pytest.approx(np.mean(expected[group]), rel=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_model_gives_the_same() -> None:
    batch, cpu = some_batch(), torch.device("cpu")
    gradients, values = [], []
    for compiled in (False, True):
        model = llama()
        check_borders(model)
        run = torch.compile(model) if compiled else model
        losses = batch_losses(run, batch, cpu, z_loss=1e-3)
        losses.total.backward()
        values.append(float(losses.total.detach()))
        gradients.append(model.model.layers[0].mlp.up_proj.weight.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)
