import numpy as np
import pytest
import torch

from conan_train.device import make_accelerator
from conan_train.model.embedder import Embedder
from conan_train.step.sts import Sts, StsBatch, StsLoss
from conan_train.step.task import numbers, take_step
from tests.conan_train.step.cases import make_tasks


def test_each_task_keeps_its_own_by_products(embedder: Embedder) -> None:
    tasks = make_tasks("joined", "mrl", torch.tensor(0.1))
    accelerator = make_accelerator("cpu", "no")
    joined = take_step(embedder, tasks, accelerator=accelerator, budget=24, weights=[1.0, 0.8])
    alone = [take_step(embedder, [task], accelerator=accelerator, budget=24) for task in tasks]
    torch.testing.assert_close(joined.loss, alone[0].loss + 0.8 * alone[1].loss)
    for result, own in zip(joined.tasks, alone, strict=True):
        assert not result.loss.requires_grad
        torch.testing.assert_close(result.loss, own.tasks[0].loss)
        for name, (total, count) in numbers(result.sums).items():
            assert (total, count) == (pytest.approx(numbers(own.tasks[0].sums)[name][0]), count)
    torch.testing.assert_close(joined.vectors, torch.cat([own.vectors for own in alone]))


def test_sts_scores_are_the_cosines_of_its_pairs(embedder: Embedder) -> None:
    left, right = [[5, 6, 2], [7, 2], [8, 9, 2]], [[5, 6, 2], [30, 31, 2], [12, 2]]
    task = Sts(
        batch=StsBatch(left_tokens=left, right_tokens=right, gold=np.array([1.0, 2.0, 2.0])), temperature=0.1
    )
    result = take_step(embedder, [task], accelerator=make_accelerator("cpu", "no"), budget=100).tasks[0]
    assert isinstance(result, StsLoss)

    def embed(tokens: list[int]) -> torch.Tensor:
        return embedder(torch.tensor([tokens]), torch.ones(1, len(tokens)))[0]

    with torch.no_grad():
        wanted = torch.stack([embed(a) @ embed(b) for a, b in zip(left, right)])
    torch.testing.assert_close(result.scores, wanted)
    sums = numbers(result.sums)
    # Pair 0, of two equal texts, is ahead of both others and should be behind: none of the two orders is right.
    assert sums["order"] == (0, 2) and sums["score"] == (pytest.approx(float(wanted.sum())), 3)
