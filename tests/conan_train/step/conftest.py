import pytest
import torch

from conan_train.model.embedder import Embedder
from tests.conan_train.step.cases import make_embedder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def embedder() -> Embedder:
    return make_embedder()
