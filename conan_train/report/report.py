"""One page that answers the questions of whoever has to trust a model: what was it trained on, what was
thrown away and why, how did training go, is it better than before and than plain word matching, and with what
exactly was it made.

The page is one file without requests to anywhere, drawn from manifests, logs and scores alone, so the same
artifacts give the same bytes.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from conan_data import artifact
from conan_data.artifact import Artifact
from conan_train.report import data_sections, model_sections
from conan_train.report.artifacts import evaluations, of_kind, open_all
from conan_train.report.config import ReportConfig
from conan_train.report.provenance import provenance, versions

PAGE = "report.html"
TEMPLATE = "page.html.jinja"


def report(config: ReportConfig) -> Path:
    """Writes an artifact of kind "report". Raises `UserError` for an input that is no artifact, or of a kind
    that is not shown.
    """
    artifacts = open_all(config.inputs)
    with artifact.building(
        config, kind="report", command="conan-train report", inputs=config.inputs
    ) as build:
        if build.done:
            return build.out
        (build.dir / PAGE).write_text(render(artifacts, title=config.title), encoding="utf-8")
        return build.publish(rows=artifact.Rows(read=len(artifacts), kept=len(artifacts)))


def render(artifacts: list[Artifact], *, title: str) -> str:
    """The page; sections without an artifact are left out."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=_count, percent=_percent, number=_number, size=_size, listed=data_sections.listed
    )
    return environment.get_template(TEMPLATE).render(title=title, **context(artifacts))


def context(artifacts: list[Artifact]) -> dict[str, Any]:
    """What the template shows."""
    trained = [*of_kind(artifacts, "language-model"), *of_kind(artifacts, "embedder")]
    trainings = [model_sections.training_section(item, number=number) for number, item in enumerate(trained)]
    return {
        "scores": [
            model_sections.scores_section(group, number=number)
            for number, group in enumerate(evaluations(artifacts))
        ],
        "trainings": [section for section in trainings if section is not None],
        "corpora": [
            data_sections.corpus_section(item, number=number)
            for number, item in enumerate(of_kind(artifacts, "corpus"))
        ],
        "retrievals": [
            data_sections.retrieval_section(item, number=number)
            for number, item in enumerate(of_kind(artifacts, "retrieval"))
        ],
        "negatives": [data_sections.negatives_section(item) for item in of_kind(artifacts, "negatives")],
        "artifacts": provenance(artifacts),
        "versions": versions(artifacts),
    }


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _size(value: int) -> str:
    """Bytes as kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value} B"
