"""The artifacts of one project, told apart by their manifests and put into the order in which they are made.

Nothing depends on what a directory is called; names are labels only. An evaluation is called by its artifact and by
the model that it is of. It is "before" another one only where the other's model was trained from its model, which the
manifest of the trained one says: among several trainings there is no other truth.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data.artifact import Artifact, open_artifact
from conan_data.errors import UserError
from conan_train.report.names import distinct_names
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
TRAINED = ("language-model", "embedder")
"""Kinds whose manifest names the model that they were trained from as the first input."""
EXPORTED = "sentence-transformers"
BM25 = "bm25"
SCORES = "scores.json"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, its label and the name of its model (each different from all others of the same set), the name
    of the set, and the label of the evaluation of the model that its model was trained from (None: not there).
    """

    label: str
    model: str
    set_name: str
    artifact: Artifact
    scores: dict[str, Any]
    before: str | None = None

    @property
    def is_bm25(self) -> bool:
        """Whether it is of word matching, not of a model."""
        return self.scores["model_kind"] == BM25


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


def names(artifacts: Sequence[Artifact]) -> dict[Path, str]:
    """Return by directory what each artifact is called: its directory's name, with parents where two are alike."""
    found = distinct_names(
        [item.dir.resolve() for item in artifacts], [item.manifest_hash for item in artifacts]
    )
    return {item.dir: name for item, name in zip(artifacts, found, strict=True)}


def evaluations(artifacts: Sequence[Artifact]) -> list[list[Evaluation]]:
    """Return the evaluations of retrieval by set, split and protocol, for only those can be compared; each model
    after the one that it was trained from, BM25 last.
    """
    found: dict[tuple[str, ...], list[tuple[Artifact, dict[str, Any]]]] = {}
    for item, scores in _scored(artifacts):
        if "data" in scores:
            key = (scores["data_hash"], scores["split"], scores["protocol"]["name"])
            found.setdefault(key, []).append((item, scores))
    keys = sorted(found)
    sets = distinct_names([found[key][0][1]["data"] for key in keys], [key[0] for key in keys])
    return [
        _group(found[key], f"{name}, {', '.join(key[1:])}", artifacts)
        for key, name in zip(keys, sets, strict=True)
    ]


def evaluations_of(artifacts: Sequence[Artifact], task: str) -> list[list[Evaluation]]:
    """Return the evaluations with a part `task` (`sts`, `classification`) by its data and protocol, as above."""
    found: dict[tuple[str, str], list[tuple[Artifact, dict[str, Any]]]] = {}
    for item, scores in _scored(artifacts):
        if task in scores:
            settings = {name: scores[task].get(name) for name in ("probe", "samples_per_label")}
            key = (scores[task]["data_hash"], json.dumps([scores[task]["protocol"]["name"], settings]))
            found.setdefault(key, []).append((item, scores))
    keys = sorted(found)
    files = [
        (own.get("data") or own.get("test") or [""])[0] for own in (found[key][0][1][task] for key in keys)
    ]
    sets = distinct_names(files, [key[0] for key in keys])
    return [_group(found[key], name, artifacts) for key, name in zip(keys, sets, strict=True)]


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


def _scored(artifacts: Sequence[Artifact]) -> list[tuple[Artifact, dict[str, Any]]]:
    return [(item, read_json(item, SCORES)) for item in of_kind(artifacts, "evaluation")]


def _group(
    members: Sequence[tuple[Artifact, dict[str, Any]]], set_name: str, artifacts: Sequence[Artifact]
) -> list[Evaluation]:
    """Return the evaluations of one set, labelled, in their order."""
    known = {item.manifest_hash: item for item in artifacts}
    called = names(artifacts)
    models = [_model(item, scores, known) for item, scores in members]
    model_names = distinct_names(
        [scores["model"] for _, scores in members], [scores["fingerprint"] for _, scores in members]
    )
    found = []
    for (item, scores), model, own in zip(members, models, model_names, strict=True):
        start = _trained_from(model, known)
        earlier = [
            called[other.dir]
            for (other, _), other_model in zip(members, models, strict=True)
            if start and other_model == start
        ]
        before = earlier[0] if len(earlier) == 1 else None
        found.append(Evaluation(called[item.dir], own, set_name, item, scores, before))
    depth = {one.label: _model_depth(model, known) for one, model in zip(found, models, strict=True)}
    return sorted(found, key=lambda one: (one.is_bm25, depth[one.label], one.label))


def _model(item: Artifact, scores: dict[str, Any], known: Mapping[str, Artifact]) -> str:
    """Return what identifies the model that an evaluation is of; an export is the model that was exported."""
    if scores["model_kind"] == BM25 or not item.manifest["inputs"]:
        return ""
    entry = item.manifest["inputs"][0]
    made = known.get(entry.get("manifest_sha256", ""))
    return _content(made.manifest["inputs"][0] if made and made.manifest["kind"] == EXPORTED else entry)


def _trained_from(model: str, known: Mapping[str, Artifact]) -> str:
    """Return what identifies the model that a trained one started from; nothing where that is not known."""
    made = known.get(model)
    is_trained = made is not None and made.manifest["kind"] in TRAINED and made.manifest["inputs"]
    return _content(made.manifest["inputs"][0]) if made is not None and is_trained else ""


def _model_depth(model: str, known: Mapping[str, Artifact]) -> int:
    made = known.get(model)
    return 0 if made is None else _depth(made, dict(known))


def _content(entry: Mapping[str, Any]) -> str:
    """Return what an input's content is, wherever it lies: the hash of an artifact's manifest, or all that the
    manifest says of other files and of a model on the Hub.
    """
    if "manifest_sha256" in entry:
        return str(entry["manifest_sha256"])
    content = {key: value for key, value in entry.items() if key != "path"}
    return json.dumps(content or dict(entry), sort_keys=True)
