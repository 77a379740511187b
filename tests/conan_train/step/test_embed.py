"""The pass in one process: against one text at a time, GradCache with dropout, and planted bugs."""

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from conan_train.device import make_accelerator
from conan_train.losses.temperature import Temperature
from conan_train.model.embedder import Embedder
from conan_train.model.softmask import packed_bias, packed_positions
from conan_train.step import embed
from conan_train.step.embed import embed_and_backward, plan_texts
from conan_train.step.task import take_step
from tests.conan_train.step.cases import (
    BUDGET,
    DIMS,
    KINDS,
    Outcome,
    expected,
    gradients_of,
    make_embedder,
    make_tasks,
    weights_of,
)

TEXTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [5, 6, 7], [15, 16], [17, 18, 19, 20], [8], [6, 7, 5]]


def step(
    kind: str = "joined",
    dims: str = "plain",
    *,
    budget: int = BUDGET,
    grad_cache: bool = False,
    embedder: Embedder | None = None,
) -> Outcome:
    embedder = embedder or make_embedder()
    temperature = Temperature(0.1).double()
    result = take_step(
        embedder,
        make_tasks(kind, dims, temperature()),
        accelerator=make_accelerator("cpu", "no"),
        budget=budget,
        weights=weights_of(kind),
        grad_cache=grad_cache,
    )
    return Outcome(result.loss, gradients_of(embedder, temperature))


def difference(found: Outcome, wanted: Outcome) -> float:
    assert found.gradients.keys() == wanted.gradients.keys()
    return max(
        float((found.gradients[name] - wanted.gradients[name]).abs().max()) for name in wanted.gradients
    )


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_one_text_at_a_time(kind: str, dims: str) -> None:
    wanted = expected(kind, dims)
    assert all(gradient.abs().max() > 1e-3 for gradient in wanted.gradients.values())
    for budget in (1, BUDGET, 10_000):
        for grad_cache in (False, True):
            found = step(kind, dims, budget=budget, grad_cache=grad_cache)
            torch.testing.assert_close(found.loss, wanted.loss, rtol=0, atol=1e-11)
            assert difference(found, wanted) < 1e-10, (budget, grad_cache)


