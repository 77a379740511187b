import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from conan_data.errors import UserError
from conan_data.plain_text import hash_place
from conan_data.tokens import parts
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.tokenize import tokenize as tokenize_command
from conan_data.tokens.tokenizer import read_vocabulary
from conan_train.pretrain.tokens import ShardedIds, check_tokens, read_tokens, split_inputs, tokenize


@pytest.mark.parametrize(("size", "dtype"), [(320, np.uint16), (70_000, np.uint32)])
def test_documents_as_ids(corpus_file: Path, model_dir: Path, tmp_path: Path, size: int, dtype: type) -> None:
    vocabulary = read_vocabulary(str(model_dir))
    object.__setattr__(vocabulary, "size", size)
    tokens = read_tokens([tokenize((str(corpus_file),), tmp_path / "tokens", vocabulary)])
    rows = [json.loads(line) for line in corpus_file.read_text().split("\n") if line != "{broken"]
    assert {array.dtype for array in tokens.ids.arrays} == {np.dtype(dtype)}
    assert len(tokens.ids) == tokens.starts[-1]
    assert (tokens.tally.read, tokens.tally.dropped) == (len(rows) + 1, {"invalid-json": 1})
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    found = []
    for index in range(len(tokens.lengths)):
        ids = tokens.document(index).tolist()
        assert ids[-1] == 1 and 1 not in ids[:-1] and 0 not in ids
        text = tokenizer.decode(ids[:-1])
        found.append((tokens.names[tokens.languages[index]], text))
        assert tokens.places[index] == hash_place(text)
    assert sorted(found) == sorted((row["lang"], row["text"]) for row in rows)
    assert tokens.source_names == (corpus_file.parent.name,) and not tokens.sources.any()


def test_written_once(
    corpus_file: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = read_vocabulary(str(model_dir))
    (tmp_path / "tokens.parts" / "part-000000").mkdir(parents=True)
    (tmp_path / "tokens.parts" / "part-000000" / "0.ids").write_bytes(b"half")
    first = read_tokens([tokenize((str(corpus_file),), tmp_path / "tokens", vocabulary)])
    monkeypatch.setattr(parts.Tokenizing, "run", lambda self, rank: pytest.fail("done again"))
    again = read_tokens([tokenize(("not read",), tmp_path / "tokens", vocabulary)])
    assert first.names == again.names
    assert all(
        np.array_equal(one, other) for one, other in zip(first.ids.arrays, again.ids.arrays, strict=True)
    )


def test_slices_over_several_arrays() -> None:
    whole = np.arange(20)
    ids = ShardedIds([whole[:7], whole[7:8], whole[8:]])
    assert len(ids) == 20
    for start, stop in ((0, 7), (7, 8), (8, 20), (3, 5), (9, 12), (20, 20)):
        assert np.array_equal(ids[start:stop], whole[start:stop])
    with pytest.raises(AssertionError, match="two shards"):
        ids[5:9]


def test_artifacts_of_another_tokenizer_are_refused(
    corpus_file: Path, model_dir: Path, tmp_path: Path
) -> None:
    made = tokenize_command(
        TokenizeConfig(out=tmp_path / "tokens", tokenizer=str(model_dir), corpus=(str(corpus_file),))
    )
    assert split_inputs((str(made), str(corpus_file))) == ((str(made),), (str(corpus_file),))
    vocabulary = read_vocabulary(str(model_dir))
    assert check_tokens(str(made), vocabulary, model="m") == made
    object.__setattr__(vocabulary, "fingerprint", "f" * 64)
    with pytest.raises(
        UserError, match=r"made with another tokenizer \(320 tokens, .*run conan-data tokenize"
    ):
        check_tokens(str(made), vocabulary, model="m")
