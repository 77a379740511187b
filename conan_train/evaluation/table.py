"""An evaluation as tables to read in a terminal, one a task; of retrieval the groups first, then the pairs
while they are few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from conan_train.evaluation.metrics import METRICS

MOST_PAIRS = 12


def score_table(record: Mapping[str, Any]) -> str:
    """`record` is the content of `scores.json`; scores in percent, with the ends of the interval for the
    first metric of retrieval and all others.
    """
    tables = []
    if "data" in record:
        tables.append(_retrieval(record))
    if "sts" in record:
        tables.append(_sts(record))
    if "classification" in record:
        tables.append(_classification(record))
    return "\n\n".join(tables)


def _retrieval(record: Mapping[str, Any]) -> str:
    pairs = record["pairs"]
    title = f"{record['model']} on {record['data']} ({record['split']}), protocol {record['protocol']['name']}, mean over queries in %"
    parts = [title, _pools(record)]
    for size, cut in record.get("cuts", {}).items():
        parts += [f"cut to {size} dimensions:", _pools(cut)]
    if len(pairs) > MOST_PAIRS:
        parts.append(f"each of the {len(pairs)} pairs of languages is in scores.json")
    if own := record.get("same_id", {}).get("queries"):
        parts.append(
            f"queries whose own document (same id, not judged relevant) is left out of their ranking, as in BEIR: {own:,}"
        )
    if absent := record.get("absent_positives"):
        parts.append(f"positives that are not in the corpus and count as missed, as in trec_eval: {absent:,}")
    if bias := record.get("language_bias"):
        plain, centred = (
            f"finds {100 * side['found']:.1f}% with a bias of {side['bias'] or 0:.2f}"
            for side in (bias["plain"], bias["centred"])
        )
        parts.append(
            f"language bias ({bias['queries']:,} queries, {bias['texts']:,} documents of all languages, {bias['k']} nearest; "
            f"1 is fair): {plain}; without the mean of each language, which any training has to beat, it {centred}"
        )
    if record["skipped_pairs"]:
        parts.append(f"left out for too few queries: {_pairs(len(record['skipped_pairs']))} of languages")
    return "\n".join(parts)


def _pools(record: Mapping[str, Any]) -> str:
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
    return _table(
        rows, ["queries -> documents", "queries", "searched", *METRICS], align=("left", "right", "right")
    )


def _sts(record: Mapping[str, Any]) -> str:
    sts = record["sts"]
    rows = [
        [
            group["source"],
            group["language"],
            f"{group['num_pairs']:,}",
            *(_score(score, with_interval=True) for score in group["spearman"].values()),
        ]
        for group in sts["groups"]
    ]
    if len(rows) > 1:
        rows.append(["mean", "", "", *(f"{100 * value:.1f}" for value in sts["mean"].values())])
    title = (
        f"{record['model']} on scored pairs, protocol {sts['protocol']['name']}, Spearman's correlation in %"
    )
    headers = ["file", "language", "pairs", *(f"{size} dimensions" for size in sts["mean"])]
    return f"{title}\n{_table(rows, headers, align=('left', 'left', 'right'))}"


def _classification(record: Mapping[str, Any]) -> str:
    own = record["classification"]
    rows = [
        [size, *(_score(scores[name], with_interval=True) for name in ("accuracy", "macro_f1"))]
        for size, scores in own["scores"].items()
    ]
    fitted = f"{own['num_experiments']} x {own['probe']}" if own["num_experiments"] > 1 else own["probe"]
    title = (
        f"{record['model']} on {own['num_test']:,} texts of {own['num_labels']} labels,"
        f" protocol {own['protocol']['name']} ({fitted}), in %"
    )
    return f"{title}\n{_table(rows, ['dimensions', 'accuracy', 'macro F1'], align=('right',))}"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str], *, align: Sequence[str]) -> str:
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


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
