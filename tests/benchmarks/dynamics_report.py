"""The runs of `tests.benchmarks.dynamics` as a table, a page with the curves, and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from conan_data import page as pages
from conan_train.report.figures import curves
from conan_train.report.training import Series, series

LEVEL = 0.95
REFERENCE, AT_EQUAL_TIME = "static", "static, equal time"
CURVES = {
    "negative_score": "score of the negatives",
    "positive_score": "score of the positives",
    "loss": "loss",
}
HEADERS = (
    "arm",
    "seeds",
    "steps",
    "nDCG@10",
    "against static",
    "at equal time",
    "replaced",
    "new by mining",
    "seconds",
    "mining",
)
TEMPLATE = Path(__file__).parent / "dynamics.html.jinja"
Run = Mapping[str, Any]


def report(
    runs: Sequence[Run], baselines: Mapping[str, Mapping[str, float]], *, page: Path, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Prints the tables, writes the page, and returns the figures."""
    sets: list[dict[str, Any]] = []
    for name, scores in baselines.items():
        own = [run for run in runs if run["set"] == name]
        arms = compare(own)
        rows = [_row(arm) for arm in arms]
        print(f"{name}: BM25 {100 * scores['bm25']:.1f}, start model {100 * scores['start']:.1f}")
        print(tabulate(rows, headers=HEADERS, disable_numparse=True))
        sets.append(
            {"name": name, "scores": scores, "rows": rows, "arms": arms, "drawings": drawings(name, own)}
        )
    settings = {name: str(value) for name, value in given.items() if name != "work"}
    page.write_text(pages.render(TEMPLATE, sets=sets, headers=HEADERS, settings=settings), encoding="utf-8")
    return {
        one["name"]: {**one["scores"], **{arm.pop("arm"): _rounded(arm) for arm in one["arms"]}}
        for one in sets
    }


def compare(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A record an arm: the mean of nDCG@10 over seeds and of its difference to `static`, by seed, each with a t
    interval (None where there is one seed). Arms that mine are also compared with a `static` of as much time.
    """
    ndcg = {(run["arm"], run["seed"]): run["ndcg"] for run in runs}
    arms = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm]
        mines = any(run["mining_share"] for run in own)
        # The first mining of a run has nothing to compare with.
        changed = [share for run in own for share in run["changed"] if share is not None]
        arms.append(
            {
                "arm": arm,
                "num_seeds": len(own),
                "steps": own[0]["steps"],
                "ndcg": t_interval([run["ndcg"] for run in own]),
                "difference": _difference(ndcg, arm, REFERENCE),
                "difference_at_equal_time": _difference(ndcg, arm, AT_EQUAL_TIME) if mines else None,
                "replaced": float(np.mean([run["replaced"] for run in own])),
                "changed": float(np.mean(changed)) if changed else None,
                "seconds": float(np.median([run["seconds"] for run in own])),
                "mining_share": float(np.median([run["mining_share"] for run in own])),
            }
        )
    return arms


def _difference(
    ndcg: Mapping[tuple[str, int], float], arm: str, reference: str
) -> dict[str, float | None] | None:
    pairs = [
        (ndcg[arm, seed], ndcg[reference, seed])
        for own, seed in ndcg
        if own == arm and (reference, seed) in ndcg
    ]
    return t_interval([one - other for one, other in pairs]) if pairs and arm != reference else None


def t_interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and the ends of its 95% interval; no ends for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * stats.sem(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def drawings(name: str, runs: Sequence[Run]) -> list[str]:
    """Curves over the steps, means over seeds, an arm of equal steps a line."""
    steps = min(run["steps"] for run in runs)
    arms = list(dict.fromkeys(run["arm"] for run in runs if run["steps"] == steps))
    refreshes = sorted(
        {event["step"] for run in runs for event in run["lines"] if event["event"] == "refresh"}
    )
    return [
        curves(
            f"{name}-{field}",
            {arm: mean_series([run for run in runs if run["arm"] == arm], field) for arm in arms},
            ylabel=label,
            refreshes=refreshes,
        )
        for field, label in CURVES.items()
    ]


def mean_series(runs: Sequence[Run], field: str) -> Series:
    """Mean over the runs that have a value at a step: where a pool is used up, a line has no score of negatives."""
    values: dict[float, list[float]] = {}
    for line in [series(run["lines"], field) for run in runs]:
        for step, value in zip(line.steps, line.values, strict=True) if line is not None else ():
            values.setdefault(step, []).append(value)
    steps = sorted(values)
    return Series(np.array(steps), np.array([np.mean(values[step]) for step in steps]))


def _row(arm: Mapping[str, Any]) -> list[str]:
    changed = "" if arm["changed"] is None else f"{100 * arm['changed']:.0f}%"
    return [
        arm["arm"],
        str(arm["num_seeds"]),
        str(arm["steps"]),
        _percent(arm["ndcg"]),
        *(
            "" if arm[name] is None else _percent(arm[name], sign="+")
            for name in ("difference", "difference_at_equal_time")
        ),
        f"{arm['replaced']:.0f}",
        changed,
        f"{arm['seconds']:.1f}",
        f"{100 * arm['mining_share']:.0f}%",
    ]


def _percent(value: Mapping[str, float | None], *, sign: str = "") -> str:
    mean, low, high = value["mean"], value["low"], value["high"]
    assert mean is not None
    ends = "" if low is None or high is None else f" [{100 * low:{sign}.2f}, {100 * high:{sign}.2f}]"
    return f"{100 * mean:{sign}.2f}{ends}"


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 5) if isinstance(value, float) else value
