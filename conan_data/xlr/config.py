"""What decides a cross-lingual retrieval set: the set it comes from, the languages asked for, who translates,
and what is refused.
"""

import dataclasses
import re
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, Lt, MinLen

from conan_data.cards.licenses import LicenseName
from conan_data.config import Config, Memory, StageConfig, execution, require
from conan_data.fields import (
    DISTINCT,
    FILE_NAME,
    WORD,
    Count,
    FieldError,
    FileName,
    GroupRegex,
    NonNegativeInt,
    PositiveFloat,
    Share,
    nearest,
)
from conan_data.inputs import DataPath, OptionalModelPath, RequiredDataPath
from conan_data.xlr.translators_config import TranslatorsConfig

_TAG = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestConfig(Config):
    """The check that a translation's own query is among the nearest of all queries; empty model: not done."""

    model: OptionalModelPath = ""
    """Encoder that compares queries across languages (folder, artifact, or Hub id with an optional @revision)."""
    k: Count = 5
    """Refuse a translation whose own query is not among its k nearest of all queries of the set."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included."""
    device: str = "auto"
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""
    memory: Memory = execution("500MB")
    """Working memory of the search, beside the model and the texts."""


CheckName: TypeAlias = Literal[
    "same", "length", "lines", "undecoded", "remarks", "refusal", "prompt", "repeats", "ending", "code", "urls",
    "placeholders", "names", "numbers", "script", "chinese-script", "language", "duplicates", "translator",
]  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChecksConfig(Config):
    """What is refused as a translation; an empty one always is."""

    skip: Annotated[tuple[CheckName, ...], DISTINCT] = ()
    """Checks that are not made."""
    by_language: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    """Other thresholds for some languages of the mix, such as {ja: {max_length_ratio: 6}}."""
    max_rival: Annotated[float, Ge(0.5), Le(1)] = 0.95
    """language: probability at which another language is believed, in a choice between it and the one asked for."""
    min_length_ratio: Annotated[float, Ge(0), Lt(1)] = 0.2
    """length: shortest translation, as a ratio to its source (in columns on a terminal, 3 added to both)."""
    max_length_ratio: Annotated[float, Gt(1)] = 4.0
    """length: longest translation, as a ratio to its source."""
    max_extra_lines: NonNegativeInt = 0
    """lines: line breaks beyond those of the source."""
    max_undecoded: NonNegativeInt = 0
    """undecoded: replacement characters (U+FFFD) beyond those of the source."""
    max_remarks: NonNegativeInt = 0
    """remarks: signs of a remark (a phrase, a label, quotation marks around it) that the source lacks."""
    max_bracket_share: Share = 0.5
    """remarks: share of the characters that stand in brackets, beyond that of the source."""
    max_refusals: NonNegativeInt = 0
    """refusal: 1 lets phrases of a model that refuses pass."""
    max_prompt_leaks: NonNegativeInt = 0
    """prompt: sequences of four words of the prompt that the source lacks."""
    max_repeated: Share = 0.2
    """repeats: share of a translation's sequences of 8 characters that stand in it before, beyond that of the source."""
    max_lost_ends: NonNegativeInt = 0
    """ending: marks that are missing: the one that ends the last sentence, closing brackets, backticks."""
    max_changed_code: NonNegativeInt = 0
    """code: spans of inline code in the place of others."""
    min_code_kept: Share = 0.0
    """code: share of the source's spans of inline code that must be in the translation."""
    min_urls_kept: Share = 1.0
    """urls: share of the source's addresses that must be in the translation."""
    min_placeholders_kept: Share = 1.0
    """placeholders: share of the source's placeholders ({x}, {{x}}, <x>, %s, $X) that must be in the translation."""
    min_names_kept: Share = 1.0
    """names: share of the source's names in quotation marks that must be in the translation."""
    max_changed_numbers: NonNegativeInt = 0
    """numbers: numbers that are left out or invented, words for numbers set aside."""
    min_script_share: Share = 0.05
    """script: share of the letters that must be of a script that the language is written in."""
    max_foreign_share: Share = 0.02
    """script: share of the letters that may be of a script of neither the language nor the source nor Latin."""
    max_other_chinese: Share = 0.3
    """chinese-script: share of traditional characters in simplified Chinese, or the other way round, among those of
    one script alone.
    """
    max_same: Count = 1
    """duplicates: different sources that one translation may stand for in a language."""
    min_passed: Share = 0.5
    """translator: share of a translator's answers into a language that must pass all other checks, where it gave 20 or
    more; below it none is kept.
    """
    nearest: NearestConfig = dataclasses.field(default_factory=NearestConfig)
    """Compare each translation with all queries by an encoder."""

    def check(self) -> None:
        super().check()
        for language, values in self.by_language.items():
            for name, value in values.items():
                path = f"by_language.{language}.{name}"
                require(name in THRESHOLDS, path, value, f"is no threshold{nearest(name, THRESHOLDS)}")
                require_language("by_language", language)
            self.of(language)

    def of(self, language: str) -> dict[str, float]:
        """Return the value of each threshold for a language of the mix."""
        own = self.by_language.get(language, {})
        try:
            values: dict[str, Any] = {name: _number(value) for name, value in own.items()}
            config = dataclasses.replace(self, by_language={}, **values)
        except FieldError as error:
            raise FieldError(("by_language", language, *error.path), error.template) from None
        return {name: getattr(config, name) for name in THRESHOLDS}


