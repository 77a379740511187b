"""Steps to take in every way, and what each must leave: computed one text at a time, in one graph, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlamaConfig, LlamaModel

from conan_train.losses.cosent import cosent
from conan_train.losses.infonce import infonce_over
from conan_train.losses.temperature import Temperature
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.step.contrastive import NO_NEGATIVE, Contrastive, QueryBatch
from conan_train.step.sts import Sts, StsBatch
from conan_train.step.task import Task

WIDTH, BUDGET = 16, 24
WEIGHTS = {"infonce": 1.0, "cosent": 0.8}
DIMS = {"plain": (), "mrl": (4, 8, 16)}
DIM_WEIGHTS = (0.5, 1.0, 2.0)
KINDS = ("infonce", "cosent", "joined")


def make_embedder(*, alpha: float = 0.4, dropout: float = 0.0) -> Embedder:
    """A tiny Llama in float64 throughout (the norms of transformers compute in float32), with weights large
    enough to matter.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
        attention_dropout=dropout,
    )
    config.initializer_range = 0.2
    model = LlamaModel(config)
    for layer in model.layers:
        layer.input_layernorm = torch.nn.RMSNorm(WIDTH, 1e-6)
        layer.post_attention_layernorm = torch.nn.RMSNorm(WIDTH, 1e-6)
    model.norm = torch.nn.RMSNorm(WIDTH, 1e-6)
    return Embedder(model.double(), EncodingContract(), alpha=alpha)


def make_texts(num: int, *, seed: int) -> list[list[int]]:
    """Of 2 to 12 tokens."""
    random = np.random.default_rng(seed)
    return [[*random.integers(3, 50, size=random.integers(1, 12)).tolist(), 2] for _ in range(num)]


def make_tasks(kind: str, dims: str, temperature: torch.Tensor) -> list[Task]:
    """An odd number of texts of unequal lengths, one of them in both tasks."""
    tasks: dict[str, Task] = {}
    queries, documents = make_texts(5, seed=1), make_texts(12, seed=2)
    negatives = np.array([[5, 6], [7, 0], [8, 9], [10, 11], [6, NO_NEGATIVE]])
    tasks["infonce"] = Contrastive(
        batch=QueryBatch(
            query_tokens=queries,
            document_tokens=documents,
            document_rows=np.arange(12),
            document_groups=np.array([7, 7, *range(100, 110)]),
            positives=np.arange(5),
            negatives=negatives,
            known_rows=[[0], [1], [2, 3], [3], [4]],
            known_groups=[[7], [7], [], [], []],
        ),
        temperature=temperature,
        dims=DIMS[dims],
        dim_weights=DIM_WEIGHTS if DIMS[dims] else None,
    )
    tasks["cosent"] = Sts(
        batch=StsBatch(
            left_tokens=[*make_texts(5, seed=3), queries[0]],
            right_tokens=make_texts(6, seed=4),
            gold=np.array([0.1, 5, 3, 3, 2, 4.5]),
        ),
        temperature=temperature,
        dims=DIMS[dims],
        dim_weights=DIM_WEIGHTS if DIMS[dims] else None,
    )
    return list(tasks.values()) if kind == "joined" else [tasks[kind]]


@dataclass
class Outcome:
    """What a step leaves."""

    loss: torch.Tensor
    gradients: dict[str, torch.Tensor]


def gradients_of(embedder: Embedder, temperature: Temperature) -> dict[str, torch.Tensor]:
    return {
        name: parameter.grad
        for name, parameter in [
            *embedder.named_parameters(),
            ("temperature", temperature.log_value),
        ]
        if parameter.grad is not None
    }


def expected(kind: str, dims: str) -> Outcome:
    """One text a forward, one graph, the losses put together by hand."""
    embedder, temperature = make_embedder(), Temperature(0.1).double()

    def embed(tokens: list[int]) -> torch.Tensor:
        return embedder(torch.tensor([tokens]), torch.ones(1, len(tokens)))[0]

    def weighted(loss_of: Callable[[int], torch.Tensor]) -> torch.Tensor:
        if dims == "plain":
            return loss_of(WIDTH)
        return sum(weight * loss_of(dim) for weight, dim in zip(DIM_WEIGHTS, DIMS[dims], strict=True))

    def infonce_loss(task: Contrastive) -> torch.Tensor:
        vectors = torch.stack([embed(tokens) for tokens in task.token_lists])
        excluded = torch.zeros(5, 12, dtype=torch.bool)
        excluded[0, 1] = excluded[1, 0] = excluded[2, 3] = True
        return weighted(
            lambda dim: (
                infonce_over(
                    vectors[:5, :dim],
                    vectors[5:, :dim],
                    torch.arange(5),
                    temperature=temperature(),
                    excluded_BC=excluded,
                ).loss
            )
        )

    def cosent_loss(task: Sts) -> torch.Tensor:
        vectors = torch.stack([embed(tokens) for tokens in task.token_lists])
        gold = torch.tensor(task.batch.gold)
        return weighted(
            lambda dim: cosent(vectors[:6, :dim], vectors[6:, :dim], gold, temperature=temperature()).loss
        )

    tasks = make_tasks(kind, dims, temperature())
    parts = [infonce_loss(task) if isinstance(task, Contrastive) else cosent_loss(task) for task in tasks]
    factors = list(WEIGHTS.values()) if kind == "joined" else [1.0]
    loss = sum(factor * part for factor, part in zip(factors, parts, strict=True))
    loss.backward()
    return Outcome(loss.detach(), gradients_of(embedder, temperature))


def weights_of(kind: str) -> list[float] | None:
    return list(WEIGHTS.values()) if kind == "joined" else None
