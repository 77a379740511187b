import json

from conan_train.report.artifacts import AFTER, BEFORE, BM25, evaluations, open_all


def score_file(kind, data="set"):
    return {
        "scores.json": json.dumps(
            {
                "model_kind": kind,
                "data": f"{kind}/{data}",
                "data_hash": data,
                "split": "dev",
                "protocol": {"name": "p"},
                "summary": {},
            }
        )
    }


def roles(paths):
    return [[(one.role, one.artifact.dir.name) for one in group] for group in evaluations(open_all(paths))]


def test_roles_follow_recorded_inputs(make):
    """Two trainings after each other: the first embedder is "before", whatever it is called; the export of
    the second is "after".
    """
    weak = make("embedder", "z-weak")
    final = make("embedder", "a-final", inputs=[weak])
    exported = make("sentence-transformers", "exported", inputs=[final])
    of_weak = make("evaluation", "e1", files=score_file("embedder"), inputs=[weak])
    of_export = make("evaluation", "e2", files=score_file("sentence-transformers"), inputs=[exported])
    of_bm25 = make("evaluation", "e0", files=score_file("bm25"))
    everything = [of_bm25, of_export, exported, of_weak, final, weak]
    assert roles(everything) == [[(BEFORE, "e1"), (AFTER, "e2"), (BM25, "e0")]]
    assert [item.dir.name for item in open_all(everything)][:2] == ["z-weak", "a-final"]


def test_roles_without_the_models_go_by_kind(make):
    paths = [
        make("evaluation", f"e{kind}", files=score_file(kind))
        for kind in ("embedder", "language-model", "bm25")
    ]
    assert [role for role, _ in roles(paths)[0]] == [BEFORE, AFTER, BM25]


def test_sets_are_kept_apart_and_labels_differ(make):
    paths = [
        make("evaluation", name, files=score_file("embedder", data))
        for name, data in (("a", "x"), ("bb", "x"), ("ccc", "y"))
    ]
    groups = evaluations(open_all(paths))
    assert [[one.label for one in group] for group in groups] == [
        ["after training (a)", "after training (bb)"],
        ["after training"],
    ]
