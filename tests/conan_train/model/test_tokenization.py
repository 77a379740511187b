from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_train.model.tokenization import encode_texts, load_tokenizer, pad_tokens, with_eos_template

TEXTS = ["w0 w1 w2", "", "w5 w4 w3 w2 w1 w0", "w36"]


def test_every_text_ends_with_eos_also_when_cut(tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode_texts(tokenizer, TEXTS, 4) == [[3, 4, 5, 2], [2], [8, 7, 6, 2], [39, 2]]
    assert encode_texts(tokenizer, TEXTS[:1], 10, prompt="w9 ") == [[12, 3, 4, 5, 2]]
    assert encode_texts(tokenizer, [], 4) == []


def test_settings_of_the_tokenizer_have_no_say(tokenizer: PreTrainedTokenizerFast) -> None:
    expected = encode_texts(tokenizer, TEXTS, 4)
    tokenizer(
        TEXTS, truncation=True, max_length=2, padding="max_length"
    )  # leaves truncation and padding switched on in the backend
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    assert encode_texts(tokenizer, TEXTS, 4) == expected


def test_the_saved_tokenizer_alone_gives_the_same_ids(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with_eos_template(tokenizer).save_pretrained(tmp_path)
    plain = AutoTokenizer.from_pretrained(tmp_path)
    assert plain(TEXTS, truncation=True, max_length=4)["input_ids"] == encode_texts(tokenizer, TEXTS, 4)
    assert encode_texts(load_tokenizer(tmp_path), TEXTS, 4) == encode_texts(tokenizer, TEXTS, 4)
    assert tokenizer("w0")["input_ids"] == [1, 3]  # the given one is as it was


def test_a_folder_without_a_usable_tokenizer_is_named(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="eos_token"):
        load_tokenizer(tmp_path)


def test_pads_on_the_right() -> None:
    ids, mask = pad_tokens([[5, 6, 7], [8]], pad_id=0, device="cpu")
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
