"""One page that answers the questions of whoever has to trust a model: what was it trained on, what was
thrown away and why, how did training go, is it better than before and than plain word matching, and with what
exactly was it made.

The page is one file without requests to anywhere, drawn from manifests, logs and scores alone, so the same
artifacts give the same bytes.
"""

from pathlib import Path
from typing import Any

from conan_data import artifact, page
from conan_data.artifact import Artifact
from conan_data.corpus.report import counts
from conan_data.manifest import TIMES_PAGE
from conan_train.report import data_sections, model_sections
from conan_train.report.artifacts import evaluations, evaluations_of, names, of_kind, open_all
from conan_train.report.config import ReportConfig
from conan_train.report.provenance import provenance, versions
from conan_train.report.times import render_times

PAGE = "report.html"
TEMPLATE = Path(__file__).parent / "page.html.jinja"


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
        (build.dir / TIMES_PAGE).write_text(
            render_times(trained(artifacts), title=config.title), encoding="utf-8"
        )
        return build.publish(rows=artifact.Rows(read=len(artifacts), kept=len(artifacts)))


def render(artifacts: list[Artifact], *, title: str) -> str:
    """The page; sections without an artifact are left out."""
    return page.render(TEMPLATE, title=title, listed=counts.listed, **context(artifacts))


def trained(artifacts: list[Artifact]) -> list[Artifact]:
    """Return the models that may have a log."""
    return [*of_kind(artifacts, "language-model"), *of_kind(artifacts, "embedder")]


def context(artifacts: list[Artifact]) -> dict[str, Any]:
    """What the template shows."""
    called = names(artifacts)
    tokenizers = [
        model_sections.tokenizer_section(item, name=called[item.dir])
        for item in of_kind(artifacts, "tokenizer")
    ]
    trainings = [
        model_sections.training_section(item, name=called[item.dir], number=number)
        for number, item in enumerate(trained(artifacts))
    ]
    return {
        "scores": [
            model_sections.scores_section(group, number=number)
            for number, group in enumerate(evaluations(artifacts))
        ],
        "tasks": [
            *(
                {"name": "Semantic textual similarity (Spearman)", **model_sections.sts_section(group)}
                for group in evaluations_of(artifacts, "sts")
            ),
            *(
                {"name": "Classification", **model_sections.classification_section(group)}
                for group in evaluations_of(artifacts, "classification")
            ),
        ],
        "trainings": [section for section in trainings if section is not None],
        "tokenizers": [section for section in tokenizers if section is not None],
        "corpora": [
            data_sections.corpus_section(item, name=called[item.dir]) for item in of_kind(artifacts, "corpus")
        ],
        "retrievals": [
            data_sections.retrieval_section(item, name=called[item.dir], number=number)
            for number, item in enumerate(of_kind(artifacts, "retrieval"))
        ],
        "negatives": [
            data_sections.negatives_section(item, name=called[item.dir])
            for item in of_kind(artifacts, "negatives")
        ],
        "artifacts": provenance(artifacts),
        "versions": versions(artifacts),
    }
