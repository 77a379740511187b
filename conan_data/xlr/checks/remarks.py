"""Answers that are more than a translation: a remark before or after it, quotation marks or brackets around it, parts
of the prompt; and answers that are none, because the model refuses.

Phrases are few (see `phrases`); what they miss is found by structure, or by the nearest source.
"""

import re
from collections.abc import Iterable
from functools import cache

import polars as pl

from conan_data.xlr.checks.check import Check, Found
from conan_data.xlr.checks.phrases import refusals, remarks

_QUOTED = r"""^\s*["“”„«»「『].*["“”«»」』][.。]?\s*$"""
_STARTS_QUOTED = r"""^\s*["“”„«»「『]"""
_BRACKETS = r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）|【[^【】]*】"
_FILL_IN = re.compile(r"\{\w+\}")
LEAK = 4
"""Words of the prompt in a row that show that it leaked."""


def _find_remarks(frame: pl.DataFrame) -> Found:
    label = _label(tuple(sorted(frame["language"].unique())))
    lowered, source = pl.col("lowered"), pl.col("source_lowered")
    labelled = lowered.str.contains(label) & ~source.str.contains(label)
    quoted = pl.col("text").str.contains(_QUOTED) & ~pl.col("source").str.contains(_STARTS_QUOTED)
    count = pl.sum_horizontal(_says(frame, remarks()), labelled, quoted)
    added = _in_brackets("text") - _in_brackets("source")
    return dict(
        frame.select(
            (count > pl.col("max_remarks")).alias("remark"),
            (added > pl.col("max_bracket_share")).alias("note-in-brackets"),
        ).to_dict()
    )


def _find_refusals(frame: pl.DataFrame) -> Found:
    return {"refusal": _says(frame, refusals()).cast(pl.Float64) > frame["max_refusals"]}


def prompt_check(prompt: str) -> Check:
    """Return the check for sequences of `LEAK` words of a prompt in translations whose source lacks them."""
    leaks = leaks_of(prompt)

    def find(frame: pl.DataFrame) -> Found:
        leaked = _says(frame, leaks)
        rows = leaked.arg_true()
        if len(rows):
            counts = frame["lowered"][rows].str.extract_many(leaks, overlapping=True).list.len()
            leaked = leaked.scatter(rows, counts > frame["max_prompt_leaks"][rows])
        return {"prompt-leak": leaked}

    return Check("prompt", find)


def _says(frame: pl.DataFrame, phrases: list[str]) -> pl.Series:
    """Which translations hold one of `phrases`, while their sources do not."""
    if not phrases:
        return pl.repeat(False, len(frame), eager=True)
    says = frame["lowered"].str.contains_any(phrases)
    rows = says.arg_true()
    return says.scatter(rows, ~frame["source_lowered"][rows].str.contains_any(phrases)) if len(rows) else says


def leaks_of(prompt: str) -> list[str]:
    """Return all sequences of `LEAK` words of a prompt, its places to fill in left out, in small letters."""
    parts = (part.lower().split() for part in _FILL_IN.split(prompt))
    return sorted({" ".join(words[i : i + LEAK]) for words in parts for i in range(len(words) - LEAK + 1)})


def _in_brackets(name: str) -> pl.Expr:
    """The share of the characters of a column that stand in brackets."""
    column = pl.col(name)
    left = column.str.replace_all(_BRACKETS, "").str.len_chars()
    total = column.str.len_chars()
    return 1.0 - left / pl.max_horizontal(total, pl.lit(1))


@cache
def _label(languages: Iterable[str]) -> str:
    """A pattern of texts that begin with a language's name and a colon, in English or in the language itself."""
    from babel import Locale

    names = {"translation", "translated", "answer"}
    for primary in {language.replace("-", "_").partition("_")[0].lower() for language in languages}:
        english = Locale("en").languages.get(primary)
        own = Locale.parse(primary).languages.get(primary) if _is_locale(primary) else None
        names.update(name.lower() for name in (english, own) if name)
    return rf"^\W*(?:in )?(?:{'|'.join(map(re.escape, sorted(names)))})\s*[:：]"


def _is_locale(primary: str) -> bool:
    from babel import localedata

    return bool(localedata.exists(primary))


REMARKS_AROUND = Check("remarks", _find_remarks)
REFUSED = Check("refusal", _find_refusals)
