import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact, hub, sources
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.errors import UserError
from conan_data.readers import Row, read_rows
from conan_data.retrieval import read_retrieval
from tests.conan_data.hub_server import HubServer

SECRET = "hf_thisTokenMustNeverBeShown"
TEXTS = [
    "The old mill by the river was built long ago, and the people of the village still bring their grain to it.",
    "Every morning the baker opens her shop before sunrise, because the bread has to be ready when people wake.",
    "A good library is a quiet place where children learn to love books that their parents have forgotten.",
]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with HubServer() as started:
        monkeypatch.setattr(hub, "HUB", hub.Hub(endpoint=started.endpoint, cache_dir=tmp_path / "cache"))
        yield started
    hub._download.cache_clear()


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def card(configs: list[dict[str, Any]]) -> bytes:
    return b"---\n" + json.dumps({"configs": configs}).encode() + b"\n---\n# A set\n"


def documents(number: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"{number}-{place}", "text": text} for place, text in enumerate(TEXTS)]


def texts(name: str) -> list[str]:
    rows = [row for path in sources.expand([name]) for row in read_rows(path)]
    return [row.values["id"] for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://o/n", ("o/n", None, "", "")),
        ("hf://datasets/o/n.x@v1", ("o/n.x", "v1", "", "")),
        ("hf://o/n@refs%2Fpr%2F1/de:train", ("o/n", "refs/pr/1", "de", "train")),
        ("hf://o/n:data/*.parquet", ("o/n", None, "", "data/*.parquet")),
        ("hf://o/n@v1/data/x.jsonl", ("o/n", "v1", "", "data/x.jsonl")),
    ],
)
def test_names(text: str, parts: tuple[object, ...]) -> None:
    name = hub.parse(text)
    assert (name.repository, name.revision, name.config, name.selection) == parts


