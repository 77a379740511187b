"""What became of each version: translated, checked, and kept or dropped for one reason.

Three passes, so that the texts of a large set are in memory once and the checks can use all processors: the answers of
the translator go to files of `SHARD` versions, the shards are checked one by one (`Checker.check_each`, in processes),
and all translations that passed are checked together (`Checker.check_together`), for what only shows when
they are seen side by side.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import polars as pl
import pyarrow as pa

from conan_data.progress import progress
from conan_data.workers import run_here, run_in_processes
from conan_data.xlr.checks import Checker
from conan_data.xlr.checks.check import COLUMNS, OUTCOME
from conan_data.xlr.translators import Failure, Request, Translation, Translator

NO_TRANSLATION = "no-translation"
SHARD = 1 << 14
"""Versions in a file."""
_ANSWER = {"text": pl.String, "translator": pl.String, "reason": pl.String}
_MADE = {"text": pl.String, "translator": pl.String, **OUTCOME}
"""Columns of a shard that was checked, after `version`."""
_WANTED = ("version", "query_id", "source", "language", "source_language")
_REQUEST = ("query_id", "source", "language", "source_language", "refused")
"""Columns in the order of the fields of `Request`."""


@dataclass(frozen=True)
class Outcome:
    """The versions in their order: `query_id`, `source_id`, `language`, `is_source`, `source`, `text`, `translator`,
    `reason` ("" for one that is kept), `lid`, `lid_score`, `checks`; and `split` where there are several.
    """

    versions: pl.DataFrame

    @cached_property
    def kept(self) -> pl.DataFrame:
        """Return the versions that are kept as rows of `tables.XLR_QUERIES`, and `origin`, the id of the query."""
        return self.versions.filter(pl.col("reason") == "").select(
            pl.concat_str("query_id", pl.lit("@"), "language").alias("_id"),
            "text",
            pl.col("language").alias("lang"),
            "source_id",
            # mteb refuses a row of queries with a null in any column.
            pl.col("translator", "lid", "checks").fill_null(""),
            pl.col("lid_score").fill_null(0),
            pl.col("query_id").alias("origin"),
            *(["split"] if "split" in self.versions.columns else []),
        )

    @cached_property
    def dropped(self) -> pl.DataFrame:
        """Return the versions that are not: query_id, lang, reason, source, text, translator."""
        lost = self.versions.filter(pl.col("reason") != "")
        return lost.select(
            "query_id", pl.col("language").alias("lang"), "reason", "source", "text", "translator"
        )

    def reasons(self) -> dict[str, int]:
        """Return how many versions were dropped, by reason, the most frequent first."""
        counts = self.dropped.group_by("reason").len().sort(["len", "reason"], descending=[True, False])
        return dict(counts.iter_rows())


def translate(
    versions: pl.DataFrame,
    queries: pa.Table,
    translators: Sequence[Translator],
    checker: Checker,
    *,
    work: Path,
    workers: int,
) -> Outcome:
    """Return what became of `versions` (`assign.VERSIONS`) of `queries`; the files between the passes lie in `work`.

    What one of the translators cannot give, or the checks refuse, is asked of it once more, where it `retries`, and then
    of the next one.
    """
    source = pl.DataFrame(pl.from_arrow(queries)).select(
        query_id="_id", source="text", source_language="lang", source_id="source_id"
    )
    frame = _joined(versions, source, pl.DataFrame(schema={"version": pl.UInt32, **_MADE}))
    made = pl.DataFrame(schema={"version": pl.UInt32, **_MADE})
    last = made
    for translator in translators:
        for is_retry in (False, True) if translator.retries else (False,):
            wanted = frame.filter(
                ~pl.col("is_source") & (pl.col("language") != "") & (pl.col("reason") != "")
            )
            if is_retry:
                # Only what this translator gave a moment ago, and the checks refused.
                wanted = wanted.join(last.filter(pl.col("text").is_not_null()), on="version", how="semi")
            if not wanted.height:
                continue
            wanted = wanted.select(*_WANTED, refused=pl.col("reason") if is_retry else pl.lit(""))
            last = _translate_once(wanted, translator, checker, work=work, workers=workers)
            # A text that was refused says more than that there was none.
            new = last.filter(
                pl.col("text").is_not_null() | ~pl.col("version").is_in(made["version"].implode())
            )
            made = pl.concat([made.join(new, on="version", how="anti"), new])
            frame = _check_together(_joined(versions, source, made), source["source"], checker)
    return Outcome(frame)


def _translate_once(
    wanted: pl.DataFrame, translator: Translator, checker: Checker, *, work: Path, workers: int
) -> pl.DataFrame:
    """What a translator made of the versions in `wanted` (`_WANTED` and `refused`), after the checks of each."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    num_shards = _write_answers(wanted, translator, work)
    check = _Check(checker, work)
    ranks = range(num_shards)
    alone = workers == 1 or num_shards == 1
    done = run_here(check, ranks) if alone else run_in_processes(check, ranks, workers=workers)
    for _ in progress(done, "checking", unit="shard", total=num_shards):
        pass
    made = pl.concat([pl.read_ipc(check.path(rank).read_bytes()) for rank in ranks])
    shutil.rmtree(work)
    return made


