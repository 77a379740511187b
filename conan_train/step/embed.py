"""All texts of a step through the model and the gradient of their loss back, on any number of ranks, exactly.

A loss over a whole batch couples every text with every other. Spread over ranks and forwards it goes silently
wrong in many ways: negatives that other ranks cannot see, gradients averaged where they should be summed, a
dropout that differs between the two passes of GradCache, a rank that waits for ever for a forward that
another does not make. Here the texts of the *global* batch are known on all ranks, and one cut does it all:

1. distinct texts are dealt to ranks in buckets, a pure function of the texts (`rank_buckets`);
2. each rank embeds its buckets: with graph, or without one (GradCache);
3. the vectors of all ranks are gathered, without graph, into one leaf of float32;
4. every rank computes the same whole loss over that leaf, and its gradient there;
5. each rank sends the gradient of its own rows back: through the graph it kept, or through its buckets
   computed again one at a time, which needs the memory of one bucket, whatever the batch size.

Data parallel wrappers average the gradients of ranks, the joined batch sums them: hence times world size in
5. Parameters of the loss itself (a learned temperature) are not wrapped: they get the whole gradient in 4,
equal on all ranks. The scale of fp16 enters once, in 4, and so reaches both. What is left in `.grad` is what
one process would have computed in one graph over the whole batch.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator

from conan_train.model.embedder import Embedder, unwrapped
from conan_train.model.tokenization import pad_tokens
from conan_train.step.buckets import rank_buckets
from conan_train.step.lookup import looked_up_once
from conan_train.training.parallel import held

# N texts of the global batch, U distinct ones, R rows that a rank sends (equal on all), W ranks, D dim

T = TypeVar("T")
Tokens = Sequence[int] | np.ndarray
Padded = tuple[torch.Tensor, torch.Tensor]
"""Ids and mask, int64 [B, L]."""


@dataclass(frozen=True, kw_only=True)
class Embedded(Generic[T]):
    """What a pass leaves besides gradients; all of it equal on all ranks, detached."""

    loss: torch.Tensor
    """Scalar."""
    extra: T
    """What `loss_of` gave besides the loss."""
    vectors: torch.Tensor
    """[N, D], in the order of the texts."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which rank embeds what, and where a text's vector lies after gathering."""

    distinct: list[np.ndarray]
    """U arrays of token ids."""
    buckets: list[list[np.ndarray]]
    """Of each rank: places in `distinct`."""
    row_N: np.ndarray
    """int64 [N] in [0, W * num_rows): rank r's rows begin at r * num_rows, in the order of its buckets."""
    num_rows: int
    """R: those of the rank with most texts; the others send empty rows at the end."""


def plan_texts(token_lists: Sequence[Tokens], *, budget: int, world_size: int) -> Plan:
    """A pure function of its arguments, so that ranks need not talk about it."""
    assert len(token_lists), "no texts to embed"
    place_of: dict[bytes, int] = {}
    distinct: list[np.ndarray] = []
    place_N = np.empty(len(token_lists), dtype=np.int64)
    for text, tokens in enumerate(token_lists):
        array = np.asarray(tokens, dtype=np.int64)
        place_N[text] = place_of.setdefault(array.tobytes(), len(distinct))
        if place_N[text] == len(distinct):
            distinct.append(array)
    buckets = rank_buckets([len(tokens) for tokens in distinct], budget=budget, world_size=world_size)
    sent = [np.concatenate(own) for own in buckets]
    num_rows = max(map(len, sent))
    row_U = np.empty(len(distinct), dtype=np.int64)
    for rank in reversed(range(world_size)):
        # Last to first, so that of a repeated text the first row stays; no loss ever sees the other.
        row_U[sent[rank][::-1]] = (rank * num_rows + np.arange(len(sent[rank])))[::-1]
    return Plan(distinct=distinct, buckets=buckets, row_N=row_U[place_N], num_rows=num_rows)


