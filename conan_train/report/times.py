"""How fast the trainings of a report were: a page of its own, for no two runs of a job take the same time, and the
report of the same artifacts has to have the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conan_data import page
from conan_data.artifact import Artifact
from conan_train.report import training
from conan_train.report.artifacts import names, timed_log

TEMPLATE = Path(__file__).parent / "times.html.jinja"
_SPEEDS = (
    ("queries a second", "queries_per_second"),
    ("tokens a second", "tokens_per_second"),
    ("share of the device's peak", "mfu"),
)


def render_times(trained: Sequence[Artifact], *, title: str) -> str:
    """Return the page; trainings without times are left out."""
    called = names(trained)
    sections = [{"name": called[item.dir], **_section(timed_log(item))} for item in trained]
    return page.render(
        TEMPLATE, title=title, trainings=[one for one in sections if one["facts"] or one["refreshes"]]
    )


def _section(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    facts = []
    for label, field in _SPEEDS:
        if (speed := training.series(events, field)) is not None:
            facts.append((label, f"{float(speed.values.mean()):,.4g}"))
    steps = training.step_lines(events)
    refreshes = [line for line in training.refreshes(events) if line.get("seconds") is not None]
    if refreshes and refreshes[-1].get("share") is not None:
        facts.append(("time spent mining", f"{100 * refreshes[-1]['share']:.1f}%"))
    if steps and steps[-1].get("stall") is not None:
        facts.append(("trainer's time for it", f"{100 * steps[-1]['stall']:.2f}%"))
    return {"facts": facts, "refreshes": refreshes}
