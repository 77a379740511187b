"""Configuration of `conan-data build-pairs`: what is read, which pairs are made of it, and which are kept."""

import dataclasses
from typing import Annotated, Literal, get_args

from annotated_types import MinLen

from conan_data.config import Config, StageConfig, require
from conan_data.fields import DISTINCT, Count, FieldError, FileName, Name, NonNegativeInt, Share, nearest
from conan_data.inputs import DataPaths
from conan_data.readers.config import ExtractConfig

Kind = Literal[
    "title-body",
    "heading-section",
    "question-answer",
    "first-rest",
    "summary-text",
    "citation",
    "parallel",
    "translation",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
FIELDS: dict[str, tuple[str, ...]] = {
    "source": ("source", "metadata.source"),
    "id": ("id", "_id", "metadata.id"),
    "lang": ("lang", "language", "metadata.lang"),
    "url": ("url", "metadata.url"),
    "host": ("host",),
    "group": ("group", "metadata.group", "metadata.passage"),
    "title": ("title", "metadata.title"),
    "text": ("text", "body", "content", "article", "document"),
    "question": ("question",),
    "answer": ("answer", "answers", "response"),
    "summary": ("summary", "abstract", "highlights"),
    "anchor": ("anchor", "anchor_text", "citation"),
    "passage": ("passage", "cited_text", "cited_passage"),
}
"""The parts of a document, and the fields that hold them unless `fields` says otherwise; the first with a value counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairRules(Config):
    """Which pairs are made of the documents of a source, and their limits. Lengths are in characters."""

    kinds: Annotated[tuple[Kind, ...], MinLen(1), DISTINCT] = KINDS
    """Kinds of pairs; a document gives those for which it has the parts."""
    fields: dict[str, Name] = dataclasses.field(default_factory=dict)
    """Fields that hold the parts of a document, where they have other names: {title: headline, answer: reply.text}."""
    min_query: Count = 3
    """Shortest query."""
    max_query: Count = 1000
    """Longest query; of parallel passages and translations it is `max_document`."""
    min_document: Count = 20
    """Shortest document; of parallel passages and translations it is `min_query`."""
    max_document: Count = 8000
    """Longest document; what goes beyond is cut off, and counted."""
    max_pairs: Count | None = None
    """Largest number of pairs of the source, drawn by their hashes; None for all."""

    def check(self) -> None:
        super().check()
        for name in self.fields:
            if name not in FIELDS:
                parts = ", ".join(FIELDS)
                raise FieldError(
                    ("fields", name),
                    f"is no part of a document{nearest(name, FIELDS)}; the parts are {parts}",
                )
        require(self.max_query >= self.min_query, "max_query", self.max_query, "must be at least min_query")
        require(
            self.max_document >= self.min_document,
            "max_document",
            self.max_document,
            "must be at least min_document",
        )

    def paths(self, part: str) -> tuple[str, ...]:
        """Return the fields that may hold a part, the first with a value counts."""
        return (self.fields[part],) if part in self.fields else FIELDS[part]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildPairsConfig(StageConfig):
    """Texts with structure in, pairs of a query and a document that belong together out."""

    input: DataPaths = ()
    """Documents: files, folders, globs, corpus artifacts, data sets on the Hub or `sample`; and translations in `.po` and `.tmx`
    files.
    """
    moses: DataPaths = ()
    """Aligned text files, two and two, line by line; a file's last ending names its language: news.de news.en."""
    rules: PairRules = dataclasses.field(default_factory=PairRules)
    """Rules of the sources that `sources` does not name."""
    sources: dict[str, PairRules] = dataclasses.field(default_factory=dict)
    """Rules by source, in a recipe: {wiki: {kinds: [title-body]}}. A row's source is its field `source`, or else the name of
    its file or folder up to the first dot.
    """
    language: FileName = "und"
    """Language of documents that name none."""
    source_language: FileName = "en"
    """Language that translations are made from: of `.po` files, and the one that untranslated sides are in."""
    check_language: Literal["all", "aligned", "none"] = "all"
    """Where a side that is still in the source language is looked for: in all pairs, in those of two languages, or nowhere."""
    max_untranslated: Share = 0.5
    """Largest share of a translation's prose that may stand in its source word for word, in whole lines."""
    pairs_per_group: Count = 8
    """Largest number of pairs of the passages of one group, drawn by their hashes."""
    max_repeats: Count = 3
    """Pairs with the same query, or the same document, that are kept: the first. Those in other languages count apart."""
    boilerplate: Count = 20
    """A side that stands in more pairs than this is boilerplate, and all of them are dropped."""
    max_per_host: NonNegativeInt = 10_000
    """Largest number of pairs from one host, drawn by their hashes; 0 for no limit."""
    shard_pairs: Count = 1_000_000
    """Pairs of one output file."""
    extract: ExtractConfig = dataclasses.field(default_factory=ExtractConfig)
    """How web pages become text; their headings are always read as Markdown."""

    def check(self) -> None:
        super().check()
        require(
            len(self.input) + len(self.moses) > 0, "input", self.input, "name at least one file, or moses"
        )

    def rules_of(self, source: str) -> PairRules:
        """Return the rules of a source."""
        return self.sources.get(source, self.rules)
