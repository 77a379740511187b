import json

import pytest

from conan_train.report.artifacts import evaluations, open_all
from conan_train.report.names import distinct_names


def score_file(kind, data="set", *, path=None, model="model"):
    return {
        "scores.json": json.dumps(
            {
                "model": "bm25" if kind == "bm25" else f"runs/{model}",
                "model_kind": kind,
                "fingerprint": "0" * 64,
                "data": path or f"{kind}/{data}",
                "data_hash": data,
                "split": "dev",
                "protocol": {"name": "p"},
                "summary": {},
            }
        )
    }


def shown(paths):
    return [[(one.label, one.before) for one in group] for group in evaluations(open_all(paths))]


def test_before_is_the_model_that_the_manifest_names(make):
    """Two trainings after each other from one base, and a second one from the base: each has its own origin, and the
    evaluation of an export stands for the model that was exported.
    """
    base = make("language-model", "base")
    weak = make("embedder", "z-weak", inputs=[base])
    final = make("embedder", "a-final", inputs=[weak])
    other = make("embedder", "other-run", inputs=[base])
    exported = make("sentence-transformers", "exported", inputs=[final])
    everything = [base, weak, final, other, exported]
    for name, model in (("e1", base), ("e22", weak), ("e333", exported), ("e4444", other)):
        everything.append(make("evaluation", name, files=score_file("x"), inputs=[model]))
    everything.append(make("evaluation", "words", files=score_file("bm25", path="x/set")))
    assert shown(everything[::-1]) == [
        [("e1", None), ("e22", "e1"), ("e4444", "e1"), ("e333", "e22"), ("words", None)]
    ]
    assert [item.dir.name for item in open_all(everything)][1:4] == ["other-run", "z-weak", "a-final"]


def test_without_the_manifest_of_the_training_nothing_is_before(make):
    paths = [
        make("evaluation", f"e{kind}", files=score_file(kind))
        for kind in ("embedder", "language-model", "bm25")
    ]
    assert shown(paths) == [[("eembedder", None), ("elanguage-model", None), ("ebm25", None)]]


def test_of_two_evaluations_of_the_origin_neither_is_before(make):
    base = make("language-model", "base")
    tuned = make("embedder", "tuned", inputs=[base])
    paths = [base, tuned]
    for name, model in (("one", base), ("three", base), ("after", tuned)):
        paths.append(make("evaluation", name, files=score_file("x"), inputs=[model]))
    assert shown(paths) == [[("one", None), ("three", None), ("after", None)]]


def test_sets_and_artifacts_of_one_name_are_told_apart(make):
    paths = [
        make("evaluation", "run-a/dev", files=score_file("embedder", "1" * 64, path="old/xlr")),
        make("evaluation", "run-bb/dev", files=score_file("embedder", "1" * 64, path="old/xlr")),
        make("evaluation", "run-ccc/dev", files=score_file("embedder", "2" * 64, path="new/xlr")),
        make("evaluation", "run-dddd/dev", files=score_file("embedder", "3" * 64, path="new/xlr")),
    ]
    groups = evaluations(open_all(paths))
    assert [(group[0].set_name, [one.label for one in group]) for group in groups] == [
        ("old/xlr, dev, p", ["run-a/dev", "run-bb/dev"]),
        ("xlr 22222222, dev, p", ["run-ccc/dev"]),
        ("xlr 33333333, dev, p", ["run-dddd/dev"]),
    ]


@pytest.mark.parametrize(
    ("paths", "hashes", "expected"),
    [
        (["a/x", "b/y"], ["1", "2"], ["x", "y"]),
        (["a/x", "b/x", "c/z"], ["1", "2", "3"], ["a/x", "b/x", "z"]),
        (["a/b/x", "c/b/x", "x"], ["1", "2", "333333333"], ["a/b/x", "c/b/x", "x 33333333"]),
        (["a/x", "a/x"], ["1", "1"], ["x", "x"]),
    ],
)
def test_names_are_as_short_as_they_can_be(paths, hashes, expected):
    assert distinct_names(paths, hashes) == expected
