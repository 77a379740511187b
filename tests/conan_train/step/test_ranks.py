"""Two gloo processes, DDP and FSDP2, against one graph over one text at a time."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conan_train.step import ranks
from tests.conan_train.step.cases import DIMS, KINDS, expected, make_embedder, make_texts

WAYS = ("together", "gradcache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    ranks.run(path)
    return path


def left(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """What the ranks were left with, after a look that it is the same on all."""
    first, *others = (load_file(folder / f"{name}-{rank}.safetensors") for rank in range(ranks.WORLD_SIZE))
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[key], other[key]) for key in first)
    return first


def difference(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    assert found.keys() == wanted.keys()
    return max(float((found[key] - wanted[key]).abs().max()) for key in wanted)


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_one_graph(folder: Path, kind: str, dims: str) -> None:
    wanted = expected(kind, dims)
    assert all(gradient.abs().max() > 1e-3 for gradient in wanted.gradients.values())
    for wrapper in ranks.WRAPPERS:
        for way in WAYS:
            found = left(folder, ranks.name_of(kind, dims, way, wrapper))
            torch.testing.assert_close(found.pop("loss"), wanted.loss, rtol=0, atol=1e-11)
            assert difference(found, wanted.gradients) < 1e-10, (wrapper, way)


@pytest.mark.parametrize("bug", ranks.PLANTED)
def test_a_planted_bug_shows(folder: Path, bug: str) -> None:
    wanted = expected("joined", "plain")
    for wrapper in ranks.WRAPPERS:
        found = left(folder, ranks.name_of("joined", bug, "together", wrapper))
        torch.testing.assert_close(found.pop("loss"), wanted.loss, rtol=0, atol=1e-11)
        assert difference(found, wanted.gradients) > 1e-2, wrapper


def test_fewer_texts_than_ranks(folder: Path) -> None:
    """One text three times: one rank repeats it, and that repeat has no gradient."""
    embedder = make_embedder()
    (tokens,) = make_texts(1, seed=5)
    loss = 3 * embedder(torch.tensor([tokens]), torch.ones(1, len(tokens)))[0, 0]
    loss.backward()
    wanted = {name: parameter.grad for name, parameter in embedder.named_parameters()}
    for wrapper in ranks.WRAPPERS:
        for way in WAYS:
            found = left(folder, ranks.name_of("one", "text", way, wrapper))
            torch.testing.assert_close(found.pop("loss"), loss.detach(), rtol=0, atol=1e-11)
            assert difference(found, wanted) < 1e-10
