"""Make candidates for pairs out of documents, kind by kind.

A document whose parts are there gives one candidate for each kind, and one for each section: a title with the text, a
heading with its section (after the title, which says what "Options" are options of), a question with its answer, the
first sentence with the rest, a summary with the text, an anchor text with the passage that it cites. A title or heading
that is a question makes a question with an answer. Nothing is judged here (see `admit`).
"""

import re
from collections.abc import Iterator

import polars as pl

from conan_data.build_pairs.config import PairRules
from conan_data.build_pairs.sections import HAS_HEADING, sections

COLUMNS = ("query", "document", "kind", "lang_query", "lang_document", "source", "group", "host")
"""Columns of a frame of candidates."""
SYMMETRIC = ("parallel", "translation")
"""Kinds whose sides are the same text in two languages."""
_QUESTION = r"[?？؟]\s*$"
_HEADINGS = r"^(?:#{1,6}[ \t][^\n]*\n+)+"
_START = r"^([^\n#|>`*-][^\n]{18}[^\n]*?"
_FIRST_SENTENCE = rf"""{_START}[.!?؟।…]["'»”)\]]*)\s+[^\p{{Ll}}\s]|{_START}[。！？]["』」）]*)\s*\S"""
"""A sentence of 20 characters or more at the beginning of a text, and what shows that another one follows."""


def direction(query: str, document: str) -> str:
    """Return the name of a pair's languages: `de`, or `de-en` where they differ."""
    return document if query == document else f"{query}-{document}"


def candidates(documents: pl.DataFrame, rules: PairRules) -> Iterator[pl.DataFrame]:
    """Yield frames of candidates of the documents of one source, each of one kind or two, without those that lack a
    part.
    """
    documents = documents.with_columns(body=_body())
    pairs = {
        "title-body": ("title", "body"),
        "question-answer": ("question", "answer"),
        "summary-text": ("summary", "text"),
        "citation": ("anchor", "passage"),
    }
    for kind, (query, document) in pairs.items():
        if kind in rules.kinds:
            chosen = documents.filter(pl.col(query).is_not_null() & pl.col(document).is_not_null())
            yield from _made(chosen, pl.col(query), pl.col(document), kind, rules)
    if "heading-section" in rules.kinds:
        chosen = documents.filter(pl.col("text").str.contains(HAS_HEADING))
        yield from _made(_sections(chosen), pl.col("heading"), pl.col("section"), "heading-section", rules)
    if "first-rest" in rules.kinds:
        cut = documents.with_columns(body=pl.col("body").str.replace(_HEADINGS, ""))
        found = pl.col("body").str.extract_groups(_FIRST_SENTENCE).struct
        cut = cut.with_columns(first=pl.coalesce(found.field("1"), found.field("2")))
        cut = cut.filter(pl.col("first").is_not_null()).with_columns(
            rest=pl.col("body").str.strip_prefix(pl.col("first")).str.strip_chars_start()
        )
        yield from _made(cut, pl.col("first"), pl.col("rest"), "first-rest", rules)


def _made(
    documents: pl.DataFrame, query: pl.Expr, document: pl.Expr, kind: str, rules: PairRules
) -> Iterator[pl.DataFrame]:
    if documents.is_empty():
        return
    name = pl.lit(kind)
    if kind in ("title-body", "heading-section") and "question-answer" in rules.kinds:
        name = pl.when(query.str.contains(_QUESTION)).then(pl.lit("question-answer")).otherwise(name)
    yield documents.select(
        query.alias("query"),
        document.alias("document"),
        name.alias("kind"),
        pl.col("lang").alias("lang_query"),
        pl.col("lang").alias("lang_document"),
        "source",
        (pl.col("source") + "/" + pl.col("group")).alias("group"),
        "host",
    )


def _body() -> pl.Expr:
    """The text without the title where it begins with it; null where nothing else is left."""
    lines = pl.col("text").str.strip_chars_start().str.splitn("\n", 2).struct
    first = lines.field("field_0").str.strip_chars("# \t\r").str.to_lowercase()
    begins = first == pl.col("title").str.strip_chars().str.to_lowercase()
    return pl.when(begins).then(lines.field("field_1").str.strip_chars_start()).otherwise(pl.col("text"))


def _sections(documents: pl.DataFrame) -> pl.DataFrame:
    found = [sections(text) for text in documents.get_column("text").to_list()]
    rows = [row for row, parts in enumerate(found) for _ in parts]
    titles = documents.get_column("title").to_list()
    headings = [
        heading if _words(titles[row] or "") in _words(heading) else f"{titles[row]}: {heading}"
        for row, parts in enumerate(found)
        for heading, _ in parts
    ]
    return documents[rows].with_columns(
        heading=pl.Series(headings, dtype=pl.String),
        section=pl.Series([body for parts in found for _, body in parts], dtype=pl.String),
    )


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
