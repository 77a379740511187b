"""`conan-data audit`: what a person needs to see before paying for GPU hours, as a page, as numbers, and as a
table to fill in.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import artifact, page
from conan_data.artifact import Build
from conan_data.audit import figures
from conan_data.audit.config import AuditConfig
from conan_data.audit.labels import read_labels, write_to_label
from conan_data.audit.leaks import Leak, count_leaks, find_leaks, shown_leaks
from conan_data.audit.margins import margins_recipe, suggest_margins
from conan_data.audit.pairs import Pairs, read_pairs
from conan_data.audit.rate import draw_sample, false_rate, strata_of
from conan_data.audit.triples import choose_queries, triples
from conan_data.judging.judge import judge_inputs, open_judge, pairs_of
from conan_data.mining.selection import KEPT, MEANINGS, REASONS
from conan_data.public_names import published_value
from conan_data.sources import expand, resolve

log = logging.getLogger(__name__)

KIND = "audit"
PAGE, NUMBERS, TO_LABEL = "report.html", "audit.json", "to_label.tsv"
_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_POSITIVES_JUDGED = 100


@dataclass(frozen=True)
class Judged:
    """Labels of pairs, and what is known of whoever gave them."""

    labels: dict[int, float]
    by: str
    num_failed: int
    positives_recognised: float | None
    """Share of a sample of labelled positives that the judge calls answers, too."""


def audit(config: AuditConfig) -> Path:
    """Writes an artifact of kind "audit". Raises `UserError` for negatives, labels or sets that cannot be read."""
    with artifact.building(
        config, kind=KIND, command="conan-data audit", inputs=_inputs(config), resume=True
    ) as build:
        if build.done:
            return build.out
        pairs = read_pairs(config)
        strata_M = strata_of(pairs.ratios, num_strata=config.strata)
        sample = draw_sample(strata_M, size=config.sample, seed=config.seed)
        judged = _judge(config, build, pairs, sample)
        leaks = find_leaks(pairs, config.against, config.against_split, near=config.near)
        numbers = measure(config, pairs, strata_M, judged, leaks)
        write_to_label(build.dir / TO_LABEL, pairs, sample, judged.labels)
        (build.dir / NUMBERS).write_text(
            json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
        )
        drawn, suspects = choose_queries(pairs, size=config.examples, seed=config.seed)
        text = page.render(
            _TEMPLATE,
            title="Audit of negatives",
            numbers=numbers,
            kept_reasons=KEPT,
            meanings=MEANINGS,
            most_dropped=most_dropped(numbers["candidates"]),
            num_scored=sum(row["negative"] is not None for row in numbers["scores"].values()),
            num_shown=figures.MOST_LANGUAGES,
            recipe=margins_recipe(numbers["margins"]),
            figures={
                "scores": figures.score_histograms(pairs),
                "ranks": figures.ranks(pairs),
                "margins": figures.margins(pairs, margin=_mined_margin(pairs)),
                "sizes": figures.sizes(pairs),
                "strata": figures.strata(numbers["false_negatives"]["strata"]),
            },
            drawn=triples(pairs, drawn, judged.labels),
            suspects=triples(pairs, suspects, judged.labels),
            leaks=shown_leaks(leaks),
            config=build.header["config"],
        )
        (build.dir / PAGE).write_text(text, encoding="utf-8")
        num_queries = int((pairs.sizes > 0).sum())
        log.info("%s; to read: %s", headline(numbers), build.out / PAGE)
        return build.publish(rows=artifact.Rows(read=num_queries, kept=num_queries))


def headline(numbers: Mapping[str, Any]) -> str:
    """What a person wants to know first, in a line."""
    found = f"{numbers['negatives']:,} negatives of {numbers['queries_with_negatives']:,} queries"
    judged = numbers["false_negatives"]
    rate = judged["all"]
    if rate["value"] is None:
        return f"{found}, none judged: fill in {TO_LABEL} and name it with --labels, or name a judge"
    low, high = (f"{100 * rate[end]:.1f}" for end in ("low", "high"))
    return (
        f"{found}, {100 * rate['value']:.1f}% of them answers ({100 * judged['confidence']:.0f}% interval {low} to "
        f"{high}, {rate['num_labels']:,} labels by {judged['judge']})"
    )


def measure(
    config: AuditConfig, pairs: Pairs, strata_M: np.ndarray, judged: Judged, leaks: list[Leak]
) -> dict[str, Any]:
    """Everything that `audit.json` says."""
    labelled_n = np.array(sorted(judged.labels), np.int64)
    labels_n = np.array([judged.labels[pair] for pair in labelled_n.tolist()])
    sizes = pairs.sizes
    return {
        "queries": pairs.arrays.num_queries,
        "queries_with_negatives": int((sizes > 0).sum()),
        "documents": pairs.arrays.num_documents,
        "negatives": len(pairs),
        "distinct_negatives": len(np.unique(pairs.documents_M)),
        "candidates": _candidates(pairs),
        "margin": _mined_margin(pairs),
        "scores": _scores(pairs),
        "false_negatives": {
            "judge": judged.by,
            "failed": judged.num_failed,
            "positives_recognised": judged.positives_recognised,
            "confidence": config.confidence,
            **_rates(config, pairs, strata_M, labelled_n, labels_n),
        },
        "max_false": config.max_false,
        "margins": [
            margin.to_json()
            for margin in suggest_margins(pairs, strata_M, labelled_n, labels_n, max_false=config.max_false)
        ],
        "leaks": {
            "against": [published_value(name) for name in config.against],
            "counts": count_leaks(leaks),
            "texts": [leak.to_json() for leak in leaks],
        },
    }


def _rates(
    config: AuditConfig, pairs: Pairs, strata_M: np.ndarray, labelled_n: np.ndarray, labels_n: np.ndarray
) -> dict[str, Any]:
    ratios, languages = pairs.ratios, pairs.languages

    def rate(own_M: np.ndarray) -> dict[str, Any]:
        own_n = own_M[labelled_n] if len(labelled_n) else np.zeros(0, bool)
        return false_rate(
            labels_n[own_n], strata_M[labelled_n[own_n]], strata_M[own_M], confidence=config.confidence
        ).to_json()

    strata = []
    for stratum in np.unique(strata_M):
        own_M = strata_M == stratum
        low, high = ratios[own_M].min(), ratios[own_M].max()
        label = "no score" if np.isnan(low) else f"{low:.2f}–{high:.2f}"
        strata.append({"range": label, "negatives": int(own_M.sum()), **rate(own_M)})
    return {
        "all": rate(np.ones(len(pairs), bool)),
        "strata": strata,
        "languages": {
            language: rate(languages == code)
            for code, language in enumerate(pairs.arrays.languages)
            if (languages == code).any()
        },
    }


def _judge(config: AuditConfig, build: Build, pairs: Pairs, sample: np.ndarray) -> Judged:
    labels: dict[int, float] = {}
    names, num_failed, recognised = [], 0, None
    judge = open_judge(config.judge, build.work / "judgements.jsonl", device=config.device)
    if judge is not None:
        names.append(judge.name)
        found = judge.judge(pairs_of(pairs.data, pairs.queries_M[sample], pairs.documents_M[sample]))
        num_failed = int(np.isnan(found).sum())
        labels = {
            pair: float(value > config.judge.positive_over)
            for pair, value in zip(sample.tolist(), found.tolist())
            if value == value
        }
        owners = pairs.arrays.positive_owners()
        drawn = np.random.default_rng(config.seed).permutation(len(owners))[:_POSITIVES_JUDGED]
        known = judge.judge(pairs_of(pairs.data, owners[drawn], pairs.arrays.positive_rows[drawn]))
        known = known[~np.isnan(known)]
        recognised = float((known > config.judge.positive_over).mean()) if len(known) else None
    if config.labels:
        own = read_labels(config.labels, pairs)
        file = Path(config.labels).name
        names.append(f"hand ({len(own):,} in {file})" if judge is not None else f"hand ({file})")
        labels |= own
    return Judged(labels, " and ".join(names), num_failed, recognised)


def _scores(pairs: Pairs) -> dict[str, Any]:
    def quantiles(scores: np.ndarray) -> list[float] | None:
        return [round(float(value), 4) for value in np.quantile(scores, _QUANTILES)] if len(scores) else None

    counts = np.bincount(pairs.arrays.query_languages, minlength=len(pairs.arrays.languages))
    by_name = dict(zip(pairs.arrays.languages, counts.tolist()))
    counts = np.bincount(pairs.arrays.query_languages[pairs.sizes > 0], minlength=len(pairs.arrays.languages))
    filled = dict(zip(pairs.arrays.languages, counts.tolist()))
    return {
        language: {
            "queries": by_name[language],
            "with_negatives": filled[language],
            "negatives": int((pairs.languages == pairs.arrays.languages.index(language)).sum()),
            "quantiles": list(_QUANTILES),
            "positive": quantiles(positives),
            "negative": quantiles(negatives),
        }
        for language, (positives, negatives) in figures.scores_by_language(pairs).items()
    }


def _candidates(pairs: Pairs) -> dict[str, int]:
    """What became of the candidates, in the order of the filters; nothing for negatives of others."""
    counts = pairs.manifest["extra"].get("candidates", {}) if pairs.manifest else {}
    return {reason: counts[reason] for reason in REASONS if reason in counts}


def most_dropped(candidates: Mapping[str, int]) -> str | None:
    """The filter that took most of what could have been a negative."""
    usable = ("known-positive", "query-itself", "beyond-pool", "not-sampled", *KEPT)
    dropped = {reason: count for reason, count in candidates.items() if count and reason not in usable}
    return max(dropped, key=lambda reason: dropped[reason]) if dropped else None


def _mined_margin(pairs: Pairs) -> float | None:
    return pairs.manifest["config"].get("select", {}).get("margin") if pairs.manifest else None


def _inputs(config: AuditConfig) -> list[str | Path]:
    path = Path(config.negatives)
    inputs: list[str | Path] = [path] if artifact.is_artifact(path) else [*expand((config.negatives,))]
    inputs += [
        resolve(name, "retrieval") for name in (*([config.data] if config.data else []), *config.against)
    ]
    return [*inputs, *judge_inputs(config.judge), *([config.labels] if config.labels else [])]
