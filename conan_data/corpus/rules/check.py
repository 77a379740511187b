"""Rules that say why a document is no use: too short, no language, boilerplate, or the same again and again.

They look at lengths in units, at shares of letters, at passages between ends of sentences and separators, and
at repeats, so they hold for every script (a cookie banner is caught by its buttons, a menu by its lines that
end like no sentence). What depends on the language, the length of its words and its stop words, is in
`profiles`; the few words that are the same everywhere are in `notices`. The first rule that a document breaks
is its reason.

The rules are those of Gopher (Rae et al. 2021, table A1), C4 (Raffel et al. 2020) and FineWeb (Penedo et al.
2024), restated so that they hold for texts of a few sentences and without spaces; which of theirs one stands
for is said at its threshold in `config`. What they cannot see: well-formed prose that is useless, such as a
licence text; repeats of it over documents are the dedup's, or `boilerplate`'s. Blocks of code are no prose by nature:
the rules look at the text around them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.rules.measures import Count, Measure, StopTable
from conan_data.corpus.rules.notices import NOTICE_LETTERS, is_placeholder, notice_share
from conan_data.corpus.rules.profiles import Profile, profile
from conan_data.text.code import without_code


@dataclass(frozen=True, slots=True)
class Drop:
    """The rule that a document breaks, and the value that breaks it."""

    reason: str
    detail: str


class Share(NamedTuple):
    """A rule: the first count over the second must lie between `least` and `most`, where `applies` (None:
    always) says that it can be asked.
    """

    reason: str
    part: int
    whole: int
    least: float
    most: float
    applies: Callable[[list[int]], bool] | None = None


def check(text: str, config: RulesConfig, *, lang: str = "") -> Drop | None:
    """The first rule that `text` (normalised) breaks, None for a good one; without `lang` the rules that need
    a language are not asked.
    """
    return checker(config).check(text, lang)


class Checker:
    """The rules of a config, made ready once for each language."""

    def __init__(self, config: RulesConfig, *, measure: Measure | None = None) -> None:
        """`measure` counts; without one the fastest does that can be had."""
        self._config = config
        self._measure = measure or fastest()
        self._by_lang: dict[str, tuple[StopTable, list[Share]]] = {}

    def check(self, text: str, lang: str = "") -> Drop | None:
        """See `check`."""
        config = self._config
        if not text:
            return Drop("empty", "0")
        if len(text) > config.max_chars:
            return Drop("too-long", f"{len(text)} characters")
        text = without_code(text)
        stop, shares = self._by_lang.get(lang) or self._prepare(lang)
        counts = self._measure(text, sentence_letters=config.sentence_letters, stop=stop)
        unspaced = _unspaced(counts)
        if counts[_UNITS] < (config.min_chars if unspaced else config.min_words):
            return Drop("too-short", f"{counts[_UNITS]} {'letters' if unspaced else 'words'}")
        if config.drop_placeholders and is_placeholder(text):
            return Drop("placeholder-text", "lorem ipsum")
        for reason, part, whole, least, most, applies in shares:
            size = counts[whole] or 1
            if not least * size <= counts[part] <= most * size and (applies is None or applies(counts)):
                return Drop(reason, f"{counts[part] / size:.2f}")
        if counts[_SENTENCES] < config.min_sentences:
            return Drop("few-sentences", str(counts[_SENTENCES]))
        asks_stop_words = stop.num_words and counts[_RUNNING_WORDS] >= config.stop_word_length
        if asks_stop_words and counts[_STOP_WORDS] < config.min_stop_words:
            return Drop("few-stop-words", str(counts[_STOP_WORDS]))
        can_be_notices = counts[_ALL_LINES] * NOTICE_LETTERS > config.max_notices * counts[_LINE_CHARS]
        if config.max_notices < 1 and can_be_notices and (share := notice_share(text)) > config.max_notices:
            return Drop("notices", f"{share:.2f}")
        return None

    def _prepare(self, lang: str) -> tuple[StopTable, list[Share]]:
        found = profile(lang)
        shares = [
            share._replace(part=int(share.part), whole=int(share.whole))
            for share in _shares(self._config, found)
            if share.least > 0 or share.most < _NO_LIMIT
        ]
        self._by_lang[lang] = StopTable(found.stop_words), shares
        return self._by_lang[lang]


checker = lru_cache(maxsize=8)(Checker)
_NO_LIMIT = float("inf")
# Members of an enumeration are slow to look up.
_UNITS, _UNSPACED, _SENTENCES = int(Count.UNITS), int(Count.UNSPACED), int(Count.SENTENCES)
_RUNNING_WORDS, _STOP_WORDS = int(Count.RUNNING_WORDS), int(Count.STOP_WORDS)
_ALL_LINES, _LINE_CHARS = int(Count.ALL_LINES), int(Count.LINE_CHARS)


def _most(share: float) -> float:
    return share if share < 1 else _NO_LIMIT


def _unspaced(counts: list[int]) -> bool:
    """Whether most units are letters of a script without spaces."""
    return 2 * counts[_UNSPACED] > counts[_UNITS]


def _shares(config: RulesConfig, language: Profile) -> list[Share]:
    """The rules on shares, cheap to explain ones first."""

    def has_lines(counts: list[int]) -> bool:
        return counts[Count.LINES] >= config.fragment_lines

    def is_fragmentary(counts: list[int]) -> bool:
        return has_lines(counts) and counts[Count.PROSE] < config.fragment_prose

    def has_words(counts: list[int]) -> bool:
        return not _unspaced(counts)

    c, word = Count, language.mean_word
    longest = config.max_mean_word * word or _NO_LIMIT
    ended = config.min_ended_lines if language.ends_sentences else 0.0
    lines, paragraphs = _most(config.max_duplicate_lines), _most(config.max_duplicate_paragraphs)
    phrase = config.max_top_phrase
    tops = [_most(phrase * part) if phrase < 1 else _NO_LIMIT for part in (1.0, 0.9, 0.8)]
    return [
        Share("few-letters", c.LETTERS, c.VISIBLE, config.min_letters, _NO_LIMIT),
        Share("few-alphabetic-words", c.ALPHABETIC, c.UNITS, config.min_alphabetic_words, _NO_LIMIT),
        Share("long-words", c.LONG_WORD_CHARS, c.UNIT_CHARS, 0, _most(config.max_long_words)),
        Share("mixed-words", c.MIXED_WORD_CHARS, c.UNIT_CHARS, 0, _most(config.max_mixed_words)),
        Share("word-length", c.WORD_CHARS, c.WORDS, config.min_mean_word * word, longest, has_words),
        Share("symbols", c.HASHES, c.RUNNING_WORDS, 0, _most(config.max_symbols)),
        Share("symbols", c.ELLIPSES, c.RUNNING_WORDS, 0, _most(config.max_symbols)),
        Share("braces", c.BRACES, c.RUNNING_WORDS, 0, _most(config.max_braces)),
        Share("little-prose", c.PROSE, c.PASSAGE, config.min_prose, _NO_LIMIT),
        Share("fragment-lines", c.FRAGMENTS, c.LINES, 0, _most(config.max_fragment_lines), is_fragmentary),
        Share("bullet-lines", c.BULLET_LINES, c.LINES, 0, _most(config.max_bullet_lines), has_lines),
        Share("ellipsis-lines", c.ELLIPSIS_LINES, c.LINES, 0, _most(config.max_ellipsis_lines), has_lines),
        Share("unended-lines", c.ENDED_LINES, c.LINES, ended, _NO_LIMIT, has_lines),
        Share("short-lines", c.SHORT_LINES, c.LINES, 0, _most(config.max_short_lines), has_lines),
        Share("few-letters-a-line", c.PASSAGE, c.ALL_LINES, config.min_line_letters, _NO_LIMIT, has_lines),
        Share("code-lines", c.CODE_LINES, c.ALL_LINES, 0, _most(config.max_code_lines), has_lines),
        Share("repeated-lines", c.REPEATED_LINE_CHARS, c.LINE_CHARS, 0, _most(config.max_line_repeats)),
        Share("duplicate-lines", c.REPEATED_LINES, c.ALL_LINES, 0, lines),
        Share("duplicate-paragraphs", c.REPEATED_PARAGRAPHS, c.PARAGRAPHS, 0, paragraphs),
        Share(
            "repeated-paragraphs",
            c.REPEATED_PARAGRAPH_CHARS,
            c.LINE_CHARS,
            0,
            _most(config.max_paragraph_repeats),
        ),
        Share("repeated-phrases", c.REPEATED_PHRASES, c.PHRASES, 0, _most(config.max_phrase_repeats)),
        Share(
            "repeated-passages", c.REPEATED_LONG_PHRASES, c.LONG_PHRASES, 0, _most(config.max_passage_repeats)
        ),
        *(
            Share("top-phrase", Count(c.TOP_PHRASE + number), c.UNIT_CHARS, 0, most)
            for number, most in enumerate(tops)
        ),
    ]


@cache
def fastest() -> Measure:
    """The compiled pass where numba is there."""
    try:
        from conan_data.corpus.rules import kernel
    except ImportError:
        from conan_data.corpus.rules import arrays

        return arrays.measure
    return kernel.measure
