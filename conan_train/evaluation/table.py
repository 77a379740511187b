"""An evaluation as a table to read in a terminal: the groups first, then the pairs while they are few."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from conan_train.evaluation.metrics import METRICS

MOST_PAIRS = 12


def score_table(record: Mapping[str, Any]) -> str:
    """`record` is the content of `scores.json`; metrics in percent, with the ends of the interval for the
    first of them.
    """
    rows = [
        _row(name, group["num_queries"], _pairs(group["num_pairs"]), group["by_query"])
        for name, group in record["summary"].items()
    ]
    pairs = record["pairs"]
    if len(pairs) <= MOST_PAIRS:
        rows += [
            _row(f"{pair['query_language']} -> {pair['document_language']}", *_counts(pair), pair["scores"])
            for pair in pairs
        ]
    if record["mixed"]:
        rows.append(_row("all languages in one pool", *_counts(record["mixed"]), record["mixed"]["scores"]))
    title = f"{record['model']} on {record['data']} ({record['split']}), protocol {record['protocol']['name']}, mean over queries in %"
    body = tabulate(
        rows,
        headers=["queries -> documents", "queries", "searched", *METRICS],
        colalign=("left", "right", "right"),
        disable_numparse=True,
    )
    notes = []
    if len(pairs) > MOST_PAIRS:
        notes.append(f"each of the {len(pairs)} pairs of languages is in scores.json")
    if record["skipped_pairs"]:
        notes.append(f"left out for too few queries: {_pairs(len(record['skipped_pairs']))} of languages")
    return "\n".join([title, body, *notes])


def _counts(pool: Mapping[str, Any]) -> tuple[int, str]:
    return pool["num_queries"], f"{pool['num_documents']:,}"


def _pairs(number: int) -> str:
    return f"{number} pair{'s' if number != 1 else ''}"


def _row(name: str, num_queries: int, searched: str, scores: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{num_queries:,}",
        searched,
        *(_score(scores[metric], with_interval=metric == METRICS[0]) for metric in METRICS),
    ]


def _score(score: Mapping[str, float | None], *, with_interval: bool) -> str:
    value, low, high = score["value"], score["low"], score["high"]
    assert value is not None
    ends = (
        f" [{100 * low:.1f}, {100 * high:.1f}]"
        if with_interval and low is not None and high is not None
        else ""
    )
    return f"{100 * value:.1f}{ends}"
