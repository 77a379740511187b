"""Which documents go into which file: those of a language, in the order of the input, a fixed number a file.

Files are cut by documents and not by tasks, so that they are the same for any number of tasks.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conan_data.corpus.dedup.components import BLOCK
from conan_data.corpus.output.reasons import REASONS, reasons
from conan_data.corpus.records import blocks, records_file
from conan_data.corpus.workspace import Workspace, facts, opened
from conan_data.files import written_aside


@dataclass(frozen=True)
class Plan:
    """Documents and characters by language, the duplicates, and how many files that makes."""

    documents: dict[str, int]
    characters: dict[str, int]
    duplicates: dict[str, dict[str, int]]
    """By reason and language."""
    shard_documents: int

    @property
    def shards(self) -> list[tuple[str, int]]:
        """Language and number of each file."""
        return [
            (lang, number)
            for lang, count in self.documents.items()
            for number in range(-(-count // self.shard_documents))
        ]


def is_planned(work: Workspace) -> bool:
    """Whether the files of a workspace are laid down already."""
    return (work.scratch / "plan.json").exists()


def make_plan(work: Workspace, shard_documents: int) -> Plan:
    """The plan of a workspace; writes the numbers of each language's documents beside it."""
    langs = json.loads((work.scratch / "langs.json").read_text(encoding="utf-8"))
    counts = _write_numbers(work, langs)
    with written_aside(work.scratch / "plan.json") as aside:
        aside.write_text(json.dumps(counts), encoding="utf-8")
    return Plan(**counts, shard_documents=shard_documents)


def numbers_path(work: Workspace, lang: str) -> Path:
    """int64 records: the documents of a language that stay."""
    return work.scratch / f"documents-{lang}"


def _write_numbers(work: Workspace, langs: list[str]) -> dict[str, Any]:
    open_, of_position = opened(work), facts(work)
    characters = np.zeros(len(langs), dtype=np.int64)
    duplicates = np.zeros((len(REASONS), len(langs)), dtype=np.int64)
    with ExitStack() as stack:
        add = [stack.enter_context(records_file(numbers_path(work, lang))) for lang in langs]
        for part in blocks(len(open_.order), BLOCK):
            positions = open_.order.positions[part]
            passed = positions < open_.parts.num_kept
            numbers, rows = np.arange(part.start, part.stop)[passed], of_position[positions[passed]]
            codes = reasons(work, numbers)
            np.add.at(duplicates, (codes, rows["lang"]), 1)
            numbers, rows = numbers[codes == 0], rows[codes == 0]
            np.add.at(characters, rows["lang"], rows["characters"])
            for code in np.unique(rows["lang"]).tolist():
                add[code](numbers[rows["lang"] == code])
    return {
        "documents": _by_lang(langs, duplicates[REASONS.index("")]),
        "characters": _by_lang(langs, characters),
        "duplicates": {
            reason: _by_lang(langs, row) for reason, row in zip(REASONS, duplicates) if reason and row.any()
        },
    }


def _by_lang(langs: list[str], counts: np.ndarray) -> dict[str, int]:
    return {lang: count for lang, count in zip(langs, counts.tolist()) if count}
