"""A corpus held against others: last month's, evaluation sets, files."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.rules.config import RulesConfig
from conan_data.errors import UserError

WORDS = [
    "the",
    "cat",
    "and",
    "dog",
    "were",
    "walking",
    "through",
    "an",
    "old",
    "garden",
    "while",
    "children",
    "played",
    "near",
    "their",
    "house",
    "with",
    "many",
    "small",
    "toys",
    "every",
    "day",
    "because",
    "it",
    "is",
    "good",
    "for",
    "them",
    "to",
    "be",
    "outside",
    "when",
    "the",
    "sun",
    "shines",
    "and",
    "nobody",
    "has",
    "work",
    "to",
    "do",
]
RULES = RulesConfig(min_words=3, min_chars=10, min_prose=0.0, min_sentences=0)


def text(rng: random.Random, words: int = 60) -> str:
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def changed(original: str) -> str:
    """A near duplicate: one word more in the middle."""
    words = original.split()
    return " ".join([*words[:30], "indeed", *words[30:]])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row | {"lang": "en"}) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def build(out: Path, *inputs: Path, **dedup: Any) -> Path:
    return build_corpus(
        BuildCorpusConfig(
            out=out,
            input=tuple(map(str, inputs)),
            languages=("en",),
            rules=RULES,
            dedup=DedupConfig(**dedup),
            shard_documents=40,
        )
    )


def kept(out: Path) -> set[str]:
    return {
        row for path in out.glob("data/*/*.parquet") for row in pq.read_table(path).column("id").to_pylist()
    }


def drops(out: Path) -> dict[str, tuple[str, str]]:
    rows = pq.read_table(out / "dropped.parquet").to_pylist()
    return {row["id"]: (row["reason"], row["detail"]) for row in rows}


def months(folder: Path) -> tuple[Path, Path]:
    """Two months; in the second every third page is one of the first, every fifth a version of one, every
    seventh a version of the one before.
    """
    rng = random.Random(4)
    first = [{"id": f"a{number}", "text": text(rng), "url": f"http://a/{number}"} for number in range(100)]
    second: list[dict[str, Any]] = []
    for number in range(100):
        page = text(rng)
        if number % 3 == 0:
            page = first[number]["text"].upper()
        elif number % 5 == 0:
            page = changed(first[number]["text"])
        elif number % 7 in (1, 2) and second:
            page = changed(second[-1]["text"])
        second.append(
            {
                "id": f"b{number}",
                "text": page,
                "url": f"https://www.a/{number + 90 if number < 5 else number + 1000}/",
            }
        )
    return write(folder / "1.jsonl", first), write(folder / "2.jsonl", second)


@pytest.mark.parametrize("url", [False, True])
def test_the_second_month_against_the_first_is_both_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, url: bool
) -> None:
    first, second = months(tmp_path)
    with caplog.at_level(logging.INFO):
        one = build(tmp_path / "one", first, keep="first", url=url)
        two = build(tmp_path / "two", second, keep="first", url=url, against=(str(one),))
    assert "made again" not in caplog.text
    both = build(tmp_path / "both", first, second, keep="first", url=url)
    assert kept(one) | kept(two) == kept(both)
    found = drops(two)
    assert found["b0"] == ("in-reference", "one: a0")
    assert found["b5"] == ("in-reference", "one: a5")
    assert [found.get("b4", ("", ""))] == ([("in-reference", "one: a94")] if url else [("", "")])
    assert sum(reason == "near-duplicate" for reason, _ in found.values()) >= 2
    assert set(drops(both)) == set(found)


def test_signatures_of_other_settings_are_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = months(tmp_path)
    one = build(tmp_path / "one", first, keep="first", seed=2)
    with caplog.at_level(logging.INFO):
        two = build(tmp_path / "two", second, keep="first", against=(str(one),))
    assert f"{one}: its signatures are made again (seed 2 -> 1)" in caplog.text
    assert kept(one) | kept(two) == kept(build(tmp_path / "both", first, second, keep="first"))
    with pytest.raises(UserError, match=r"index of other settings \(seed 2 -> 1\)"):
        build(tmp_path / "three", second, against=(str(one / "index"),))


def test_an_index_alone_finds_equal_texts(tmp_path: Path) -> None:
    first, second = months(tmp_path)
    one = build(tmp_path / "one", first)
    found = drops(build(tmp_path / "two", second, against=(str(one / "index"),)))
    assert found["b0"] == ("in-reference", "index: a0")
    assert found.get("b5", ("", ""))[0] != "in-reference"


def test_leaks_of_evaluation_sets_go(tmp_path: Path) -> None:
    rng = random.Random(9)
    passages, question = [text(rng) for _ in range(20)], "Why were the cat and dog walking?"
    folder = tmp_path / "eval"
    write(
        folder / "corpus.jsonl", [{"_id": f"doc{n}", "title": "", "text": p} for n, p in enumerate(passages)]
    )
    write(folder / "queries.jsonl", [{"_id": "q1", "text": question}, {"_id": "q2", "text": None}])
    write(folder / "translations.jsonl", [{"query_id": "q1", "lang": "en", "text": text(rng)}])
    pages = [{"id": f"p{number}", "text": text(rng)} for number in range(50)]
    pages[10]["text"], pages[20]["text"], pages[30]["text"] = (
        passages[3],
        changed(passages[4]),
        question.lower().replace(" ", "  "),
    )
    pages[31]["text"] = changed(pages[20]["text"])
    pages[40]["text"] = pages[20]["text"].lower()
    out = build(tmp_path / "out", write(tmp_path / "p.jsonl", pages), against=(str(folder),))
    assert drops(out) == {
        "p10": ("in-reference", "eval: doc3"),
        "p20": ("in-reference", "eval: doc4"),
        "p30": ("in-reference", "eval: q1"),
        "p31": ("in-reference", "eval: doc4"),
        "p40": ("in-reference", "eval: doc4"),
    }


def test_a_set_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    source, _ = months(tmp_path)
    with pytest.raises(UserError, match="no such file or directory"):
        build(tmp_path / "out", source, against=(str(tmp_path / "missing"),))
