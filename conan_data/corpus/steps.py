"""The datatrove pipeline of one task: read, find the language, apply the rules, fingerprint, write the part.

Every step passes on every document, the dropped ones too (see `documents`). A task takes a share of the rows
that depends on their number alone, so that each row belongs to exactly one task for any number of tasks.
"""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.config import BuildCorpusConfig, DedupConfig, RulesConfig
from conan_data.corpus.documents import DETAILS, Dropped, remaining, to_document
from conan_data.corpus.language import LangidIdentifier, Verdict, identify, merge_variant
from conan_data.corpus.minhash import MinHash
from conan_data.corpus.parts import PartWriter
from conan_data.corpus.rules import check
from conan_data.corpus.shingles import exact_hash, shingles
from conan_data.progress import progress
from conan_data.readers import read_rows

BLOCK = 256
"""Rows in a row of one file that go to the same task."""


def pipeline(config: BuildCorpusConfig, files: list[Path], folder: Path) -> list[PipelineStep]:
    """The steps of `config` over `files`; parts go to `folder`."""
    return [
        ReadRows(files, config.group_field, show_progress=config.workers == 1),
        FindLanguage(config.languages, config.min_lang_score),
        ApplyRules(config.rules),
        Fingerprint(config.dedup),
        WritePart(folder),
    ]


def shares(num_files: int, num_tasks: int) -> list[list[tuple[int, int, int]]]:
    """For each task its (file, share, number of shares of that file); whole files where there are enough of
    them.
    """
    cuts = -(-num_tasks // num_files)
    units = [(file, share, cuts) for file in range(num_files) for share in range(cuts)]
    return [units[task::num_tasks] for task in range(num_tasks)]


class ReadRows(PipelineStep):
    """Rows as documents, numbered by file and row; broken ones come out dropped."""

    name, type = "rows", "reader"

    def __init__(self, files: list[Path], group_field: str, *, show_progress: bool) -> None:
        super().__init__()
        self.files, self.group_field, self.show_progress = files, group_field, show_progress

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = self._documents(shares(len(self.files), world_size)[rank])
        label = "filtering" if world_size == 1 else f"filtering, part {rank + 1} of {world_size}"
        return progress(documents, label) if self.show_progress else documents

    def _documents(self, units: list[tuple[int, int, int]]) -> Iterator[Document]:
        for file, share, cuts in units:
            for number, item in enumerate(read_rows(self.files[file])):
                if number // BLOCK % cuts == share:
                    document = to_document(item, self.group_field)
                    document.metadata |= {"file_number": file, "row_number": number}
                    yield document


class FindLanguage(PipelineStep):
    """Sets `lang` and `lang_score`, and says in `label` how the declared language compares."""

    name, type = "language", "filter"

    def __init__(self, languages: tuple[str, ...], min_score: float) -> None:
        super().__init__()
        self.languages, self.min_score = frozenset(languages), min_score

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        identifier = LangidIdentifier(sorted(self.languages))
        for document, is_in in remaining(data):
            if is_in:
                declared = merge_variant(document.metadata["declared"], self.languages)
                verdict = identify(
                    document.text,
                    declared,
                    identifier=identifier,
                    languages=self.languages,
                    min_score=self.min_score,
                )
                document.metadata |= {"lang": verdict.lang, "lang_score": verdict.score}
                document.metadata["label"] = compare_label(
                    declared, verdict, known=declared in identifier.known
                )
                if verdict.reason:
                    document.metadata["dropped"] = Dropped("language", verdict.reason, verdict.detail)
            yield document


def compare_label(declared: str, verdict: Verdict, *, known: bool) -> str:
    """`right`, `missing`, `unknown` (no label that the identifier knows), `unchecked` (the guess was unsure),
    or `<declared>><found>`.
    """
    found = (
        verdict.lang
        if verdict.score is not None
        else verdict.detail
        if verdict.reason == "other-language"
        else ""
    )
    if not declared:
        return "missing"
    if not known:
        return "unknown"
    if not found:
        return "unchecked"
    return "right" if found == declared else f"{declared}>{found}"


class ApplyRules(PipelineStep):
    """Drops documents that break a rule."""

    name, type = "rules", "filter"

    def __init__(self, rules: RulesConfig) -> None:
        super().__init__()
        self.rules = rules

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document, is_in in remaining(data):
            if is_in and (drop := check(document.text, self.rules)):
                document.metadata["dropped"] = Dropped("rules", drop.reason, drop.detail)
            yield document


class Fingerprint(PipelineStep):
    """Sets `exact_hash` and `band_keys` (None for a text that is too short for shingles)."""

    name, type = "fingerprint", "dedup"

    def __init__(self, dedup: DedupConfig) -> None:
        super().__init__()
        self.dedup = dedup

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        minhash = MinHash.from_config(self.dedup)
        for document, is_in in remaining(data):
            if is_in:
                found = shingles(document.text, self.dedup.ngram)
                document.metadata["exact_hash"] = exact_hash(document.text)
                document.metadata["band_keys"] = minhash.band_keys(found).tobytes() if len(found) else None
            yield document


class WritePart(PipelineStep):
    """Writes kept and dropped documents and the comparison of labels; see `parts`."""

    name, type = "part", "writer"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with PartWriter(self.folder, rank) as part:
            for document in data:
                found = document.metadata
                part.counts["labels"].update([found["label"]] if "label" in found else [])
                place = {name: found[name] for name in ("file_number", "row_number", "file", "place")} | {
                    "id": document.id,
                    "lang": found.get("lang") or None,
                }
                if drop := found.get("dropped"):
                    part.add(
                        "dropped",
                        place
                        | {
                            "stage": drop.stage,
                            "reason": drop.reason,
                            "detail": drop.detail or None,
                            "raw": drop.raw or None,
                        },
                    )
                else:
                    names = ("lang_score", *DETAILS, "group", "exact_hash", "band_keys")
                    part.add("kept", place | {"text": document.text} | {name: found[name] for name in names})
                yield document
