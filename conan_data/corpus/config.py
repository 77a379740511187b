"""What decides a clean corpus: languages, rules by script, and when two documents count as one.

`tasks` and `workers` say only how the work is cut and are no part of the identity: the output is the same,
byte for byte, for any of them.
"""

import dataclasses

from conan_data.config import StageConfig, execution, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class RulesConfig:
    """Thresholds below or above which a document is dropped; a share of 0 (minimum) or 1 (maximum) switches
    its rule off.
    """

    min_words: int = 8
    """Fewest words of a text in a script that puts spaces between words."""
    min_chars: int = 16
    """Fewest letters of a text in a script without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
    Tibetan).
    """
    max_chars: int = 1_000_000
    """Most characters of a text."""
    min_letters: float = 0.5
    """Smallest share of letters among the characters that are not white space; code, tables and numbers have
    few.
    """
    max_long_words: float = 0.4
    """Largest share of letters and digits in words of more than 24 of them, in scripts that have words;
    encoded data has no others.
    """
    min_prose: float = 0.4
    """Smallest share of the text that stands in passages of sentence length; menus, footers and link lists
    have few.
    """
    max_fragment_lines: float = 0.6
    """Largest share of lines that are short and end like no sentence, in texts with little prose
    (`fragment_prose`).
    """
    fragment_lines: int = 4
    """Fewest lines of a text that `max_fragment_lines` looks at."""
    fragment_prose: int = 300
    """Letters in passages of sentence length from which a text is no banner, however many fragments surround
    them.
    """
    sentence_letters: int = 30
    """Fewest letters of a passage of sentence length; a Chinese, Japanese or Korean character counts for
    three.
    """
    max_line_repeats: float = 0.3
    """Largest share of the text that stands in lines which were there before."""
    max_phrase_repeats: float = 0.3
    """Largest share of phrases (5 words, or 10 letters of scripts without spaces) that were there before."""

    def __post_init__(self) -> None:
        for field in (
            "min_words",
            "min_chars",
            "max_chars",
            "fragment_lines",
            "fragment_prose",
            "sentence_letters",
        ):
            require(getattr(self, field) >= 1, f"rules.{field}", getattr(self, field), "must be at least 1")
        for field in (
            "min_letters",
            "max_long_words",
            "min_prose",
            "max_fragment_lines",
            "max_line_repeats",
            "max_phrase_repeats",
        ):
            require(
                0 <= getattr(self, field) <= 1,
                f"rules.{field}",
                getattr(self, field),
                "must be a share between 0 and 1",
            )
        require(
            self.max_chars >= self.min_chars,
            "rules.max_chars",
            self.max_chars,
            f"must not be less than rules.min_chars ({self.min_chars})",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """MinHash with banding finds candidates; the exact Jaccard similarity of their shingles decides."""

    num_bands: int = 14
    """Bands of a signature; two documents with one equal band are candidates."""
    rows_per_band: int = 8
    """Hashes of a band; more of them need a higher similarity to be found."""
    ngram: int = 5
    """Units (words, or letters of scripts without spaces) of a shingle."""
    threshold: float = 0.8
    """Smallest Jaccard similarity of two documents' shingles at which the second one is dropped."""
    seed: int = 1
    """Seed of the hash functions."""

    def __post_init__(self) -> None:
        for field in ("num_bands", "rows_per_band", "ngram"):
            require(getattr(self, field) >= 1, f"dedup.{field}", getattr(self, field), "must be at least 1")
        require(0 < self.threshold <= 1, "dedup.threshold", self.threshold, "must be above 0 and at most 1")
        require(self.seed >= 0, "dedup.seed", self.seed, "must not be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildCorpusConfig(StageConfig):
    """Raw documents in, one clean and deduplicated document a row out, by language."""

    input: tuple[str, ...]
    """Files, folders, globs, corpus artifacts, or `sample` for the texts that come with the package."""
    languages: tuple[str, ...]
    """ISO 639-1 codes of the languages to keep."""
    min_lang_score: float = 0.4
    """Smallest probability of a language guess that is believed without, or against, a declared label."""
    group_field: str = ""
    """Field of a row, such as `metadata.passage`, whose value names documents that say the same thing; empty:
    each stands for itself.
    """
    rules: RulesConfig = dataclasses.field(default_factory=RulesConfig)
    """Length, symbol, boilerplate and repetition rules."""
    dedup: DedupConfig = dataclasses.field(default_factory=DedupConfig)
    """Duplicate removal."""
    tasks: int = execution(0)
    """Parts the input is cut into; 0: four a worker, or one where there is one worker."""
    workers: int = execution(1)
    """Processes that work on them."""

    def __post_init__(self) -> None:
        require(len(self.input) > 0, "input", self.input, "name at least one file, folder or glob")
        require(
            len(self.languages) > 0, "languages", self.languages, "name at least one language, such as en"
        )
        require(
            len(set(self.languages)) == len(self.languages),
            "languages",
            self.languages,
            "name each language once",
        )
        require(
            0 <= self.min_lang_score <= 1, "min_lang_score", self.min_lang_score, "must be between 0 and 1"
        )
        require(self.tasks >= 0, "tasks", self.tasks, "must not be negative")
        require(self.workers >= 1, "workers", self.workers, "must be at least 1")

    @property
    def num_tasks(self) -> int:
        """Parts the input is cut into."""
        return self.tasks or (1 if self.workers == 1 else 4 * self.workers)
