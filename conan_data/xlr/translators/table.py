"""Translations that exist already, such as those made by people, looked up by query and language."""

from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from conan_data import tables
from conan_data.errors import UserError
from conan_data.readers import Broken
from conan_data.retrieval_frames import PartFrame, refused_rows
from conan_data.retrieval_rows import TRANSLATIONS
from conan_data.xlr.languages import match
from conan_data.xlr.translators import Failure, Request, Task, Translation
from conan_data.xlr.translators_config import TableConfig

_BATCH = 1 << 10
"""Requests that are looked up at once."""


class TableTranslator:
    """Looks translations up.

    Of several that stand for the same language of the mix, the one whose label is written like it wins, then
    the first label by name.
    """

    name = "a table of translations"
    retries = False

    def __init__(self, rows: pa.Table, languages: Iterable[str], *, broken: Sequence[Broken] = ()) -> None:
        """`rows` are `tables.TRANSLATIONS`."""
        self.broken = broken
        languages = tuple(languages)
        frame = pl.DataFrame(pl.from_arrow(rows))
        labels = {label: match(label, languages) for label in frame["lang"].unique()}
        same = {
            label: language is not None and _written(label) == _written(language)
            for label, language in labels.items()
        }
        self._names = sorted({language for language in labels.values() if language is not None})
        codes = {
            label: self._names.index(language) for label, language in labels.items() if language is not None
        }
        self._frame = (
            frame.filter(pl.col("lang").is_in(list(codes)))
            .with_columns(
                code=pl.col("lang").replace_strict(codes, default=0, return_dtype=pl.UInt16),
                is_other=~pl.col("lang").replace_strict(same, default=False, return_dtype=pl.Boolean),
            )
            .sort("query_id", "code", "is_other", "lang", maintain_order=True)
            .unique(["query_id", "code"], keep="first", maintain_order=True)
            .select("query_id", "code", "text", pl.col("origin").replace("", None).fill_null("table"))
        )
        runs = (
            self._frame.with_row_index("start")
            .group_by("query_id", maintain_order=True)
            .agg(pl.col("start").first())
        )
        self._codes: list[int] = self._frame["code"].to_list()
        self._numbers = dict(zip(runs["query_id"], range(runs.height), strict=True))
        self._starts: list[int] = [*runs["start"], len(self._codes)]
        self._sets: dict[tuple[int, ...], frozenset[str]] = {}

    def available(self, query_id: str) -> frozenset[str]:
        start, end = self._run(query_id)
        codes = tuple(self._codes[start:end])
        if codes not in self._sets:
            self._sets[codes] = frozenset(self._names[code] for code in codes)
        return self._sets[codes]

    def prepare(self, requests: Iterable[Request]) -> None:
        """Nothing is to be paid."""

    def used(self) -> dict[str, Any]:
        return {}

    spent = used

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        requests = iter(requests)
        while batch := [self._row(request) for request in islice(requests, _BATCH)]:
            found = self._frame[[row for row in batch if row is not None]]
            texts = map(Translation, found["text"], found["origin"])
            yield from (Failure("no-translation") if row is None else next(texts) for row in batch)

    def _run(self, query_id: str) -> tuple[int, int]:
        """Where the translations of a query stand."""
        number = self._numbers.get(query_id)
        return (0, 0) if number is None else (self._starts[number], self._starts[number + 1])

    def _row(self, request: Request) -> int | None:
        if request.language not in self._names:
            return None
        start, end = self._run(request.query_id)
        code = self._names.index(request.language)
        return self._codes.index(code, start, end) if code in self._codes[start:end] else None


def open_table(config: TableConfig, task: Task) -> TableTranslator:
    """Return the translator of a file, or of the translations beside the queries. Raises `UserError` where there are
    none.
    """
    rows, refused = read_table(config.path) if config.path else (task.translations, [])
    if not rows.num_rows:
        raise UserError(
            f"{config.path or task.data}: has no translations; give table.path, or another translator"
        )
    return TableTranslator(rows, task.languages, broken=refused)


def read_table(path: str | Path) -> tuple[pa.Table, list[Broken]]:
    """Return the usable rows of a translations file (`tables.TRANSLATIONS`), and the others.

    An empty text is for the checks to refuse and count, by language. Raises `UserError` when there is no such file, or a
    field is in no row.
    """
    if not Path(path).is_file():
        raise UserError(f"table.path: {path}: no such file")
    files = [Path(path)]
    rows = PartFrame(TRANSLATIONS, files)
    frame = rows.read()
    no_query, no_lang = pl.col("query_id") == "", pl.col("lang").fill_null("").str.strip_chars() == ""
    frame = frame.with_columns(
        reason=pl.when(no_query)
        .then(pl.lit("no-query_id"))
        .when(no_lang)
        .then(pl.lit("no-lang"))
        .when(pl.col("text").is_null())
        .then(pl.lit("no-text"))
        .otherwise(pl.lit(""))
    )
    again = (pl.col("reason") == "") & ~pl.struct("query_id", "lang", "reason").is_first_distinct()
    frame = frame.with_columns(
        reason=pl.when(again).then(pl.lit("duplicate-translation")).otherwise("reason")
    )
    lost = [*rows.broken, *refused_rows(TRANSLATIONS, frame.filter(pl.col("reason") != ""), files)]
    absent = next((name for name in ("query_id", "lang", "text") if name not in rows.seen), None)
    if absent is not None:
        raise UserError(
            f"{path}: no row has the field {absent!r}; needed are {TRANSLATIONS.needs(('query_id', 'lang', 'text'))};"
            f" found {', '.join(sorted(rows.fields)) or 'none'}"
        )
    usable = frame.filter(pl.col("reason") == "").select(tables.TRANSLATIONS.names)
    refused = [row for _, row in sorted(lost, key=lambda item: item[1].place)]
    return tables.check(usable.to_arrow(), tables.TRANSLATIONS, path), refused


def _written(label: str) -> str:
    return label.lower().replace("-", "_")
