"""Translate the versions and check the translations, in two passes.

The first pass takes the translator's answers batch by batch (`Checker.check_all`). The second one looks at all
translations of a language that passed (`Checker.check_together`), for what only shows when they are seen together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from conan_data.progress import progress
from conan_data.xlr.assign import Version
from conan_data.xlr.checks import Candidate, Checked, Checker
from conan_data.xlr.translators import Failure, Request, Translation, Translator

NO_TRANSLATION = "no-translation"
BATCH = 1024
"""Versions that are checked at once."""


@dataclass(frozen=True, slots=True)
class Made:
    """A version with the text that it got: a translation, or the query as it is (`translation` is None)."""

    version: Version
    translation: Translation | None = None
    checked: Checked | None = None


@dataclass
class Outcome:
    """What became of the versions."""

    kept: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `tables.XLR_QUERIES`, and `origin`, the id of the query that a row comes from."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    """Refused translations: query_id, lang, reason, source, text, translator."""

    def reasons(self) -> str:
        """Return why versions were dropped, each reason with its number, the most frequent first."""
        counts = Counter(row["reason"] for row in self.dropped)
        return ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())


def translate(versions: Sequence[Version], translator: Translator, checker: Checker) -> Outcome:
    """Return what became of the versions, in their order; dropped ones stand in the order of the passes."""
    requests = (
        Request(version.query["_id"], version.query["text"], version.language)
        for version in versions
        if version.language and not version.is_source
    )
    outcome = Outcome()
    made: list[Made] = []
    with closing(translator.translate(requests)) as answers:
        queries = iter(progress(versions, "translating", unit="query"))
        while batch := list(islice(queries, BATCH)):
            made += _checked(list(_answered(batch, answers, outcome)), checker, outcome)
    _keep(made, checker, outcome)
    return outcome


def _answered(
    batch: Iterable[Version], answers: Iterator[Translation | Failure], outcome: Outcome
) -> Iterator[Made]:
    """The versions of a batch that have a text, each translated one with its answer."""
    for version in batch:
        if version.is_source:
            yield Made(version)
        elif not version.language:
            outcome.dropped.append(_drop(version, NO_TRANSLATION))
        else:
            answer = next(answers)
            if isinstance(answer, Failure):
                outcome.dropped.append(_drop(version, answer.reason))
            else:
                yield Made(version, answer)


def _checked(batch: list[Made], checker: Checker, outcome: Outcome) -> Iterator[Made]:
    """Those of a batch that pass the checks of single translations."""
    checked = iter(checker.check_all([_candidate(made) for made in batch if made.translation]))
    for made in batch:
        if made.translation is None:
            yield made
            continue
        result = next(checked)
        if result.reason:
            outcome.dropped.append(_drop(made.version, result.reason, made.translation))
        else:
            yield Made(made.version, made.translation, result)


def _keep(made: list[Made], checker: Checker, outcome: Outcome) -> None:
    """Keep what also passes the checks of all translations of a language together."""
    by_language: dict[str, list[Made]] = {}
    for each in made:
        if each.translation is not None:
            by_language.setdefault(each.version.language, []).append(each)
    reasons = {
        language: iter(checker.check_together(language, [_candidate(each) for each in of_language]))
        for language, of_language in sorted(by_language.items())
    }
    for each in made:
        reason = next(reasons[each.version.language]) if each.translation else ""
        if reason:
            outcome.dropped.append(_drop(each.version, reason, each.translation))
        else:
            outcome.kept.append(_row(each))


def _candidate(made: Made) -> Candidate:
    assert made.translation is not None
    query = made.version.query
    return Candidate(
        query_id=query["_id"],
        text=made.translation.text,
        language=made.version.language,
        source=query["text"],
        source_language=query["lang"],
    )


def _row(made: Made) -> dict[str, Any]:
    query, language, checked = made.version.query, made.version.language, made.checked
    return {
        "_id": f"{query['_id']}@{language}",
        "text": made.translation.text if made.translation else query["text"],
        "lang": language,
        "source_id": query["source_id"],
        "origin": query["_id"],
        "translator": made.translation.translator if made.translation else None,
        "lid": checked.lid if checked else None,
        "lid_score": checked.lid_score if checked else None,
        "checks": " ".join(checked.passed) if checked else "source",
    }


def _drop(version: Version, reason: str, answer: Translation | None = None) -> dict[str, Any]:
    return {
        "query_id": version.query["_id"],
        "lang": version.language,
        "reason": reason,
        "source": version.query["text"],
        "text": answer.text if answer else None,
        "translator": answer.translator if answer else None,
    }
