import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from conan_train.corpus import hash_place
from conan_train.pretrain.tokens import read_tokens, tokenize


@pytest.mark.parametrize(("vocab_size", "dtype"), [(320, np.uint16), (70_000, np.uint32)])
def test_documents_as_ids(
    corpus_file: Path, model_dir: Path, tmp_path: Path, vocab_size: int, dtype: type
) -> None:
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokens = tokenize((str(corpus_file),), tokenizer, tmp_path / "tokens", eos_id=1, vocab_size=vocab_size)
    rows = [json.loads(line) for line in corpus_file.read_text().split("\n") if line != "{broken"]
    assert tokens.ids.dtype == dtype and len(tokens.ids) == tokens.starts[-1]
    assert (tokens.tally.read, tokens.tally.dropped) == (len(rows) + 1, {"invalid-json": 1})
    assert len(tokens.lengths) == len(rows)
    for index, row in enumerate(rows):
        ids = tokens.document(index).tolist()
        assert ids[-1] == 1 and 1 not in ids[:-1] and 0 not in ids
        assert tokenizer.decode(ids[:-1]) == row["text"]
        assert tokens.names[tokens.languages[index]] == row["lang"]
        assert tokens.places[index] == hash_place(row["text"])
    assert tokenizer.encode("</s>", add_special_tokens=False).ids == [1], "the tokenizer is left as it was"


def test_written_once(corpus_file: Path, model_dir: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    (tmp_path / "tokens.partial").mkdir()
    (tmp_path / "tokens.partial" / "ids.npy").write_bytes(b"half")
    first = tokenize((str(corpus_file),), tokenizer, tmp_path / "tokens", eos_id=1, vocab_size=320)
    again = tokenize(("not read",), tokenizer, tmp_path / "tokens", eos_id=1, vocab_size=320)
    assert np.array_equal(first.ids, again.ids) and first.names == again.names
    assert np.array_equal(read_tokens(tmp_path / "tokens").starts, first.starts)
