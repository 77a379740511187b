"""Pairs as `instruction, input, output`: what a language model is told, by kind of pair and language of the query.

The texts are in `instructions.yaml`; a query in a language that has none there gets the English ones.
"""

from functools import cache
from importlib.resources import files

import polars as pl
import yaml

ENGLISH = "en"
COLUMNS = ("instruction", "input", "output")


@cache
def instructions() -> dict[str, dict[str, str]]:
    """Return the instruction by language and kind; `pair` is for kinds that have none of their own."""
    return yaml.safe_load((files("conan_data.score_pairs") / "instructions.yaml").read_text(encoding="utf-8"))


def instruction_of(kind: str, lang_query: str, lang_document: str) -> str:
    """Return the instruction of a pair; {language} in it is the document's, by its name in the instruction's language."""
    language = lang_query if lang_query in instructions() else ENGLISH
    own = instructions()[language]
    return own.get(kind, own["pair"]).replace("{language}", _name_of(lang_document, language))


def with_instructions(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the `COLUMNS` of pairs."""
    cases = pairs.select("kind", "lang_query", "lang_document").unique(maintain_order=True)
    told = pl.Series("instruction", [instruction_of(*case) for case in cases.iter_rows()], pl.String)
    joined = pairs.join(
        cases.with_columns(told),
        on=["kind", "lang_query", "lang_document"],
        how="left",
        maintain_order="left",
    )
    return joined.select("instruction", input="query", output="document")


@cache
def _name_of(language: str, instruction_language: str) -> str:
    from babel.core import Locale

    names = Locale.parse(instruction_language.replace("-", "_")).languages
    return names.get(language.replace("-", "_"), names.get(language.split("-")[0], language))
