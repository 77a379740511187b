import pytest
import torch
from transformers import LlamaModel, NemotronConfig, NemotronModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from conan_data.errors import UserError
from conan_train.model.directions import check_bidirectional, check_directions
from conan_train.model.softmask import handle, install


def test_accepts_a_soft_mask_and_puts_things_back(llama: LlamaModel) -> None:
    mask = install(llama.train(), alpha=0.3)
    check_directions(llama, mask)
    assert mask.alpha == 0.3 and llama.training


def test_names_a_causal_model(llama: LlamaModel) -> None:
    with pytest.raises(UserError, match=r"LlamaModel: is causal \(unpadded"):
        check_bidirectional(llama)
    llama.config.is_causal = False
    check_bidirectional(llama)


def test_finds_a_family_that_drops_the_switch() -> None:
    torch.manual_seed(0)
    config = NemotronConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    config.is_causal = False
    with pytest.raises(UserError, match="NemotronModel"):
        check_bidirectional(NemotronModel(config).eval())


def test_finds_a_mask_that_does_not_arrive(llama: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention that ignores the mask sees everything, so alpha 0 is not causal."""

    def maskless(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: object,
        **kwargs: object,
    ) -> object:
        return sdpa_attention_forward(module, query, key, value, None, **{**kwargs, "is_causal": False})

    monkeypatch.setattr(handle, "_attend", maskless)
    with pytest.raises(UserError, match="not causal at alpha 0"):
        check_directions(llama, install(llama, alpha=0.5))


@pytest.mark.parametrize(("causal", "message"), [(True, "is causal"), (False, "not causal at alpha 0")])
def test_finds_a_flash_call_that_looks_one_way_only(
    llama: LlamaModel, monkeypatch: pytest.MonkeyPatch, causal: bool, message: str
) -> None:
    check_directions(llama, install(llama, alpha=0.5, attention="flash"))
    stock = handle.varlen_attention

    def one_way(*tensors: torch.Tensor, scale: float) -> torch.Tensor:
        *inputs, rows = tensors
        rows.causal = causal
        return stock(*inputs, rows, scale=scale)

    monkeypatch.setattr(handle, "varlen_attention", one_way)
    with pytest.raises(UserError, match=message):
        check_directions(llama, install(llama, alpha=0.5, attention="flash"))
