"""Thresholds of the rules."""

import dataclasses
from typing import Annotated

from conan_data.config import Config, require
from conan_data.fields import Count, NonNegativeFloat, NonNegativeInt, Rule, Share

NOT_ONE = Rule("must be 0 (off), or at least 2", lambda value: value != 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RulesConfig(Config):
    """Thresholds below or above which a document is dropped; a share of 0 (minimum) or 1 (maximum) and a
    number of 0 switch their rule off. No rule but `max_chars` looks at blocks of code, between lines of three
    backquotes or tildes (the `pre` of web pages come so).
    """

    min_words: Count = 8
    """Fewest words of a text in a script that puts spaces between words."""
    min_chars: Count = 16
    """Fewest letters of a text in a script without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese,
    Tibetan).
    """
    max_chars: Count = 1_000_000
    """Most characters of a text."""
    min_letters: Share = 0.5
    """Smallest share of letters among the characters that are not white space; code, tables and numbers have
    few.
    """
    min_alphabetic_words: Share = 0.7
    """Smallest share of words that hold a letter (Gopher: .8, with signs counted as words)."""
    max_long_words: Share = 0.4
    """Largest share of letters and digits in words of more than 24 of them; encoded data has no others."""
    max_mixed_words: Share = 0.3
    """Largest share of letters and digits in words that mix small letters, capitals and digits all over
    (base64, keys, hashes).
    """
    min_mean_word: NonNegativeFloat = 0.5
    """Smallest mean length of words, as a part of what is usual in the language (Gopher: 3 letters); 0: off."""
    max_mean_word: NonNegativeFloat = 2.0
    """Largest mean length of words, as a multiple of what is usual in the language (Gopher: 10 letters); 0:
    off.
    """
    max_symbols: Share = 0.1
    """Most hash signs, and most ellipses, per word (Gopher)."""
    max_braces: Share = 1.0
    """Most curly braces per word; 1: off. C4 allows none, which costs every page about programming; what is
    nothing but code goes by `max_code_lines`.
    """
    min_prose: Share = 0.4
    """Smallest share of the text that stands in passages of sentence length; menus, footers and link lists
    have few.
    """
    min_sentences: NonNegativeInt = 1
    """Fewest passages of sentence length (C4: 5)."""
    max_fragment_lines: Share = 0.6
    """Largest share of lines that are short and end like no sentence, in texts with little prose
    (`fragment_prose`).
    """
    fragment_lines: Count = 4
    """Fewest lines of a text from which on the rules on lines apply: max_fragment_lines, max_bullet_lines,
    max_ellipsis_lines, min_ended_lines, max_short_lines, min_line_letters and max_code_lines.
    """
    fragment_prose: Count = 300
    """Letters in passages of sentence length from which a text is no banner, however many fragments surround
    them.
    """
    sentence_letters: Count = 30
    """Fewest letters of a passage of sentence length; a Chinese, Japanese or Korean character counts for
    three.
    """
    max_bullet_lines: Share = 0.9
    """Largest share of lines that begin with a bullet (Gopher)."""
    max_ellipsis_lines: Share = 0.3
    """Largest share of lines that end with an ellipsis (Gopher)."""
    min_ended_lines: Share = 0.12
    """Smallest share of lines that end like a sentence in their script (FineWeb); not for Thai and its
    neighbours, whose sentences end with nothing.
    """
    max_short_lines: Share = 0.8
    """Largest share of lines with fewer letters than a sentence (FineWeb: .67 of 30 characters; talk and verse
    have more).
    """
    min_line_letters: NonNegativeFloat = 12.0
    """Fewest letters a line on average (FineWeb: .3 line ends for each word, or 16 letters a line)."""
    max_code_lines: Share = 0.5
    """Largest share of lines that end with `;` or a curly brace."""
    max_line_repeats: Share = 0.3
    """Largest share of the text that stands in lines which were there before (Gopher: .2, FineWeb: .01)."""
    max_duplicate_lines: Share = 0.3
    """Largest share of lines that were there before (Gopher)."""
    max_paragraph_repeats: Share = 0.2
    """Largest share of the text that stands in paragraphs which were there before (Gopher)."""
    max_duplicate_paragraphs: Share = 0.3
    """Largest share of paragraphs that were there before (Gopher)."""
    max_phrase_repeats: Share = 0.3
    """Largest share of phrases (5 words, or 10 letters of scripts without spaces) that were there before."""
    max_passage_repeats: Share = 0.2
    """Largest share of phrases of twice that length that were there before (Gopher: .1 of the text)."""
    max_top_phrase: Share = 0.3
    """Largest share of letters and digits in one phrase of two words (4 letters of scripts without spaces)
    that is there four times or more; for three and four words, 0.9 and 0.8 of it (Gopher: .2, .18 and .16 of
    all characters).
    """
    min_stop_words: NonNegativeInt = 2
    """Fewest different stop words, in languages that have a list (Gopher)."""
    stop_word_length: NonNegativeInt = 30
    """Fewest words of a text that must have stop words; two letters of scripts without spaces count for one."""
    drop_placeholders: bool = True
    """Drop texts with `lorem ipsum` (C4)."""
    max_notices: Share = 0.5
    """Largest share of the text in short lines on scripts, cookies and terms of use (C4 takes each out)."""
    boilerplate_documents: Annotated[NonNegativeInt, NOT_ONE] = 0
    """Documents of one host (of one file, where there is no `url`) from which on a line that is in all of them
    is boilerplate, and is taken out; 0: none is. Costs a second reading of the input.
    """

    def check(self) -> None:
        super().check()
        require(
            self.max_chars >= self.min_chars,
            "max_chars",
            self.max_chars,
            f"must not be less than min_chars ({self.min_chars})",
        )