@pytest.mark.parametrize("text", ["hf://", "hf://name", "hf://o/n@", "hf://o/n:", "hf://o n/x"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"write hf://owner/name"):
        hub.parse(text)


def test_configs_splits_and_patterns_choose_the_files(server: HubServer) -> None:
    server.publish(
        "o/n",
        {
            "README.md": card(
                [
                    {
                        "config_name": "en",
                        "data_files": [
                            {"split": "train", "path": "en/a-*"},
                            {"split": "dev", "path": "en/b.jsonl"},
                        ],
                        "default": True,
                    },
                    {"config_name": "de", "data_files": "de/*"},
                ]
            ),
            "en/a-0.jsonl": jsonl(documents(0)),
            "en/a-1.jsonl": b"",
            "en/b.jsonl": jsonl(documents(1)),
            "de/c.jsonl": jsonl(documents(2)),
            "other/d.jsonl": jsonl(documents(3)),
            "notes.txt": b"not data",
        },
    )
    assert set(server.fetched) == set()
    assert texts("hf://o/n/de") == ["2-0", "2-1", "2-2"]
    assert set(server.fetched) == {"README.md", "de/c.jsonl"}
    assert texts("hf://o/n:dev") == ["1-0", "1-1", "1-2"]
    assert texts("hf://o/n:*/[ad]*.jsonl") == ["0-0", "0-1", "0-2", "3-0", "3-1", "3-2"]
    assert texts("hf://o/n/other/d.jsonl") == ["3-0", "3-1", "3-2"]
    for name, message in {
        "hf://o/n:test": r"has no split 'test'; it has dev, train",
        "hf://o/n/fr": r"'fr' not found.*\['en', 'de'\]",
        "hf://o/n:*.csv": r"no data file there",
    }.items():
        with pytest.raises(UserError, match=message):
            texts(name)


def test_files_of_another_kind_are_refused_before_anything_is_fetched(server: HubServer) -> None:
    server.publish("o/n", {"train.txt": b"a\n", "test.txt": b"b\n"})
    with pytest.raises(UserError, match=r"test\.txt is not a readable kind of file"):
        texts("hf://o/n")
    assert "train.txt" not in server.fetched


def test_a_data_set_without_a_card(server: HubServer) -> None:
    server.publish(
        "o/n", {"data/train-0.parquet": parquet(documents(0)), "data/test-0.parquet": parquet(documents(1))}
    )
    assert texts("hf://o/n:train") == ["0-0", "0-1", "0-2"]
    assert len(texts("hf://o/n")) == 6


def test_a_corpus_names_the_commit_and_no_path_of_this_machine(server: HubServer, tmp_path: Path) -> None:
    rows = documents()
    commit = server.publish("o/n", {"train.jsonl": jsonl(rows) + b"{broken\n"})
    fields: dict[str, Any] = {"input": ("hf://o/n",), "languages": ("en",)}
    out = build_corpus(BuildCorpusConfig(out=tmp_path / "out", **fields))
    manifest = artifact.open_artifact(out).manifest
    name = f"hf://datasets/o/n@{commit}/train.jsonl"
    assert manifest["inputs"] == [
        {"path": name, "repository": "o/n", "revision": commit, "part": "train.jsonl"}
    ]
    assert json.loads((out / "quarantine.jsonl").read_text())["file"] == name
    assert manifest["rows"] == {"read": 4, "kept": 3, "dropped": {"broken-invalid-json": 1}}
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in written and SECRET.encode() not in written
    hub._download.cache_clear()
    server.publish("o/n", {"train.jsonl": jsonl(rows[:2])})
    with pytest.raises(UserError, match=r"holds the result of another job \(input hf://datasets/o/n@"):
        build_corpus(BuildCorpusConfig(out=tmp_path / "out", **fields))
    build_corpus(BuildCorpusConfig(out=out, input=(f"hf://o/n@{commit}",), languages=("en",), overwrite=True))


MTEB = {
    "README.md": card(
        [
            {"config_name": "corpus", "data_files": [{"split": "corpus", "path": "corpus/*"}]},
            {"config_name": "queries", "data_files": [{"split": "queries", "path": "queries/*"}]},
            {
                "config_name": "default",
                "data_files": [
                    {"split": "test", "path": "qrels/test.jsonl"},
                    {"split": "dev", "path": "qrels/dev.jsonl"},
                ],
            },
        ]
    ),
    "corpus/0.parquet": parquet(
        [
            {"_id": "a", "title": "", "text": "Water freezes."},
            {"_id": "b", "title": "t", "text": "Bread rises."},
        ]
    ),
    "corpus/1.parquet": parquet([{"_id": "c", "title": "", "text": "Snow."}]),
    "queries/0.jsonl": jsonl([{"_id": "1", "text": "freeze?"}, {"_id": "2", "text": "bread?"}]),
    "qrels/test.jsonl": jsonl(
        [{"query-id": "1", "corpus-id": "a", "score": 1}, {"query-id": "1", "corpus-id": "c", "score": 0}]
    ),
    "qrels/dev.jsonl": jsonl([{"query-id": 2, "corpus-id": "b", "score": 2.0}]),
}


@pytest.mark.parametrize("is_local", [False, True])
def test_retrieval_sets_in_the_layout_of_mteb(server: HubServer, tmp_path: Path, is_local: bool) -> None:
    server.publish("o/n", MTEB)
    name = "hf://o/n"
    if is_local:
        name = str(tmp_path / "set")
        for path, content in MTEB.items():
            (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / path).write_bytes(content)
    data = read_retrieval(name, "test")
    assert data.corpus.column("_id").to_pylist() == ["a", "b", "c"]
    assert data.positives() == {"1": ["a"]} and data.broken == [] and data.num_query_rows == 1
    assert read_retrieval(name, "dev").positives() == {"2": ["b"]}
    with pytest.raises(UserError, match=r"no judgements for split 'train'; it has dev, test"):
        read_retrieval(name, "train")


def test_only_the_files_of_a_split_are_downloaded_and_the_commit_is_known(server: HubServer) -> None:
    commit = server.publish("o/n", MTEB)
    pinned = sources.resolve("hf://o/n", "retrieval")
    assert pinned == f"hf://datasets/o/n@{commit}" == sources.resolve(pinned, "retrieval")
    assert artifact.describe_input(pinned) == {"path": pinned, "repository": "o/n", "revision": commit}
    read_retrieval(pinned, "dev")
    assert sorted(server.fetched) == [
        "README.md",
        "corpus/0.parquet",
        "corpus/1.parquet",
        "qrels/dev.jsonl",
        "queries/0.jsonl",
    ]


def test_a_set_with_one_config_a_language_and_a_classic_folder(server: HubServer) -> None:
    parts = {"corpus": "corpus/*", "queries": "queries/*", "qrels": "qrels/test.jsonl"}
    configs = [
        {"config_name": f"de-{name}", "data_files": [{"split": "test", "path": path}]}
        for name, path in parts.items()
    ]
    server.publish("o/n", MTEB | {"README.md": card(configs)})
    assert read_retrieval("hf://o/n/de", "test").positives() == {"1": ["a"]}
    with pytest.raises(UserError, match=r"has no config fr-corpus; it has de-corpus"):
        read_retrieval("hf://o/n/fr", "test")
    server.publish(
        "o/beir",
        {
            "corpus.jsonl": jsonl([{"_id": "a", "text": "Water freezes."}]),
            "queries.jsonl": MTEB["queries/0.jsonl"],
            "qrels/test.tsv": b"query-id\tcorpus-id\tscore\n1\ta\t1\n",
        },
    )
    assert read_retrieval("hf://o/beir", "test").positives() == {"1": ["a"]}


@pytest.mark.parametrize(
    ("name", "failure", "message"),
    [
        ("hf://o/missing", None, "hf://o/missing: no such data set on the Hub"),
        ("hf://o/n@v9", None, "hf://o/n@v9: the data set has no such revision"),
        ("hf://o/n", (403, "GatedRepo"), "hf://o/n: ask for access"),
        ("hf://o/n", (401, "RepoNotFound"), "hf://o/n: no such data set on the Hub"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(
    server: HubServer,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    failure: Any,
    message: str,
) -> None:
    server.publish("o/n", {"train.jsonl": jsonl(documents())})
    server.failure = failure
    flags = ["build-corpus", "--input", name, "--languages", "en", "--out", str(tmp_path / "out")]
    assert main("conan-data", "", COMMANDS, flags) == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.strip().splitlines()) == 1 and SECRET not in shown


@pytest.mark.parametrize("way", ["offline", "unreachable"])
def test_without_a_network(server: HubServer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    server.publish("o/n", {"train.jsonl": jsonl(documents()), "test.jsonl": jsonl(documents(1))})
    assert len(texts("hf://o/n:train")) == 3
    hub._download.cache_clear()
    if way == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        server.stop()
        # The Hub's library waits between its attempts, some twenty seconds in all.
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert len(texts("hf://o/n:train")) == 3
    for name in ("hf://o/n:test", "hf://o/never"):
        with pytest.raises(UserError, match="the Hub cannot be reached"):
            texts(name)