THRESHOLDS = tuple(
    field.name for field in dataclasses.fields(ChecksConfig) if field.name.startswith(("min_", "max_"))
)
"""Fields of `ChecksConfig` that may have another value for a language."""


def _number(value: float) -> float:
    """A whole number as an integer, for thresholds that count."""
    return int(value) if value.is_integer() else value


def require_language(field: str, label: str) -> None:
    """Raise `FieldError` for a label that is written like none."""
    require(_TAG.fullmatch(label) is not None, field, label, "must be a language code such as de or zh_TW")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(Config):
    """What `report.html` shows."""

    encoder: OptionalModelPath = ""
    """Encoder whose recall and language bias are measured on the set (folder, artifact, or Hub id with an optional
    @revision); empty: none.
    """
    k: Count = 5
    """Nearest texts that are looked at."""
    sample: Count = 500
    """Source queries that the encoder reads, with all their versions; chosen by a hash of their ids."""
    documents: Count = 1000
    """Documents that it reads."""
    examples: NonNegativeInt = 3
    """Dropped translations that are shown for each reason."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included."""
    device: str = "auto"
    """Where to encode: auto, cpu, cuda, cuda:1, mps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetConfig(Config):
    """One of several sets whose queries and passages are built together."""

    data: RequiredDataPath
    """A BEIR folder, one of our retrieval sets, a data set on the Hub, or `sample`."""
    split: Annotated[FileName, WORD] = "train"
    """Split of the set that is read."""
    weight: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of its queries that is taken, by a hash of each query's id."""
    license: LicenseName = ""
    """Licence of its texts, for the manifest and the card, such as cc-by-sa-4.0."""
    group_regex: GroupRegex = ""
    """Names the group of a document, as the field of the same name of the command does for `data`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildXlrConfig(TranslatorsConfig, StageConfig):
    """A retrieval set in, the same passages with queries in many languages out."""

    data: DataPath = ""
    """A BEIR folder, one of our retrieval sets, or `sample` for the one that comes with the package."""
    sets: dict[str, SetConfig] = dataclasses.field(default_factory=dict)
    """Several sets in place of `data`, by name, such as {tldr: {data: tldr, weight: 0.5, license: cc-by-4.0}}. The
    ids of a set's queries and documents, in the result and in `table.path`, are NAME/ID.
    """
    mix: Annotated[dict[str, PositiveFloat], MinLen(1)]
    """Share of each language among the queries, such as {en: 25, zh: 12, es: 8}; divided by their sum."""
    split: Annotated[FileName, WORD] = "train"
    """Split of `data` that is read; with `sets`, the name of the split that is written."""
    out_split: Annotated[str, WORD] = ""
    """Name of the split that is written; empty: the same."""
    splits: dict[str, PositiveFloat] = dataclasses.field(default_factory=dict)
    """Share of each split to be written, such as {train: 8, dev: 1, test: 1}, in place of `out_split`. All versions of
    a query, and queries of equal text, fall into one.
    """
    languages_per_query: Count | Literal["all"] = 1
    """Languages that each query gets, fewer where the translator has fewer; `all` for those of the mix."""
    unmatched: Literal["drop", "source"] = "drop"
    """A query that can be had in no language of the mix: dropped (`no-translation`), or kept as it is in its
    own language.
    """
    seed: NonNegativeInt = 0
    """Seed of the choice of languages, of the share of each set, and of the splits."""
    workers: Count = execution(1)
    """Processes that check translations."""
    group_regex: GroupRegex = ""
    """Regular expression whose first bracketed part, in a document's id, names its group, such as ^(.*)@ for
    page@de and page@fr.
    """
    checks: ChecksConfig = dataclasses.field(default_factory=ChecksConfig)
    """What is refused as a translation."""
    report: ReportConfig = dataclasses.field(default_factory=ReportConfig)
    """What the report shows."""

    def check(self) -> None:
        super().check()
        for language in self.mix:
            require_language("mix", language)
        same = [name.lower().replace("-", "_") for name in self.mix]
        require(len(set(same)) == len(same), "mix", sorted(self.mix), "names a language twice")
        require(
            self.languages_per_query == "all" or self.languages_per_query <= len(self.mix),
            "languages_per_query",
            self.languages_per_query,
            f"the mix has only {len(self.mix)} languages",
        )
        require(bool(self.data) != bool(self.sets), "data", self.data, "or sets must be given, and not both")
        require(
            not (self.sets and self.group_regex),
            "group_regex",
            self.group_regex,
            "belongs to each of the sets",
        )
        for name in self.sets:
            require(FILE_NAME.holds(name), "sets", name, f"the name {FILE_NAME.text}")
        for name in self.splits:
            require(bool(name) and WORD.holds(name), "splits", name, f"the name {WORD.text}, and not empty")
        require(
            not (self.splits and self.out_split), "out_split", self.out_split, "has no place beside splits"
        )

    @property
    def named_sets(self) -> dict[str, SetConfig]:
        """Return the sets by name; `data` alone has the name ""."""
        alone = (
            SetConfig(data=self.data, split=self.split, group_regex=self.group_regex) if self.data else None
        )
        return {"": alone} if alone else self.sets

    @property
    def num_languages(self) -> int:
        """Return how many languages a query gets at most."""
        return len(self.mix) if self.languages_per_query == "all" else self.languages_per_query

    @property
    def written_splits(self) -> tuple[str, ...]:
        """Return the names of the splits that are written."""
        return tuple(sorted(self.splits)) or (self.out_split or self.split,)
