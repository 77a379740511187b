"""`conan-train compare`: which of the differences between evaluations hold, as a table, JSON and one page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tabulate import tabulate

from conan_data import artifact, page
from conan_data.artifact import Artifact, open_artifact
from conan_data.errors import UserError
from conan_train.comparison.config import CompareConfig
from conan_train.comparison.paired import Pools, differences
from conan_train.evaluation.evaluate import KIND as EVALUATION
from conan_train.evaluation.evaluate import PER_QUERY, SCORES
from conan_train.report.artifacts import names, read_json

KIND = "comparison"
RESULT, PAGE = "comparison.json", "report.html"
TEMPLATE = Path(__file__).parent / "page.html.jinja"
SHOWN_METRICS = ("ndcg@10", "recall@20")
MOST_PAIRS = 12
PROTOCOL = {
    "name": "paired-bootstrap-1",
    "difference": "mean over queries of the metric in an evaluation minus the same query's metric in the baseline",
    "intervals": "95%, percentile bootstrap of the paired differences over source queries",
    "p": "two-sided bootstrap p-value, adjusted by Benjamini and Hochberg over the language pairs, over the three"
    " main pools, and over the groups around English, for each metric",
    "not covered": "the choice of documents, and the seed of a training run: a difference that holds is one of"
    " these two models, not of the two methods that trained them",
}


@dataclass(frozen=True)
class _Scored:
    label: str
    scores: dict[str, Any]
    pools: Pools


def compare(config: CompareConfig) -> Path:
    """Write an artifact of kind "comparison".

    Raises `UserError` for an input that is no evaluation of retrieval, and for evaluations of different sets,
    splits, protocols or queries.
    """
    opened = [open_artifact(path, kind=EVALUATION) for path in config.evaluations]
    with artifact.building(
        config, kind=KIND, command="conan-train compare", inputs=config.evaluations
    ) as build:
        if build.done:
            return build.out
        called = names(opened)
        scored = [_read(item, called[item.dir]) for item in opened]
        for other in scored[1:]:
            _require_same_set(scored[0], other)
        result = {
            "protocol": PROTOCOL,
            "data": Path(scored[0].scores["data"]).name,
            "split": scored[0].scores["split"],
            "level": config.level,
            "baseline": scored[0].label,
            "models": {one.label: Path(one.scores["model"]).name for one in scored},
            "comparisons": [
                {
                    "name": other.label,
                    **differences(
                        scored[0].pools,
                        other.pools,
                        num_samples=config.bootstrap,
                        level=config.level,
                        seed=config.seed,
                    ),
                }
                for other in scored[1:]
            ],
        }
        (build.dir / RESULT).write_text(
            json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        text = page.render(TEMPLATE, title=config.title, metrics=SHOWN_METRICS, **result)
        (build.dir / PAGE).write_text(text, encoding="utf-8")
        return build.publish(rows=artifact.Rows(read=len(scored), kept=len(scored)))


def table(result: dict[str, Any]) -> str:
    """The comparisons in percent for the first metric: the pools first, then the pairs while they are few."""
    metric = SHOWN_METRICS[0]
    parts = []
    for comparison in result["comparisons"]:
        pairs = comparison["pairs"]
        shown = [*comparison["groups"], *(pairs if len(pairs) <= MOST_PAIRS else [])]
        rows = [_row(record, metric) for record in shown]
        headers = [
            "queries -> documents",
            "queries",
            result["baseline"],
            comparison["name"],
            "difference",
            "p",
            "holds",
        ]
        body = tabulate(
            rows, headers=headers, colalign=("left", *["right"] * 5, "left"), disable_numparse=True
        )
        holding = [record for record in pairs if record["metrics"][metric]["holds"]]
        better = sum(record["metrics"][metric]["difference"] > 0 for record in holding)
        parts.append(
            f"{comparison['name']} against {result['baseline']}, {metric} in %, paired by query\n{body}\n"
            f"of {len(pairs)} language pairs {better} are better and {len(holding) - better} worse"
            f" (adjusted p <= {result['level']:g}); no difference shown in {len(pairs) - len(holding)}"
        )
    return "\n\n".join(parts)


def _row(record: dict[str, Any], metric: str) -> list[str]:
    own = record["metrics"][metric]
    ends = "" if own["low"] is None else f" [{100 * own['low']:+.1f}, {100 * own['high']:+.1f}]"
    return [
        record["name"],
        f"{record['num_queries']:,}",
        f"{100 * own['baseline']:.1f}",
        f"{100 * own['other']:.1f}",
        f"{100 * own['difference']:+.1f}{ends}",
        "-" if own["p"] is None else f"{own['p']:.4f}",
        {True: "yes", False: "no", None: "one query"}[own["holds"]],
    ]


def _read(item: Artifact, label: str) -> _Scored:
    scores = read_json(item, SCORES)
    if "data" not in scores or not (item.dir / PER_QUERY).is_file():
        raise UserError(
            f"{item.dir}: was not scored on a retrieval set (--data), so it has no queries to compare"
        )
    try:
        return _Scored(label, scores, Pools.of(pq.read_table(item.dir / PER_QUERY)))
    except (pa.ArrowException, KeyError) as error:
        raise UserError(f"{item.dir / PER_QUERY}: not the table of an evaluation ({error})") from error


def _require_same_set(first: _Scored, other: _Scored) -> None:
    for what, name in (("data", "data_hash"), ("split", "split"), ("protocol", "protocol")):
        if first.scores[name] != other.scores[name]:
            shown = [
                one.scores["protocol"]["name"] if what == "protocol" else one.scores[what]
                for one in (first, other)
            ]
            raise UserError(
                f"{other.label}: its {what} differs from that of {first.label} ({shown[1]} and {shown[0]});"
                " evaluate both models again on one set, with one version"
            )