def test_packed_rows_are_the_same_vectors() -> None:
    """All texts in one row, block-diagonal: what buckets give, in value and gradient."""
    packed, bucketed = make_embedder(), make_embedder()
    weight_ND = torch.randn(8, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    done = embed_and_backward(
        bucketed,
        TEXTS,
        lambda vectors_ND: ((vectors_ND * weight_ND).sum(), None),
        accelerator=make_accelerator("cpu", "no"),
        budget=8,
    )
    segment_1L = torch.tensor([[text for text, tokens in enumerate(TEXTS) for _ in tokens]])
    states = packed.backbone(
        input_ids=torch.tensor([[token for tokens in TEXTS for token in tokens]]),
        attention_mask=packed_bias(segment_1L, packed.mask.alpha, torch.float64),
        position_ids=packed_positions(segment_1L),
        use_cache=False,
    ).last_hidden_state[0]
    vectors_ND = torch.stack([states[segment_1L[0] == text].mean(0) for text in range(8)])
    vectors_ND = torch.nn.functional.normalize(vectors_ND, dim=-1)
    (vectors_ND * weight_ND).sum().backward()
    torch.testing.assert_close(done.vectors, vectors_ND.detach(), rtol=0, atol=1e-12)
    for left, right in zip(bucketed.parameters(), packed.parameters(), strict=True):
        assert right.grad.abs().max() > 1e-3
        torch.testing.assert_close(left.grad, right.grad, rtol=0, atol=1e-11)


def test_dropout_is_the_same_in_both_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(grad_cache: bool) -> tuple[Outcome, float]:
        embedder = make_embedder(dropout=0.5).train()
        torch.manual_seed(3)
        return step(embedder=embedder, grad_cache=grad_cache), torch.rand(()).item()

    (plain, next_plain), (cached, next_cached) = dropped(False), dropped(True)
    assert difference(plain, expected("joined", "plain")) > 1e-2  # dropout does something
    assert difference(cached, plain) < 1e-10
    assert next_cached == next_plain
    monkeypatch.setattr(embed, "_random_state_of", lambda *_: contextlib.nullcontext())
    assert difference(dropped(True)[0], plain) > 1e-2


def padded_wrongly(right: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Callable[..., object]:
    def pad(*args: object, **kwargs: object) -> tuple[torch.Tensor, torch.Tensor]:
        ids_BL, mask_BL = right(*args, **kwargs)
        return ids_BL, mask_BL.flip(1)

    return pad


def test_planted_bugs_show(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = expected("joined", "plain")
    assert difference(step(embedder=make_embedder(alpha=0.0)), wanted) > 1e-2  # causal left on
    monkeypatch.setattr(embed, "pad_tokens", padded_wrongly(embed.pad_tokens))
    assert difference(step(), wanted) > 1e-2  # the mask of texts that are padded on the other side


@pytest.mark.parametrize("world_size", [1, 2, 3, 9])
@pytest.mark.parametrize("budget", [1, 8, 1000])
def test_every_text_finds_its_row(budget: int, world_size: int) -> None:
    plan = plan_texts(TEXTS, budget=budget, world_size=world_size)
    assert len(plan.distinct) == 6
    rows: list[list[int] | None] = []
    for own in plan.buckets:
        sent = [plan.distinct[place].tolist() for bucket in own for place in bucket]
        rows += [*sent, *[None] * (plan.num_rows - len(sent))]
    assert [rows[row] for row in plan.row_N] == TEXTS
    assert len(set(plan.row_N.tolist())) == 6
    assert len({len(own) for own in plan.buckets}) == 1


def test_token_lists_may_be_arrays() -> None:
    plans = [
        plan_texts(texts, budget=8, world_size=2)
        for texts in (TEXTS, [np.array(tokens, dtype=np.int32) for tokens in TEXTS])
    ]
    assert np.array_equal(plans[0].row_N, plans[1].row_N)


def test_low_precision_ends_before_the_loss() -> None:
    """Under bf16 autocast the model rounds, the loss does not."""
    seen = []

    def loss_of(vectors_ND: torch.Tensor) -> tuple[torch.Tensor, None]:
        seen.append(((vectors_ND @ vectors_ND.T).dtype, vectors_ND.detach()))
        return vectors_ND[:, 0].sum(), None

    for precision in ("no", "bf16"):
        embedder = Embedder(make_embedder().backbone.float(), make_embedder().contract, alpha=0.4)
        embed_and_backward(embedder, TEXTS, loss_of, accelerator=make_accelerator("cpu", precision), budget=8)
    (dtype, full), (dtype_bf16, rounded) = seen
    assert dtype == dtype_bf16 == torch.float32
    assert 1e-4 < (full - rounded).abs().max() < 0.1


class Scaling:
    """An accelerator with fp16's gradient scale."""

    num_processes, process_index = 1, 0
    scale = 2.0**10

    def backward(self, loss: torch.Tensor) -> None:
        (loss * self.scale).backward()

    def autocast(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


@pytest.mark.parametrize("grad_cache", [False, True])
def test_the_scale_of_fp16_enters_once(grad_cache: bool) -> None:
    wanted = expected("joined", "plain")
    embedder, temperature = make_embedder(), Temperature(0.1).double()
    take_step(
        embedder,
        make_tasks("joined", "plain", temperature()),
        accelerator=Scaling(),
        budget=BUDGET,
        weights=weights_of("joined"),
        grad_cache=grad_cache,
    )
    for name, gradient in gradients_of(embedder, temperature).items():
        torch.testing.assert_close(gradient / Scaling.scale, wanted.gradients[name], rtol=0, atol=1e-10)
