from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaModel, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder
from conan_train.model import encoder_batches
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder, fingerprint, load_checkpoint

CONTRACT = EncodingContract(max_length=8, query_prompt="w30 w31 ", document_prompt="")
TEXTS = ["w1 w2 w3 w4 w5 w6 w7 w8 w9", "w1", "", "w4 w5", "w9 w8 w7 w6 w5 w4", "w1"]


@pytest.fixture
def embedder(llama: LlamaModel) -> Embedder:
    return Embedder(llama, CONTRACT, alpha=0.6)


def test_equals_one_text_at_a_time(embedder: Embedder, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder: Encoder = CheckpointEncoder(embedder, tokenizer, batch_tokens=17)
    for kind, prompt in (("query", [33, 34]), ("document", [])):
        vectors = encoder.encode(TEXTS, kind=kind)
        assert vectors.dtype == np.float32 and vectors.shape == (6, 32)
        for text, vector in zip(TEXTS, vectors, strict=True):
            words = [int(word[1:]) + 3 for word in text.split()]
            ids = torch.tensor([[*[*prompt, *words][:7], 2]])
            alone = embedder(ids, torch.ones_like(ids))[0].detach().numpy()
            np.testing.assert_allclose(vector, alone, atol=2e-6)
    assert encoder.encode([], kind="query").shape == (0, 32)


def test_leaves_the_model_as_it_was(llama: LlamaModel, tokenizer: PreTrainedTokenizerFast) -> None:
    llama.config.attention_dropout = 0.5
    for layer in llama.layers:
        layer.self_attn.attention_dropout = 0.5
    embedder = Embedder(llama, CONTRACT).train()
    encoder = CheckpointEncoder(embedder, tokenizer)
    assert np.array_equal(encoder.encode(TEXTS, kind="query"), encoder.encode(TEXTS, kind="query"))
    assert embedder.training and llama.training and llama.layers[0].training


def test_the_fingerprint_covers_what_a_vector_depends_on(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def now(max_length: int = 8) -> str:
        return fingerprint(embedder, tokenizer, max_length=max_length)

    embedder.save(tmp_path, tokenizer=tokenizer)
    first = now()
    assert (
        load_checkpoint(tmp_path, device="cpu").fingerprint
        == CheckpointEncoder(embedder, tokenizer).fingerprint
        == first
    )
    tokenizer(TEXTS, truncation=True, max_length=2, padding=True)
    embedder.backbone.config.is_causal = False
    assert now() == first  # neither changes a vector
    seen = {first, now(max_length=7)}
    embedder.mask.alpha = 0.7
    seen.add(now())
    embedder.contract = EncodingContract(max_length=8, query_prompt="w30 ")
    seen.add(now())
    with torch.no_grad():
        embedder.backbone.norm.weight[3] += 1e-6
    seen.add(now())
    tokenizer.add_tokens(["w1000"])
    seen.add(now())
    embedder.backbone.config.rms_norm_eps = 1e-3
    seen.add(now())
    embedder.to(torch.bfloat16).float()  # rounds the weights and the rotary tables
    seen.add(now())
    assert len(seen) == 8


def test_an_outdated_encoder_does_not_encode(embedder: Embedder, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = CheckpointEncoder(embedder, tokenizer)
    embedder(torch.tensor([[5, 6, 2]]), torch.ones(1, 3)).sum().backward()
    torch.optim.AdamW(embedder.parameters(), lr=1e-3).step()
    with pytest.raises(AssertionError, match="has changed"):
        encoder.encode(TEXTS, kind="query")


def test_options_of_a_checkpoint(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    embedder.save(tmp_path, tokenizer=tokenizer)
    whole = load_checkpoint(tmp_path, device="cpu", batch_tokens=64)
    cut = load_checkpoint(tmp_path, device="cpu", max_length=3)
    assert whole.fingerprint != cut.fingerprint
    assert not np.allclose(whole.encode(TEXTS[:1], kind="document"), cut.encode(TEXTS[:1], kind="document"))
    np.testing.assert_allclose(
        cut.encode(TEXTS[:1], kind="document"), whole.encode(["w1 w2"], kind="document"), atol=2e-6
    )
    for options, message in (
        ({"batch": 3}, "'batch'"),
        ({"max_length": 0}, "max_length"),
        ({"batch_tokens": 0}, "batch_tokens"),
    ):
        with pytest.raises(UserError, match=message):
            load_checkpoint(tmp_path, **options)
    with pytest.raises(UserError, match="device"):
        load_checkpoint(tmp_path, device="gpu")


def test_equal_texts_are_computed_once_and_threads_change_nothing(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(f"w{(number * place) % 37}" for place in range(1 + number % 7)) for number in range(90)]
    encoder = CheckpointEncoder(embedder, tokenizer, batch_tokens=40)
    expected = encoder.encode(texts, kind="document")
    rows = []
    forward = embedder.forward
    monkeypatch.setattr(embedder, "forward", lambda ids, mask: (rows.append(len(ids)), forward(ids, mask))[1])
    np.testing.assert_array_equal(encoder.encode(texts * 3, kind="document"), np.tile(expected, (3, 1)))
    assert sum(rows) == len(set(texts)) and len(rows) > 8
    torch.set_num_threads(3)
    np.testing.assert_array_equal(encoder.encode(texts, kind="document"), expected)
    assert torch.get_num_threads() == 3


def test_an_error_of_the_model_is_raised_and_leaves_the_threads(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        raise MemoryError("planted")

    monkeypatch.setattr(embedder, "forward", fails)
    torch.set_num_threads(2)
    with pytest.raises(MemoryError, match="planted"):
        CheckpointEncoder(embedder, tokenizer, batch_tokens=20).encode(TEXTS, kind="document")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("num_texts", [0, 1, 5, 300])
def test_text_buckets_hold_every_row_once(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch, num_texts: int
) -> None:
    monkeypatch.setattr(encoder_batches, "TEXTS_A_CHUNK", 64)
    texts = [f"{number} " + "w1 " * (number * 7 % 23) for number in range(num_texts)]

    def tokenise(part: list[str]) -> list[list[int]]:
        return [[int(text.split()[0]) + 1] * (1 + text.count("w1")) for text in part]

    seen = []
    for rows_B, ids_BL, mask_BL in encoder_batches.text_buckets(texts, tokenise, budget=64, pad_id=0):
        assert ids_BL.size <= 64 or len(rows_B) == 1
        assert mask_BL.sum(axis=1).max() == ids_BL.shape[1], "wider than its longest text"
        for row, ids, mask in zip(rows_B, ids_BL, mask_BL):
            assert [ids[mask == 1].tolist()] == tokenise([texts[row]])
            assert not ids[mask == 0].any() and (np.diff(mask) <= 0).all()
        seen += rows_B.tolist()
    assert sorted(seen) == list(range(num_texts))


@pytest.mark.gpu
def test_cuda_gives_the_vectors_of_the_cpu(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    embedder.save(tmp_path, tokenizer=tokenizer)
    on_cpu, on_cuda = (
        load_checkpoint(tmp_path, device=device, batch_tokens=20) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(
        on_cuda.encode(TEXTS, kind="query"), on_cpu.encode(TEXTS, kind="query"), atol=1e-5
    )


def test_the_path_of_devices_that_work_by_themselves(
    embedder: Embedder, tokenizer: PreTrainedTokenizerFast
) -> None:
    encoder = CheckpointEncoder(embedder, tokenizer, batch_tokens=20)
    expected = encoder.encode(TEXTS, kind="query")
    encoder._compute_on_cores = encoder._compute  # type: ignore[method-assign]
    np.testing.assert_allclose(encoder.encode(TEXTS, kind="query"), expected, atol=1e-6)
