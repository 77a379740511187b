"""All checks: first of each translation by itself, then of all together."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from conan_data.xlr.checks import (
    duplicates,
    ending,
    form,
    kept,
    language,
    numbers,
    reliability,
    remarks,
    repeats,
    script,
)
from conan_data.xlr.checks.check import COLUMNS, OUTCOME, Check, Found
from conan_data.xlr.config import THRESHOLDS, ChecksConfig
from conan_data.xlr.translators_config import PROMPT

CHECKS = (
    form.EMPTY,
    form.SAME,
    form.UNDECODED_CHARACTERS,
    form.LINES,
    form.LENGTH,
    remarks.REFUSED,
    remarks.REMARKS_AROUND,
    repeats.REPEATS,
    kept.CODE_KEPT,
    kept.URLS_KEPT,
    kept.PLACEHOLDERS_KEPT,
    kept.NAMES_KEPT,
    numbers.NUMBERS,
    script.SCRIPT,
    script.CHINESE,
    ending.ENDING,
)
"""Checks that are always the same, in the order in which their reasons are believed."""


_LATE = (duplicates.NAME, reliability.NAME, language.NAME)
"""Checks that are made after those of `CHECKS`."""
FAR_FROM_SOURCE = "far-from-source"
"""The reason of the nearest-source check, whose module is imported where it is made only."""


class Results(NamedTuple):
    """What each check says of N translations, whatever the others say."""

    found: dict[str, Found]
    """By name of the check."""
    identified: language.Identified | None


class Checker:
    """Checks translations: each by itself (`check_each`), all of a set (`check_together`), and who wrote them
    (`check_translators`).
    """

    def __init__(self, config: ChecksConfig, *, prompt: str = PROMPT, directory: Path | None = None) -> None:
        """`prompt` is what translators were asked, whose parts must not be in their answers; `directory` is where
        vectors lie while they are needed, a temporary one for None.
        """
        self._arguments = (config, prompt, directory)
        self._config = config
        self._directory = directory
        checks = (*CHECKS, remarks.prompt_check(prompt))
        self.checks: tuple[Check, ...] = tuple(check for check in checks if check.name not in config.skip)
        self._thresholds: dict[str, dict[str, float]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Made anew in the processes that check: some checks are closures, which cannot be sent there."""
        return _made, self._arguments

    def check_each(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return of each translation of a frame with `COLUMNS` the `reason` why it is refused ("" where it is not), the
        `checks` it passed (`all`, or `all but` those that were skipped or could say nothing; "" where it is refused),
        and the identifier's first guess `lid` with its `lid_score` (null where there is none).

        A row's outcome depends on nothing but the row. The first reason counts, in the order of the checks. Frames of
        thousands of rows are the fastest.
        """
        if frame.is_empty():
            return pl.DataFrame(schema=OUTCOME)
        results = self.find(frame)
        codes = np.zeros(len(frame), dtype=np.int64)
        reasons = [""]
        for found in results.found.values():
            for reason, rows in found.items():
                reasons.append(reason)
                codes[(codes == 0) & rows.to_numpy()] = len(reasons) - 1
        skipped = [name for name in self._config.skip if name not in _LATE]
        passed, unsaid = _all_but(skipped), _all_but([*skipped, language.NAME])
        outcome = pl.DataFrame({"reason": pl.Series(reasons)[codes]})
        identified = results.identified
        lid = identified.guesses if identified else pl.repeat(None, len(frame), dtype=pl.String, eager=True)
        score = identified.scores if identified else pl.repeat(None, len(frame), dtype=pl.Float64, eager=True)
        checks = (
            pl.when(pl.col("reason") != "").then(pl.lit(""))
            .when(pl.col("lid").is_null()).then(pl.lit(unsaid)).otherwise(pl.lit(passed))
        )  # fmt: skip
        return outcome.with_columns(lid.alias("lid"), score.alias("lid_score")).with_columns(checks=checks)

    def check_together(self, frame: pl.DataFrame, sources: pl.Series) -> pl.Series:
        """Return of each of all the translations of a set that passed `check_each` the reason why it is refused ("" where
        it is not). `frame` has `COLUMNS` and `query_id`; `sources` are all queries of the set.
        """
        reasons = np.zeros(len(frame), dtype=np.int64)
        if duplicates.NAME not in self._config.skip:
            most = self._column_of("max_same", frame["language"])
            reasons[duplicates.find_duplicates(frame, most)] = 1
        if self._config.nearest.model and len(frame):
            from conan_data.xlr.checks import nearest

            rows = np.flatnonzero(reasons == 0)
            with tempfile.TemporaryDirectory() as temporary:
                directory = self._directory or Path(temporary, "vectors")
                far = nearest.find_far(frame[rows], sources, self._config.nearest, directory)
            reasons[rows[far]] = 2
        return pl.Series(["", duplicates.REASON, FAR_FROM_SOURCE])[reasons]

    def check_translators(self, answers: pl.DataFrame) -> pl.Series:
        """Return of each of all answers with a text (`language`, `translator`, and the `reason` that the other checks
        gave) the reason why it is refused.
        """
        if reliability.NAME in self._config.skip or answers.is_empty():
            return answers["reason"]
        least = self._column_of("min_passed", answers["language"])
        is_late = (answers["reason"] == "") & reliability.find_unreliable(answers, least)
        return answers["reason"].set(is_late, reliability.REASON)

    def find(self, frame: pl.DataFrame) -> Results:
        """Return what each check of single translations says of a frame with `COLUMNS`, in the order of the checks."""
        frame = self.prepare(frame)
        found = {check.name: check.find(frame) for check in self.checks}
        if language.NAME in self._config.skip:
            return Results(found, None)
        identified = language.identify(frame)
        return Results({**found, language.NAME: identified.found}, identified)

    def prepare(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with `COLUMNS` with the columns that checks need beside; see `check`."""
        frame = frame.select(COLUMNS)
        texts = {"": "text", "source_": "source"}
        return frame.with_columns(
            *(_prose(name).alias(f"{prefix}prose") for prefix, name in texts.items()),
            *(_lowered(name).alias(f"{prefix}lowered") for prefix, name in texts.items()),
            *(self._column_of(threshold, frame["language"]).alias(threshold) for threshold in THRESHOLDS),
        )

    def _column_of(self, threshold: str, languages: pl.Series) -> pl.Series:
        """The values of a threshold for the languages of N rows."""
        values = {name: float(self._of(name)[threshold]) for name in languages.unique()}
        if len(set(values.values())) <= 1:
            return pl.repeat(next(iter(values.values()), 0.0), len(languages), eager=True, dtype=pl.Float64)
        return languages.replace_strict(values, return_dtype=pl.Float64)

    def _of(self, name: str) -> dict[str, float]:
        """The thresholds of a language."""
        if name not in self._thresholds:
            self._thresholds[name] = self._config.of(name)
        return self._thresholds[name]


def _prose(name: str) -> pl.Expr:
    return pl.col(name).str.replace_all("`[^`]*`", " ")


def _lowered(name: str) -> pl.Expr:
    folded = pl.col(name).str.strip_chars().str.to_lowercase().str.replace_all("’", "'", literal=True)
    return folded.str.replace_all(r"\s+", " ")


def _all_but(names: Sequence[str]) -> str:
    return f"all but {' '.join(names)}" if names else "all"


def _made(config: ChecksConfig, prompt: str, directory: Path | None) -> Checker:
    return Checker(config, prompt=prompt, directory=directory)
