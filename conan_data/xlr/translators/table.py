"""Translations that exist already, such as those made by people, looked up by query and language."""

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.xlr.languages import match
from conan_data.xlr.translators import Failure, Request, Translation

FIELDS = ("query_id", "lang", "text")


class TableTranslator:
    """Looks translations up.

    Of several that stand for the same language of the mix, the one whose label is written like it wins, then
    the first label by name.
    """

    name = "a table of translations"

    def __init__(self, rows: Iterable[Mapping[str, Any]], languages: Iterable[str]) -> None:
        """`rows` with query_id, lang, text and maybe origin, no (query_id, lang) twice."""
        languages = tuple(languages)
        self._found: dict[str, dict[str, tuple[bool, str, Translation]]] = {}
        matched: dict[str, str | None] = {}
        for row in rows:
            label = row["lang"]
            if label not in matched:
                matched[label] = match(label, languages)
            language = matched[label]
            if language is None:
                continue
            entry = (
                label.lower().replace("-", "_") != language.lower().replace("-", "_"),
                label,
                Translation(row["text"], row.get("origin") or "table"),
            )
            of_query = self._found.setdefault(row["query_id"], {})
            if language not in of_query or entry[:2] < of_query[language][:2]:
                of_query[language] = entry

    def available(self, query_id: str) -> frozenset[str]:
        return frozenset(self._found.get(query_id, ()))

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        for request in requests:
            found = self._found.get(request.query_id, {}).get(request.language)
            yield found[2] if found else Failure("no-translation")


def read_table(path: str | Path) -> tuple[list[dict[str, Any]], list[Broken]]:
    """The usable rows of a translations file, and the others. Raises `UserError` when there is no such file,
    or a field is in no row.
    """
    if not Path(path).is_file():
        raise UserError(f"table.path: {path}: no such file")
    usable: list[dict[str, Any]] = []
    refused: list[Broken] = []
    seen: set[tuple[str, str]] = set()
    fields: set[str] = set()
    for row in read_rows(path):
        if isinstance(row, Broken):
            refused.append(row)
            continue
        fields.update(row.values)
        problem = _problem(row, seen)
        if problem:
            refused.append(broken(row, problem))
            continue
        seen.add((row.values["query_id"], row.values["lang"]))
        usable.append(row.values)
    absent = next((name for name in FIELDS if name not in fields), None)
    if absent is not None:
        raise UserError(
            f"{path}: no row has the field {absent!r}; needed are {', '.join(FIELDS)}, found {', '.join(sorted(fields)) or 'none'}"
        )
    return usable, refused


def _problem(row: Row, seen: set[tuple[str, str]]) -> str:
    """Why a row cannot be used, "" where it can. An empty text is for the checks to refuse and count, by
    language.
    """
    for name in FIELDS:
        value = row.values.get(name)
        if not isinstance(value, str) or (name != "text" and not value.strip()):
            return f"no-{name}"
    return "duplicate-translation" if (row.values["query_id"], row.values["lang"]) in seen else ""
