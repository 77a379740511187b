"""Which form is taken, and the reasons of a refusal. CUDA is only named here, not used."""

import pytest
import torch
from transformers import LlamaConfig

from conan_data.errors import UserError
from conan_train.model.softmask import SoftMask
from conan_train.model.softmask.form import flash_obstacle, uses_flash
from conan_train.model.softmask.rows import VarlenRows

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def llama(**changed: object) -> LlamaConfig:
    return LlamaConfig(hidden_size=512, num_attention_heads=4, **changed)


@pytest.fixture(autouse=True)
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


def test_auto_takes_flash_where_it_can() -> None:
    def form(dtype: torch.dtype, device: torch.device, config: LlamaConfig, kv_length: int = 8) -> bool:
        return uses_flash("auto", config=config, dtype=dtype, device=device, q_length=8, kv_length=kv_length)

    assert form(torch.bfloat16, CUDA, llama()) and form(torch.float16, CUDA, llama())
    assert not form(torch.float32, CUDA, llama())
    assert not form(torch.bfloat16, CUDA, llama(head_dim=20))
    assert not form(torch.bfloat16, CUDA, llama(head_dim=264))
    assert not form(torch.bfloat16, CUDA, llama(attention_dropout=0.1))
    assert not form(torch.bfloat16, CUDA, llama(), kv_length=9)
    assert not form(torch.bfloat16, CPU, llama())


def test_autocast_is_what_counts_under_autocast() -> None:
    assert flash_obstacle(llama(), dtype=torch.float32, device=CUDA) is not None
    torch.set_autocast_enabled("cuda", True)
    try:
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        assert flash_obstacle(llama(), dtype=torch.float32, device=CUDA) is None
    finally:
        torch.set_autocast_enabled("cuda", False)


@pytest.mark.parametrize(
    ("config", "dtype", "device", "reason"),
    [
        (llama(), torch.float32, CUDA, "attention: flash needs bf16 or fp16, not float32; set attention"),
        (llama(head_dim=20), torch.bfloat16, CUDA, "multiple of 8 and at most 256, not 20"),
        (llama(attention_dropout=0.1), torch.bfloat16, CPU, "attention_dropout is 0.1"),
        (llama(v_head_dim=64), torch.bfloat16, CPU, "one head size, and the model has 64, 128"),
        (llama(), torch.bfloat16, torch.device("mps"), "not mps"),
    ],
)
def test_flash_says_why_it_cannot(
    config: LlamaConfig, dtype: torch.dtype, device: torch.device, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        uses_flash("flash", config=config, dtype=dtype, device=device, q_length=8, kv_length=8)


def test_an_older_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(UserError, match="Ampere GPU or a later one, not Tesla T4"):
        uses_flash("flash", config=llama(), dtype=torch.bfloat16, device=CUDA, q_length=8, kv_length=8)


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(UserError, match="auto, flash or dense, got 'fast'"):
        uses_flash("fast", config=llama(), dtype=torch.bfloat16, device=CPU, q_length=8, kv_length=8)


def test_flash_builds_nothing_quadratic_and_windows_that_cut_are_dense() -> None:
    soft = SoftMask(0.5, attention="flash")

    def build(length: int, window: int | None) -> object:
        return soft.build(
            batch_size=1, q_length=length, kv_length=length, local_size=window, config=llama(), device="cpu"
        )

    rows = build(1 << 20, None)  # a dense mask of this length is 4 TB
    assert isinstance(rows, VarlenRows)
    assert isinstance(build(8, 8), VarlenRows)
    assert isinstance(build(9, 8), torch.Tensor)
