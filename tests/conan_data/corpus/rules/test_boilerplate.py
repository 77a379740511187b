import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datatrove.data import Document

from conan_data.corpus.rules.boilerplate import (
    LineCounts,
    host,
    line_hashes,
    merge_counts,
    missing_counts,
    without_boilerplate,
)
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.steps.boilerplate import CountLines
from conan_data.corpus.steps.read import ReadRows
from conan_data.corpus.steps.rules import ApplyRules
from conan_data.readers.fields import Fields

FOOTER = {
    "a.example": "Subscribe to our newsletter and never miss a story.",
    "b.example": "所有文章版权归本站所有，转载请注明出处。",
    None: "Printed from the archive of the society.",
}
BODY = (
    "On day {n} the ferry of {host} left the harbour at {n} o'clock, with fewer people on board than in any other week. "
    "Nobody could say why, and the captain of number {n} did not ask.\n}}"
)


@pytest.fixture
def crawl(tmp_path: Path) -> list[Path]:
    """Two files of 300 pages, each with the footer of its host, but for every tenth."""
    paths = []
    for number in range(2):
        path = tmp_path / f"crawl-{number}.jsonl"
        rows = []
        for n in range(300):
            name = list(FOOTER)[n % 3]
            text = BODY.format(n=2 * n + number, host=name) + ("" if n % 10 == 0 else f"\n\n{FOOTER[name]}\n")
            url = f"https://www.{name}/page/{n}" if n % 2 else f"https://{name}/page/{n}"
            rows.append({"text": text, "lang": "en", **({"url": url} if name else {})})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths.append(path)
    return paths


def documents(crawl: list[Path], task: int, num_tasks: int) -> Iterator[Document]:
    return ReadRows({path: path.name for path in crawl}, Fields(), {}, strict=False, show_progress=False).run(
        None, task, num_tasks
    )


def count(crawl: list[Path], folder: Path, num_tasks: int, least: int) -> Path:
    for task in missing_counts(folder, num_tasks):
        for _ in CountLines(folder).run(documents(crawl, task, num_tasks), task):
            pass
    return merge_counts(folder, num_tasks, least)


def test_footers_go_and_nothing_else(crawl: list[Path], tmp_path: Path) -> None:
    lines = count(crawl, tmp_path / "lines", 2, 20)
    step = ApplyRules(RulesConfig(boilerplate_documents=20), lines)
    before = {doc.id: doc.text for doc in documents(crawl, 0, 1)}
    after = {doc.id: doc for doc in step.run(documents(crawl, 0, 1))}
    assert len(after) == 600
    with_footer = [name for name, text in before.items() if text.rsplit("\n", 1)[-1] in FOOTER.values()]
    assert len(with_footer) == 540
    for name, text in before.items():
        kept = text.rsplit("\n\n", 1)[0] if name in with_footer else text
        assert after[name].text == kept
        assert "dropped" not in after[name].metadata


def test_a_line_is_boilerplate_only_on_its_host(crawl: list[Path], tmp_path: Path) -> None:
    lines = np.load(count(crawl, tmp_path / "lines", 1, 20))
    text = f"A page.\n{FOOTER['a.example']}"
    assert without_boilerplate(text, "a.example", lines) == "A page."
    assert without_boilerplate(text, "b.example", lines) == text
    assert len(lines) == 4, "the footers of two hosts and, without a host, of two files"


@pytest.mark.parametrize("num_tasks", [2, 3, 8])
def test_the_lines_are_the_same_for_any_number_of_tasks(
    crawl: list[Path], tmp_path: Path, num_tasks: int
) -> None:
    one = count(crawl, tmp_path / "one", 1, 20)
    assert count(crawl, tmp_path / "many", num_tasks, 20).read_bytes() == one.read_bytes()


def test_counts_that_do_not_fit_are_spilled_and_merged_in_ranges(tmp_path: Path) -> None:
    texts = [f"line {n % 7}\nline {n % 7}\nonly {n}" for n in range(70)]
    for folder, run in (("whole", 1 << 20), ("spilled", 8)):
        for task in range(2):
            counts = LineCounts(tmp_path / folder, task, run=run)
            for text in texts[task::2]:
                counts.add(text, "h")
            counts.close()
    assert len(list((tmp_path / "spilled").iterdir())) > 10
    whole = np.load(merge_counts(tmp_path / "whole", 2, 10))
    spilled = np.load(merge_counts(tmp_path / "spilled", 2, 10, run=8))
    expected = sorted(line_hashes("\n".join(f"line {n}" for n in range(7)), "h"))
    assert whole.tolist() == spilled.tolist() == expected
    assert len(np.load(merge_counts(tmp_path / "whole", 2, 11))) == 0, "a line counts once a document"


def test_a_task_that_was_killed_counts_again(crawl: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    whole = count(crawl, tmp_path / "whole", 2, 20)
    counts = LineCounts(folder, 1, run=1)
    for _ in range(30):
        counts.add("a line of the run that was killed", "h")
    assert missing_counts(folder, 2) == [0, 1]
    assert count(crawl, folder, 2, 20).read_bytes() == whole.read_bytes()


def test_a_page_of_nothing_else_is_dropped(crawl: list[Path], tmp_path: Path) -> None:
    step = ApplyRules(RulesConfig(), count(crawl, tmp_path / "lines", 1, 20))
    page = Document(text=FOOTER["a.example"], id="1", metadata={"url": "http://a.example/", "file": "f"})
    (found,) = step.run(iter([page]))
    assert found.metadata["dropped"].reason == "boilerplate"


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"url": "https://www.Example.org:80/a?b", "file": "f"}, "example.org"),
        ({"url": "no url", "file": "f"}, "file:f"),
        ({"url": "http://[broken", "file": "f"}, "file:f"),
        ({"url": None, "file": "f"}, "file:f"),
        ({"file": "f"}, "file:f"),
    ],
)
def test_lines_belong_to_the_host_or_else_to_the_file(metadata: dict[str, Any], name: str) -> None:
    assert host(metadata) == name


def test_layout_is_no_boilerplate() -> None:
    assert [bool(value) for value in line_hashes("}\n---\n\n12.\na", "h")] == [False] * 4 + [True]