def embed_and_backward(
    model: torch.nn.Module,
    token_lists: Sequence[Tokens],
    loss_of: Callable[[torch.Tensor], tuple[torch.Tensor, T]],
    *,
    accelerator: Accelerator,
    budget: int,
    grad_cache: bool = False,
) -> Embedded[T]:
    """Adds the gradient of `loss_of(vectors_ND)` to `.grad` of the model's parameters and of those of the loss.

    `model` is an `Embedder`, alone or under DDP or FSDP2. `token_lists` are the texts of the *global* batch,
    the same on all ranks; `loss_of` must be the same pure function on all ranks, takes their unit vectors
    [N, D] in that order (float32 or wider, outside of autocast), and returns the loss and by-products.
    `budget` is the padded tokens of one forward.
    """
    embedder = unwrapped(model)
    plan = plan_texts(token_lists, budget=budget, world_size=accelerator.num_processes)
    own = plan.buckets[accelerator.process_index]
    batches = [_padded(embedder, plan, bucket) for bucket in own]
    random_states: list[list[torch.Tensor]] = []
    # One autocast for all buckets: they share its low-precision copies of the weights, which a graph keeps.
    if grad_cache:
        with torch.no_grad(), accelerator.autocast():
            parts = []
            for batch in batches[:-1]:
                random_states.append(_random_state(embedder.device))
                with held(model, hold=True):
                    parts.append(model(*batch))
        # The last one keeps its graph: that is the memory of one bucket, and a forward less.
        with held(model, hold=len(own) > 1), accelerator.autocast():
            parts.append(model(*batches[-1]))
    else:
        with _one_lookup(embedder, batches, accelerator), accelerator.autocast():
            parts = []
            for place, batch in enumerate(batches):
                with held(model, hold=place < len(own) - 1):
                    parts.append(model(*batch))
    leaf_RD = _gathered([part.detach() for part in parts], plan.num_rows, accelerator).requires_grad_()
    row_N = torch.from_numpy(plan.row_N).to(leaf_RD.device)
    with torch.autocast(leaf_RD.device.type, enabled=False):
        vectors_ND = leaf_RD.index_select(0, row_N)
        loss, extra = loss_of(vectors_ND)
    accelerator.backward(loss)
    assert leaf_RD.grad is not None, "the loss does not depend on the vectors"
    gradients = _own_gradients(leaf_RD.grad, plan, accelerator)
    if grad_cache:
        with held(model, hold=len(own) > 1):
            torch.autograd.backward(parts.pop(), gradients.pop())
        for place, (batch, state, gradient) in enumerate(zip(batches, random_states, gradients)):
            with held(model, hold=place < len(own) - 2), _random_state_of(state, embedder.device):
                with accelerator.autocast():
                    part = model(*batch)
                torch.autograd.backward(part, gradient)
    else:
        # One backward for all: DDP counts a parameter as ready the first time that its gradient arrives.
        torch.autograd.backward(parts, gradients)
    return Embedded(loss=loss.detach(), extra=extra, vectors=vectors_ND.detach())


def _padded(embedder: Embedder, plan: Plan, bucket: np.ndarray) -> Padded:
    return pad_tokens(
        [plan.distinct[place] for place in bucket], pad_id=embedder.pad_id, device=embedder.device
    )


def _one_lookup(
    embedder: Embedder, batches: list[Padded], accelerator: Accelerator
) -> contextlib.AbstractContextManager[None]:
    """Nothing on several ranks, where a wrapper must see all use of a parameter, nor for a table that is not
    trained.
    """
    embedding = embedder.backbone.get_input_embeddings()
    if accelerator.num_processes > 1 or not any(item.requires_grad for item in embedding.parameters()):
        return contextlib.nullcontext()
    return looked_up_once(embedding, [ids_BL for ids_BL, _ in batches])


def _gathered(parts: list[torch.Tensor], num_rows: int, accelerator: Accelerator) -> torch.Tensor:
    """Rows of all ranks, [W * R, D]; zeros where a rank has fewer."""
    own = torch.cat(parts)
    own = own.to(torch.promote_types(own.dtype, torch.float32))
    if accelerator.num_processes == 1:
        return own
    own = torch.nn.functional.pad(own, (0, 0, 0, num_rows - len(own)))
    gathered = own.new_empty(accelerator.num_processes * num_rows, own.shape[1])
    dist.all_gather(list(gathered.chunk(accelerator.num_processes)), own)
    return gathered


def _own_gradients(grad_RD: torch.Tensor, plan: Plan, accelerator: Accelerator) -> list[torch.Tensor]:
    """The gradient of each own bucket's vectors, made ready for a wrapper that averages over ranks."""
    sizes = [len(bucket) for bucket in plan.buckets[accelerator.process_index]]
    first = accelerator.process_index * plan.num_rows
    own = grad_RD[first : first + sum(sizes)] * accelerator.num_processes
    return list(own.split(sizes))


def _random_state(device: torch.device) -> list[torch.Tensor]:
    """Of the generators that a dropout on `device` draws from."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


@contextlib.contextmanager
def _random_state_of(states: list[torch.Tensor], device: torch.device) -> Iterator[None]:
    """The generators as they were; afterwards as they are now, so that GradCache draws as often as a plain
    pass.
    """
    now = _random_state(device)
    _set_random_state(states, device)
    try:
        yield
    finally:
        _set_random_state(now, device)


def _set_random_state(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1], device)
