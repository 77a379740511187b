"""What the Python functions return: where an artifact is, what became of the rows, and its figures as tables.

A result is read from the artifact alone, so the same call gives the same result whether it made the artifact or found
it done. Its path stands for it, so it is handed to the next function as it is. A notebook shows it as tables and plots.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from conan_data.artifact import Artifact
from conan_data.files import hash_file
from conan_data.manifest import MANIFEST, Manifest, Rows, describe, read_manifest

if TYPE_CHECKING:
    import polars as pl

PAGE = "report.html"
TEMPLATE = Path(__file__).parent / "result.html.jinja"
MOST_ROWS = 40
"""Rows of a table that a notebook shows."""


@dataclass(frozen=True)
class Result:
    """An artifact, and the rows that were read for it."""

    path: Path
    kind: str
    rows: Rows
    manifest: Manifest = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return the result at `path`. Raises `UserError` where no artifact is; its files are not verified."""
        manifest = read_manifest(Path(path))
        return cls(Path(path), manifest["kind"], Rows(**manifest["rows"]), manifest)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return "\n".join(filter(None, (f"{self.path}: {describe(self.rows)}", self.text)))

    @property
    def artifact(self) -> Artifact:
        """What the pages draw from."""
        return Artifact(self.path, self.manifest, hash_file(self.path / MANIFEST))

    @property
    def page(self) -> Path | None:
        """The page that lies in the artifact, if it has one."""
        return next(
            (self.path / entry["path"] for entry in self.manifest["files"] if entry["path"] == PAGE), None
        )

    @property
    def drops(self) -> "pl.DataFrame":
        """Rows that were dropped: `reason`, `rows`, `share` of all that were read."""
        most_first = sorted(self.rows.dropped.items(), key=lambda entry: (-entry[1], entry[0]))
        return table(
            [{"reason": reason, "rows": rows, "share": rows / self.rows.read} for reason, rows in most_first],
            ("reason", "rows", "share"),
        )

    @property
    def text(self) -> str:
        """The figures as a program prints them; nothing for an artifact without any."""
        return ""

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        """The tables that a notebook shows, by their titles."""
        return {"dropped": self.drops} if self.rows.dropped else {}

    def figures(self) -> Mapping[str, str]:
        """The plots that a notebook shows, by their captions: SVG elements."""
        return {}

    def _repr_html_(self) -> str:
        from markupsafe import Markup

        from conan_data.page import render

        return render(
            TEMPLATE,
            title=type(self).__name__,
            path=str(self.path),
            page=str(self.page or ""),
            rows=describe(self.rows),
            tables={name: shown for name, shown in self.tables().items() if len(shown)},
            figures={caption: Markup(svg) for caption, svg in self.figures().items()},
            most=MOST_ROWS,
        )


class Corpus(Result):
    """A corpus: `drops` by stage and reason, and `languages`."""

    @property
    def drops(self) -> "pl.DataFrame":
        """Documents that were dropped: `stage`, `reason`, `rows`, `share` of all rows, and their `languages`."""
        from conan_data.corpus.report.counts import drop_reasons

        extra, rows = self.manifest["extra"], self.manifest["rows"]
        found = drop_reasons(rows, extra.get("funnel", []), extra.get("other_languages"))
        return table(found, ("stage", "reason", "rows", "share", "languages"))

    @property
    def languages(self) -> "pl.DataFrame":
        """Documents by language: `language`, `read`, `kept`, `share` of those kept, `characters`, `tokens`, `why` the
        others were dropped.
        """
        from conan_data.corpus.report.counts import languages

        extra = self.manifest["extra"]
        columns = ("language", "read", "kept", "share", "characters", "tokens", "why")
        return table(languages(extra, extra.get("funnel", [])), columns)

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"languages": self.languages, "dropped": self.drops}


class RetrievalSet(Result):
    """A retrieval set: `languages` of its queries and documents."""

    @property
    def languages(self) -> "pl.DataFrame":
        """Queries by language: `language`, the share `asked` for and `reached`, `queries`, `documents`."""
        extra = self.manifest["extra"]
        columns = {
            "asked": "mix_asked",
            "reached": "mix_reached",
            "queries": "queries_by_language",
            "documents": "corpus_by_language",
        }
        return by_name("language", {column: extra.get(name, {}) for column, name in columns.items()})

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"languages": self.languages, **super().tables()}


class Negatives(Result):
    """Mined negatives: what became of the `candidates`."""

    @property
    def candidates(self) -> "pl.DataFrame":
        """Candidates by what became of them: `outcome`, `number`, `share`."""
        counts = {
            name: count for name, count in self.manifest["extra"].get("candidates", {}).items() if count
        }
        total = sum(counts.values())
        rows = [{"outcome": name, "number": count, "share": count / total} for name, count in counts.items()]
        return table(sorted(rows, key=lambda row: -row["number"]), ("outcome", "number", "share"))

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"candidates": self.candidates, **super().tables()}


class Tokens(Result):
    """Token shards: `tokens` by language."""

    @property
    def tokens(self) -> "pl.DataFrame":
        """Tokens by language: `language`, `tokens`."""
        return by_name("language", {"tokens": self.manifest["extra"]["tokens_by_language"]})

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"tokens": self.tokens, **super().tables()}


class Classifier(Result):
    """A classifier: its `scores` on held-out texts."""

    @property
    def scores(self) -> "pl.DataFrame":
        """Scores on held-out texts: `language` (`all` first), `threshold`, and each figure, with the ends of its interval
        (95%) where it has one.
        """
        extra = self.manifest["extra"]
        rows = [{"language": "all", **extra["overall"]}]
        rows += [{"language": language, **figures} for language, figures in extra["languages"].items()]
        return table([flattened(row) for row in rows])

    def tables(self) -> "Mapping[str, pl.DataFrame]":
        return {"scores": self.scores, **super().tables()}


def table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None) -> "pl.DataFrame":
    """Return rows as a table, with these columns of them or with all that occur."""
    import polars as pl

    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else list(columns)
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in rows], strict=False) for name in names}
    )


def by_name(key: str, columns: Mapping[str, Mapping[str, Any]]) -> "pl.DataFrame":
    """Return a table with a row for each name that a column has a value for, in the order in which they come."""
    names = dict.fromkeys(name for values in columns.values() for name in values)
    rows = [{key: name, **{column: values.get(name) for column, values in columns.items()}} for name in names]
    return table(rows, (key, *columns))


def flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in which a score `{value, low, high}` is three values, `name`, `name_low` and `name_high`."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= {name if part == "value" else f"{name}_{part}": number for part, number in value.items()}
        else:
            found[name] = value
    return found
