"""Thresholds of the rules."""

import dataclasses

from conan_data.config import require


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
