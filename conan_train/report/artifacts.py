"""The artifacts of one project, told apart by their manifests and put into the order in which they are made.

Nothing depends on what a directory is called. Which evaluation is of the model *before* training and which of
the one *after* is read off the recorded inputs: a trained model that is no input of a further training is
what came out; an evaluation of it, or of its export, is "after", any other model is "before".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data.artifact import Artifact, open_artifact
from conan_data.errors import UserError
from conan_train.trainlog import NAME as TRAIN_LOG
from conan_train.trainlog import read_events, read_log

KINDS = (
    "corpus",
    "retrieval",
    "negatives",
    "tokenizer",
    "language-model",
    "embedder",
    "evaluation",
    "sentence-transformers",
)
"""In the order in which they are made; others (reports) are left out."""
BEFORE, AFTER, BM25 = "before training", "after training", "BM25"
ROLES = (BEFORE, AFTER, BM25)
_FINISHED = ("embedder", "sentence-transformers")
SCORES = "scores.json"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, what it is of (one of `ROLES`), and a label that no other one of the same set has."""

    role: str
    label: str
    artifact: Artifact
    scores: dict[str, Any]

    @property
    def set_name(self) -> str:
        """The set, split and protocol, for a headline."""
        return f"{Path(self.scores['data']).name}, {self.scores['split']}, {self.scores['protocol']['name']}"


def open_all(paths: Sequence[str | Path]) -> list[Artifact]:
    """The artifacts at `paths` in the order of `KINDS`, then by path."""
    opened = [open_artifact(path) for path in paths]
    for artifact in opened:
        if artifact.manifest["kind"] not in KINDS:
            raise UserError(
                f"{artifact.dir}: holds a {artifact.manifest['kind']}; a report shows {', '.join(KINDS)}"
            )
    return in_order(opened)


def in_order(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Those of a kind that is shown, in the order of `KINDS`, then an input before what was made from it,
    then by path.
    """
    shown = sorted(
        (item for item in artifacts if item.manifest["kind"] in KINDS), key=lambda item: str(item.dir)
    )
    depth = {
        item.manifest_hash: _depth(item, {other.manifest_hash: other for other in shown}) for item in shown
    }
    return sorted(shown, key=lambda item: (KINDS.index(item.manifest["kind"]), depth[item.manifest_hash]))


def of_kind(artifacts: Sequence[Artifact], kind: str) -> list[Artifact]:
    """Those of one kind, in the order given."""
    return [item for item in artifacts if item.manifest["kind"] == kind]


def evaluations(artifacts: Sequence[Artifact]) -> list[list[Evaluation]]:
    """Evaluations of retrieval by set, split and protocol, for only those can be compared; each in the order
    before, after, BM25.
    """
    found: dict[tuple[str, str, str], list[Evaluation]] = {}
    finals = _final_models(artifacts)
    for item in of_kind(artifacts, "evaluation"):
        scores = read_json(item, SCORES)
        if "data" not in scores:
            continue
        role = _role(item, scores, finals)
        key = (scores["data_hash"], scores["split"], scores["protocol"]["name"])
        found.setdefault(key, []).append(Evaluation(role, role, item, scores))
    return [
        _labelled(sorted(group, key=lambda one: ROLES.index(one.role))) for _, group in sorted(found.items())
    ]


def evaluations_of(artifacts: Sequence[Artifact], task: str) -> list[list[Evaluation]]:
    """Evaluations with a part `task` (`sts`, `classification`) by its data and protocol, in that order too."""
    found: dict[tuple[str, str], list[Evaluation]] = {}
    finals = _final_models(artifacts)
    for item in of_kind(artifacts, "evaluation"):
        scores = read_json(item, SCORES)
        if task in scores:
            role = _role(item, scores, finals)
            settings = {name: scores[task].get(name) for name in ("probe", "samples_per_label")}
            key = (scores[task]["data_hash"], json.dumps([scores[task]["protocol"]["name"], settings]))
            found.setdefault(key, []).append(Evaluation(role, role, item, scores))
    return [
        _labelled(sorted(group, key=lambda one: ROLES.index(one.role))) for _, group in sorted(found.items())
    ]


def train_log(item: Artifact) -> list[dict[str, Any]]:
    """Return the events of a training's log, without times; none where it kept no log."""
    return read_log(item.dir / TRAIN_LOG)


def timed_log(item: Artifact) -> list[dict[str, Any]]:
    """Return the events of a training's log with the times that the machine took."""
    return read_events(item.dir / TRAIN_LOG)


def read_json(item: Artifact, name: str) -> dict[str, Any]:
    """A JSON file of an artifact."""
    try:
        return json.loads((item.dir / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise UserError(
            f"{item.dir / name}: missing or not JSON; make the artifact again with --overwrite"
        ) from error


def input_hashes(item: Artifact) -> set[str]:
    """Manifest hashes of the artifacts that `item` was made from."""
    return {entry["manifest_sha256"] for entry in item.manifest["inputs"] if "manifest_sha256" in entry}


def _depth(item: Artifact, known: dict[str, Artifact]) -> int:
    return max(
        (1 + _depth(known[made_from], known) for made_from in input_hashes(item) if made_from in known),
        default=0,
    )


def _final_models(artifacts: Sequence[Artifact]) -> set[str]:
    """Manifest hashes of the trained models that no other training went on from, and of their exports."""
    trained = of_kind(artifacts, "embedder")
    used = {made_from for item in trained for made_from in input_hashes(item)}
    finals = {item.manifest_hash for item in trained} - used
    return finals | {
        item.manifest_hash
        for item in of_kind(artifacts, "sentence-transformers")
        if not trained or input_hashes(item) & finals
    }


def _role(item: Artifact, scores: dict[str, Any], finals: set[str]) -> str:
    if scores["model_kind"] == "bm25":
        return BM25
    if finals:
        return AFTER if input_hashes(item) & finals else BEFORE
    return AFTER if scores["model_kind"] in _FINISHED else BEFORE


def _labelled(group: list[Evaluation]) -> list[Evaluation]:
    roles = [one.role for one in group]
    return [
        one
        if roles.count(one.role) == 1
        else Evaluation(one.role, f"{one.role} ({one.artifact.dir.name})", one.artifact, one.scores)
        for one in group
    ]
