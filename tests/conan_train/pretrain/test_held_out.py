import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from conan_data.tokens.tokenizer import read_vocabulary
from conan_train.model.tokenization import load_tokenizer
from conan_train.pretrain.held_out import FEW, choose_held_out, measure
from conan_train.pretrain.tokens import read_tokens, tokenize


def test_choice() -> None:
    generator = np.random.default_rng(0)
    languages = np.repeat([0, 1, 2, 3], [5000, 60, 3, 1])
    places = generator.random(len(languages))
    mask = choose_held_out(places, languages, share=0.01)
    assert np.array_equal(mask[:5000], places[:5000] < 0.01)
    assert [int(mask[languages == language].sum()) for language in (1, 2, 3)] == [
        max(FEW, int((places[5000:5060] < 0.01).sum())),
        1,
        0,
    ]
    assert places[5000:5060][mask[5000:5060]].max() < places[5000:5060][~mask[5000:5060]].min()
    shuffled = generator.permutation(len(languages))
    assert np.array_equal(choose_held_out(places[shuffled], languages[shuffled], share=0.01), mask[shuffled])


@torch.no_grad()
def test_measure_equals_a_loop_over_documents(corpus_file: Path, model_dir: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_dir).double()
    model.train()
    tokenizer = load_tokenizer(model_dir)
    tokens = read_tokens(
        [tokenize((str(corpus_file),), tmp_path / "tokens", read_vocabulary(str(model_dir)))]
    )
    mask = (tokens.places < 0.08) & (tokens.lengths < 90)
    shape = {"length": 128, "batch_rows": 2}
    found = measure(
        model, tokens, mask, tokenizer.backend_tokenizer, groups=tokens.languages, names=tokens.names, **shape
    )
    assert model.training
    assert set(found) == {"en", "de", "zh"}
    model.eval()
    for language, name in enumerate(tokens.names):
        loss, num_labels, text = 0.0, 0, ""
        members = np.flatnonzero(mask & (tokens.languages == language))
        for member in members:
            ids = torch.from_numpy(tokens.document(member).astype(np.int64))
            loss += float(
                torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="sum")
            )
            num_labels += len(ids) - 1
            text += tokenizer.decode(ids[1:-1])
        # a document that a row's end cuts loses its context there, so rows of 128 may be a little off
        assert found[name]["documents"] == len(members)
        assert found[name]["characters"] == len(text)
        assert found[name]["loss_per_token"] == pytest.approx(loss / num_labels, rel=0.02)
        assert found[name]["perplexity_per_character"] == pytest.approx(math.exp(loss / len(text)), rel=0.1)
        assert found[name]["bits_per_byte"] == pytest.approx(
            loss / math.log(2) / len(text.encode()), rel=0.02
        )