def _write_answers(wanted: pl.DataFrame, translator: Translator, work: Path) -> int:
    """Write the answers to all that is wanted of a translator, and return in how many shards."""

    def requests() -> Iterator[Request]:
        for part in wanted.iter_slices(SHARD):
            yield from map(Request, *(part[name] for name in _REQUEST))

    translator.prepare(requests())
    num_shards = -(-wanted.height // SHARD)
    with closing(translator.translate(requests())) as answers:
        shown = iter(progress(answers, "translating", unit="query", total=wanted.height))
        for rank, part in enumerate(wanted.iter_slices(SHARD)):
            rows = [_answer(answer) for answer in islice(shown, part.height)]
            columns = pl.DataFrame(rows, schema=_ANSWER, orient="row")
            pl.concat([part, columns], how="horizontal").write_ipc(work / f"{rank:06d}.arrow")
    return num_shards


def _answer(answer: Translation | Failure) -> tuple[str | None, str | None, str]:
    if isinstance(answer, Failure):
        return None, None, answer.reason
    return answer.text, answer.translator, ""


class _Check:
    """Checks shards of answers in place (see `workers.Work`)."""

    def __init__(self, checker: Checker, work: Path) -> None:
        self._checker, self._work = checker, work

    def path(self, rank: int) -> Path:
        """Return where a shard lies."""
        return self._work / f"{rank:06d}.arrow"

    def task(self, rank: int) -> str:
        return f"checking translations {rank * SHARD:,} to {(rank + 1) * SHARD - 1:,}"

    def run(self, rank: int) -> None:
        answers = pl.read_ipc(self.path(rank).read_bytes())
        has_text = pl.col("reason") == ""
        texts = answers.filter(has_text)
        checked = pl.concat([texts.select("version"), self._checker.check_each(texts)], how="horizontal")
        failed = answers.filter(~has_text).select("version", "reason")
        outcome = pl.concat([checked, failed], how="diagonal")
        made = answers.select("version", "text", "translator").join(
            outcome, on="version", maintain_order="left"
        )
        made.write_ipc(self.path(rank))


def _joined(versions: pl.DataFrame, source: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """All versions with what became of each."""
    frame = pl.concat([versions.with_row_index("version"), source[versions["query"]]], how="horizontal")
    is_source = pl.col("is_source")
    return frame.join(made, on="version", how="left", maintain_order="left").with_columns(
        text=pl.when(is_source).then("source").otherwise("text"),
        reason=pl.when(is_source).then(pl.lit("")).otherwise(pl.col("reason").fill_null(NO_TRANSLATION)),
        checks=pl.when(is_source).then(pl.lit("source")).otherwise("checks"),
    )


def _check_together(versions: pl.DataFrame, sources: pl.Series, checker: Checker) -> pl.DataFrame:
    """The versions after the checks of all translations together, and of who wrote them."""
    reasons = versions["reason"]
    is_made = ~versions["is_source"] & versions["text"].is_not_null()
    rows = (is_made & (reasons == "")).arg_true()
    passed = versions[rows].select("query_id", *COLUMNS)
    reasons = reasons.scatter(rows, checker.check_together(passed, sources))
    rows = is_made.arg_true()
    made = versions.select("language", "translator", reason=reasons)[rows]
    return versions.with_columns(reason=reasons.scatter(rows, checker.check_translators(made)))
