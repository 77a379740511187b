"""Packed rows against buckets against texts one by one, in both forms of attention."""

import pytest
import torch
from transformers import LlamaModel, MistralConfig, MistralModel

from conan_data.errors import UserError
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.pooling import skip_first
from conan_train.model.softmask import AttentionForm
from conan_train.model.tokenization import pack_tokens, pad_tokens

TEXTS = [[5, 9, 3], [7], [11, 2, 30, 8, 21, 4], [6, 6], [39, 17, 1, 25, 13, 12, 33, 2]]


def gradient(embedder: Embedder, vectors_ND: torch.Tensor) -> torch.Tensor:
    direction = torch.randn(vectors_ND.shape, generator=torch.Generator().manual_seed(2))
    embedder.zero_grad()
    (vectors_ND * direction).sum().backward()
    return torch.cat([parameter.grad.flatten() for parameter in embedder.parameters()])


@pytest.mark.parametrize("attention", ["dense", "flash"])
@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3, 0.8, 1.0])
def test_packed_is_bucketed_is_one_by_one(llama: LlamaModel, alpha: float, attention: AttentionForm) -> None:
    embedder = Embedder(llama, EncodingContract(), alpha=alpha, attention=attention)
    ids, lengths = pack_tokens(TEXTS, device="cpu")
    packed = embedder(ids, lengths=lengths)
    padded = embedder(*pad_tokens(TEXTS, pad_id=0, device="cpu"))
    single = torch.cat([embedder(*pad_tokens([text], pad_id=0, device="cpu")) for text in TEXTS])
    gradients = [gradient(embedder, vectors) for vectors in (packed, padded, single)]
    assert packed.shape == (5, 32) and gradients[0].abs().max() > 1e-2
    for vectors, gradient_of in zip((padded, single), gradients[1:], strict=True):
        torch.testing.assert_close(packed, vectors, rtol=0, atol=1e-6)
        torch.testing.assert_close(gradients[0], gradient_of, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_pool_mask_of_a_packed_row(llama: LlamaModel) -> None:
    """Without the first token (a prompt); a text of one token is then the zero vector."""
    embedder = Embedder(llama, EncodingContract(), alpha=0.4)
    padded_ids, mask = pad_tokens(TEXTS, pad_id=0, device="cpu")
    expected = embedder(padded_ids, mask, skip_first(mask, 1))
    ids, lengths = pack_tokens(TEXTS, device="cpu")
    kept = torch.tensor([[place > 0 for text in TEXTS for place in range(len(text))]])
    vectors = embedder(ids, None, kept, lengths=lengths)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    assert vectors[1].abs().max() == 0.0


@pytest.mark.parametrize("attention", ["dense", "flash"])
@torch.no_grad()
def test_no_text_sees_another(llama: LlamaModel, attention: AttentionForm) -> None:
    embedder = Embedder(llama, EncodingContract(), alpha=0.6, attention=attention)
    before = embedder(pack_tokens(TEXTS, device="cpu")[0], lengths=tuple(map(len, TEXTS)))
    changed = [*TEXTS[:2], [35, *TEXTS[2][1:]], *TEXTS[3:]]
    after = embedder(*(pack_tokens(changed, device="cpu")[:1]), lengths=tuple(map(len, TEXTS)))
    moved = (after - before).abs().amax(-1)
    assert moved[2] > 1e-3 and moved[[0, 1, 3, 4]].max() == 0.0
    # what follows a packed row is not taken for one
    single = embedder(*pad_tokens([TEXTS[0]], pad_id=0, device="cpu"))
    torch.testing.assert_close(single[0], before[0], rtol=0, atol=1e-6)


def test_a_window_that_cuts_a_packed_text_is_refused() -> None:
    config = MistralConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=6,
    )
    torch.manual_seed(0)
    embedder = Embedder(MistralModel(config).eval(), EncodingContract(), alpha=0.5)
    ids, lengths = pack_tokens(TEXTS[:4], device="cpu")
    padded = embedder(*pad_tokens(TEXTS[:4], pad_id=0, device="cpu"))
    torch.testing.assert_close(embedder(ids, lengths=lengths), padded, rtol=0, atol=1e-6)
    ids, lengths = pack_tokens(TEXTS, device="cpu")
    with pytest.raises(UserError, match="window of 6"):
        embedder(ids, lengths=lengths)
