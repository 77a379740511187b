"""State that a later run trusts, cut at every length and edited: remade, or refused in one line, and never built on."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data import artifact, manifest, sealed
from conan_data.corpus import build as corpus_stage
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.errors import UserError
from conan_data.manifest import JOB, MANIFEST, read_job, read_manifest
from conan_data.mining.embeddings import encode_to_shards
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.pairs.store import shared_pairs
from conan_data.tokens.shards import write_shards
from conan_data.tokens.tokenizer import read_vocabulary
from tests.conan_data.corpus.test_build import corpus
from tests.conan_data.pairs.test_store import weak
from tests.conan_data.test_artifact import Config, make, tree
from tests.conan_data.tokens.conftest import write_tokenizer

WRONG: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], {}, [None], [{}], {"a": None}, [[]])


def damages(content: bytes, *, every: bool = False) -> Iterator[bytes]:
    """`content` cut at every length, or at a few, and with a byte changed."""
    lengths = range(len(content)) if every else sorted({0, 1, len(content) // 2, len(content) - 1})
    yield from (content[:length] for length in lengths if 0 <= length < len(content))
    if content:
        middle = len(content) // 2
        yield content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("one")
    return path


def test_a_manifest_that_was_cut_or_edited_is_refused(tmp_path: Path, source: Path) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    whole = (out / MANIFEST).read_bytes()
    for damaged in damages(whole, every=True):
        (out / MANIFEST).write_bytes(damaged)
        with pytest.raises(UserError, match=r"manifest.json: (cut or edited|edited)"):
            artifact.open_artifact(out)
    with pytest.raises(UserError, match=r"manifest.json: (cut or edited|edited)"):
        make(Config(out=out), source)
    (out / MANIFEST).write_bytes(
        whole.replace(b'"kept": 3', b'"kept": 2').replace(b'"read": 4', b'"read": 3')
    )
    with pytest.raises(UserError, match="manifest.json: edited, for its checksum does not fit"):
        artifact.open_artifact(out)
    make(Config(out=out, overwrite=True), source)
    assert (out / MANIFEST).read_bytes() == whole


@pytest.mark.parametrize("field", ["kind", "schema_version", "command", "config", "inputs", "versions", "commit", "job_hash", "rows", "files", "extra"])  # fmt: skip
def test_a_manifest_whose_fields_cannot_be_is_refused(field: str, tmp_path: Path, source: Path) -> None:
    """Also where whoever edited it made a checksum that fits."""
    out = make(Config(out=tmp_path / "out"), source)
    values = sealed.read_sealed(out / MANIFEST)
    right = {type(values[field])} | ({str, type(None)} if field == "commit" else set())
    tried = 0
    for wrong in WRONG:
        could_be = type(wrong) in right and field in ("kind", "command", "config", "commit", "extra")
        empty = wrong in ([], {}) and type(wrong) in right
        if could_be or empty:
            continue
        sealed.write_sealed(out / MANIFEST, {**values, field: wrong})
        with pytest.raises(UserError, match=rf"manifest.json: field '{field}'"):
            read_manifest(out)
        tried += 1
    sealed.write_sealed(out / MANIFEST, {name: value for name, value in values.items() if name != field})
    with pytest.raises(UserError, match=rf"field '{field}' is"):
        read_manifest(out)
    assert tried >= 7


@pytest.mark.parametrize(
    "edit",
    [
        {"path": "../source.txt"}, {"path": "/etc/hostname"}, {"path": "a/../../source.txt"}, {"path": "./numbers.parquet"},
        {"path": ""}, {"path": "."}, {"path": "a\0b"}, {"bytes": -1}, {"bytes": "3"}, {"sha256": "0"}, {"sha256": "G" * 64},
        {"rows": -1}, {"rows": True}, {"more": 1},
    ],
)  # fmt: skip
def test_a_file_of_a_manifest_lies_below_it(edit: dict[str, Any], tmp_path: Path, source: Path) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    values = sealed.read_sealed(out / MANIFEST)
    sealed.write_sealed(out / MANIFEST, {**values, "files": [{**values["files"][0], **edit}]})
    with pytest.raises(UserError, match="manifest.json: field 'files' holds"):
        artifact.open_artifact(out)


def test_rows_that_do_not_add_up_and_files_named_twice_are_refused(tmp_path: Path, source: Path) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    values = sealed.read_sealed(out / MANIFEST)
    sealed.write_sealed(out / MANIFEST, {**values, "rows": {**values["rows"], "kept": 1}})
    with pytest.raises(UserError, match="'rows' does not add up"):
        read_manifest(out)
    sealed.write_sealed(out / MANIFEST, {**values, "files": 2 * values["files"]})
    with pytest.raises(UserError, match="lists a file twice"):
        read_manifest(out)
    sealed.write_sealed(out / MANIFEST, {**values, "schema_version": manifest.SCHEMA_VERSION + 1})
    with pytest.raises(UserError, match="written by a newer version"):
        read_manifest(out)


def begin(config: Config, source: Path) -> None:
    """A run that was interrupted, and left a file that a resumed run would publish."""
    with (
        pytest.raises(KeyboardInterrupt),
        artifact.building(
            config, kind="numbers", command="make-numbers", inputs=[source], resume=True
        ) as build,
    ):
        (build.dir / "planted").write_text("x")
        raise KeyboardInterrupt


def test_nothing_is_published_from_a_partial_whose_job_was_cut_or_edited(
    tmp_path: Path, source: Path
) -> None:
    config = Config(out=tmp_path / "out")
    expected = tree(make(Config(out=tmp_path / "whole"), source))
    begin(config, source)
    job = tmp_path / "out.partial" / JOB
    whole = job.read_bytes()
    edited = sealed.seal({**sealed.read_sealed(job), "job_hash": 5})
    for damaged in (*list(damages(whole, every=True))[::9], edited):
        job.write_bytes(damaged)
        with pytest.raises(UserError, match=r"job.json: .*pass --overwrite to start over"):
            make(config, source, resume=True)
        assert (job.parent / "planted").exists() and job.read_bytes() == damaged
    with pytest.raises(UserError, match="field 'job_hash' holds 5"):
        read_job(job) if job.write_bytes(edited) else None
    make(dataclasses.replace(config, overwrite=True), source, resume=True)
    assert tree(tmp_path / "out") == expected


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))), st.data())  # fmt: skip
def test_what_is_sealed_is_read_again_and_no_changed_byte_is_missed(values: Any, data: Any) -> None:
    values.pop(sealed.CHECKSUM, None)
    path = Path("state.json")
    content = sealed.seal(values)
    assert sealed.unseal(content, path) == values
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = data.draw(
        st.sampled_from([content[:place], content[:place] + bytes([byte]) + content[place + 1 :]])
    )
    try:
        assert sealed.unseal(changed, path) == values, "only blanks may change"
    except UserError:
        assert changed != content


@pytest.mark.parametrize(
    "content", ["", "{", "null", "5", "[]", '"x"', "{}", '{"checksum": 1}', "[" * 100_000]
)
def test_what_is_no_sealed_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(sealed.DamagedError, match="x.json: "):
        sealed.read_sealed(tmp_path / "x.json")
    assert sealed.read_mark(tmp_path / "x.json") is None


def damage_each(folder: Path, remake: Callable[[], Any], *, skip: str = r"\.lock$") -> int:
    """Damages every file below `folder`, one after the other, and calls `remake` after each; how often."""
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    tried = 0
    for path, content in before.items():
        if re.search(skip, path.name):
            continue
        for damaged in damages(content):
            for other, whole in before.items():
                other.parent.mkdir(parents=True, exist_ok=True)
                other.write_bytes(whole)
            path.write_bytes(damaged)
            remake()
            tried += 1
    return tried


def test_a_stored_set_of_pairs_is_made_again_where_it_is_damaged(tmp_path: Path) -> None:
    made = weak(tmp_path, num_rows=8)
    expected = shared_pairs(tmp_path / "store", lambda: made).data.queries

    def remake() -> None:
        found = shared_pairs(tmp_path / "store", lambda: made)
        assert found.data.queries.equals(expected)
        assert np.array_equal(found.arrays.positive_rows, made.arrays.positive_rows)

    assert damage_each(tmp_path / "store", remake) > 40


def test_tokens_are_made_again_where_they_are_damaged(tmp_path: Path) -> None:
    from conan_data.tokens.config import TokenizeConfig

    write_tokenizer(tmp_path / "tokenizer")
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"red {n} blue", "lang": "en"}) + "\n" for n in range(9))
    )
    vocabulary = read_vocabulary(str(tmp_path / "tokenizer"))
    config = TokenizeConfig(
        out=tmp_path / "out", tokenizer=str(tmp_path / "tokenizer"), corpus=(str(tmp_path / "texts.jsonl"),)
    )
    folder, work = tmp_path / "state" / "tokens", tmp_path / "state" / "parts"

    def write() -> dict[str, bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        write_shards(config, vocabulary, folder, work, workers=1)
        return tree(folder)

    expected = write()

    def remake() -> None:
        assert write() == expected

    assert damage_each(tmp_path / "state", remake) > 40


def test_vectors_are_encoded_again_where_they_are_damaged(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(10)]

    def encode() -> np.ndarray:
        store = encode_to_shards(
            HashEncoder(dimension=8), texts, texts, tmp_path / "store", kind="query", shard_size=4, cache=tmp_path / "cache"
        )  # fmt: skip
        return store[:]

    expected = encode()

    def remake() -> None:
        assert np.array_equal(encode(), expected)

    assert damage_each(tmp_path / "store", remake) > 15
    assert damage_each(tmp_path / "cache", remake) > 10


def test_a_corpus_is_filtered_and_compared_again_where_its_parts_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = corpus(16)
    (tmp_path / "reference.jsonl").write_text(json.dumps(rows[3]) + "\n")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")

    def config(out: str) -> BuildCorpusConfig:
        return BuildCorpusConfig(
            out=tmp_path / out, input=(str(tmp_path / "texts.jsonl"),), languages=("en", "de"), tasks=2,
            dedup=DedupConfig(against=(str(tmp_path / "reference.jsonl"),)),
        )  # fmt: skip

    expected = tree(corpus_stage.build_corpus(config("whole")))
    with monkeypatch.context() as patched:
        patched.setattr(artifact.Build, "publish", lambda *args, **options: 1 / 0)
        patched.setattr("conan_data.corpus.build.os.rename", lambda *args: None)
        with pytest.raises(ZeroDivisionError):
            corpus_stage.build_corpus(config("out"))
    partial, saved = tmp_path / "out.partial", tmp_path / "saved"
    shutil.copytree(partial, saved)
    kinds: dict[str, Path] = {}
    for path in sorted(saved.rglob("*")):
        if path.is_file() and path.name not in (JOB, ".lock") and "work" not in path.relative_to(saved).parts:
            kinds.setdefault(re.sub(r"\d+", "", str(path.relative_to(saved))), path.relative_to(saved))
    for path in kinds.values():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(saved, partial)
        content = (partial / path).read_bytes()
        (partial / path).write_bytes(content[: len(content) // 2])
        assert tree(corpus_stage.build_corpus(config("out"))) == expected, path
    assert len(kinds) > 30
