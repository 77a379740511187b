"""Pairs of query and document as users have them, one row after the other.

Rows are those of our weak pairs (`query, document, task, lang_query, lang_document, source, score`), of
sentence-transformers (`anchor, positive, negative`) and of FlagEmbedding (`query, pos: [...], neg: [...]`), in any
kind of file; a retrieval set gives each of its queries with its positives. A row that gives no pair is a broken
one, with its reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from conan_data import artifact, hub
from conan_data.errors import UserError
from conan_data.pairs.pair_set import source_names
from conan_data.progress import progress
from conan_data.public_names import SAMPLE
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.readers.fields import lookup
from conan_data.retrieval import UNKNOWN_LANGUAGE, read_retrieval
from conan_data.retrieval_files import folder_and_config, holds_set
from conan_data.sources import expand, resolve

_QUERY = ("query", "anchor", "question")
_DOCUMENT = ("document", "positive", "pos", "passage", "answer")
_NEGATIVE = ("neg", "negative", *(f"negative_{number}" for number in range(1, 17)))


class Text(NamedTuple):
    """A document of a pair; `group` is "" where it has none."""

    text: str
    lang: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class PairRow:
    """A query with the documents that answer it, one at least, and those that are named as wrong."""

    query: str
    lang: str
    source: str
    documents: list[Text]
    negatives: list[Text]


@dataclass(frozen=True, kw_only=True)
class PairFields:
    """Where a row has its parts, as dotted paths; "" is by the usual names."""

    query: str = ""
    document: str = ""
    score: str = "score"
    source: str = "source"
    group: str = "group"


def pair_inputs(inputs: Sequence[str]) -> list[str | Path]:
    """What a manifest names for these: retrieval sets as they are, and the files behind everything else."""
    named: list[str | Path] = []
    for path in inputs:
        named += [resolve(path, "retrieval")] if is_retrieval_set(path) else expand([path])
    return named


def pair_sources(inputs: Sequence[str]) -> list[tuple[str, str]]:
    """(path, name of the source) of every retrieval set and file behind `inputs`."""
    found: list[tuple[str, str]] = []
    for path, source in zip(inputs, source_names(inputs), strict=True):
        if is_retrieval_set(path):
            found.append((path, source))
        else:
            files = expand([path])
            names = source_names(files) if len(files) > 1 else (source,)
            found += [(str(file), name) for file, name in zip(files, names, strict=True)]
    return found


def is_retrieval_set(path: str | Path) -> bool:
    """Whether an input is a retrieval set rather than files of pairs: `sample`, an artifact of ours, or a folder
    or a name on the Hub that has a corpus.
    """
    if str(path) == SAMPLE and not Path(SAMPLE).exists():
        return True
    if hub.is_name(path):
        name = hub.HUB.pin(hub.parse(str(path)))
        with hub.HUB.tree(name) as root:
            return holds_set(root)
    root = folder_and_config(path)[0]
    if artifact.is_artifact(root):
        return (root / "qrels").is_dir()
    return root.is_dir() and holds_set(root)


def read_pair_rows(
    path: str,
    *,
    source: str,
    split: str = "train",
    fields: PairFields | None = None,
    min_score: float | None = None,
    group_regex: str = "",
) -> Iterator[PairRow | Broken]:
    """The rows of a retrieval set or of one file; `source` is that of rows that name none.

    With `min_score` a row of a file with a lower score, or without one, is broken. Raises `UserError` for what
    is not there, and for a file of which no row has a field that is needed.
    """
    if is_retrieval_set(path):
        yield from _of_retrieval_set(path, source=source, split=split, group_regex=group_regex)
        return
    fields = fields or PairFields()
    seen: dict[str, None] = {}
    has_given = False
    for row in progress(read_rows(path), f"reading {Path(path).name}", unit="row"):
        pair = row if isinstance(row, Broken) else _of_row(row, source, fields, min_score)
        if isinstance(pair, PairRow):
            has_given = True
        elif isinstance(row, Row) and len(seen) < 100:
            seen |= dict.fromkeys(row.values)
        yield pair
    if seen and not has_given:
        _check_fields(path, seen, fields)


def _of_retrieval_set(path: str, *, source: str, split: str, group_regex: str) -> Iterator[PairRow | Broken]:
    data = read_retrieval(path, split, group_regex=group_regex)
    yield from data.broken
    positives = data.positives()
    columns = (data.corpus.column(name).to_pylist() for name in ("_id", "title", "text", "lang", "group"))
    documents = {
        key: Text(f"{title or ''} {text}".strip(), lang, f"{source}/{group}" if group != key else "")
        for key, title, text, lang, group in zip(*columns, strict=True)
    }
    columns = (data.queries.column(name).to_pylist() for name in ("_id", "text", "lang"))
    for key, text, lang in zip(*columns, strict=True):
        yield PairRow(text, lang, source, [documents[name] for name in positives[key]], [])


def _of_row(row: Row, source: str, fields: PairFields, min_score: float | None) -> PairRow | Broken:
    values = row.values
    query = _text(_first(values, fields.query, _QUERY))
    if not query:
        return broken(row, "no-query")
    texts = [text for part in _many(_first(values, fields.document, _DOCUMENT)) if (text := _text(part))]
    if not texts:
        return broken(row, "no-document")
    if min_score is not None and (reason := _score_reason(lookup(values, fields.score), min_score)):
        return broken(row, reason)
    lang = _text(values.get("lang")) or UNKNOWN_LANGUAGE
    own, group = _text(values.get("lang_document")) or lang, _text(lookup(values, fields.group))
    wrong = [
        text for name in values if name in _NEGATIVE for part in _many(values[name]) if (text := _text(part))
    ]
    return PairRow(
        query,
        _text(values.get("lang_query")) or lang,
        _text(lookup(values, fields.source)) or source,
        [Text(text, own, group) for text in texts],
        [Text(text, own) for text in wrong],
    )


def _check_fields(path: str, seen: Mapping[str, None], fields: PairFields) -> None:
    """Of a file that gave nothing: raises `UserError` when that is because its columns have other names."""
    for part, asked, usual in (("query", fields.query, _QUERY), ("document", fields.document, _DOCUMENT)):
        names = (asked.split(".")[0],) if asked else usual
        if not any(name in seen for name in (asked, *names)):
            raise UserError(
                f"{path}: no row has a {part} ({asked or ', '.join(usual)}); the fields are"
                f" {', '.join(seen)}: name it with {part}_field"
            )


def _first(values: Mapping[str, Any], asked: str, usual: Sequence[str]) -> Any:
    if asked:
        return lookup(values, asked)
    return next((values[name] for name in usual if values.get(name) is not None), None)


def _many(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value
    else:
        yield value


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _score_reason(score: Any, least: float) -> str:
    if score is None or score == "":
        return "no-score"
    try:
        return "score-below-minimum" if not float(score) >= least else ""
    except (TypeError, ValueError):
        return "score-not-a-number"
