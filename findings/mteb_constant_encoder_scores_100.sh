#!/usr/bin/env bash
# mteb: a reranking set of one's own gives a constant encoder nDCG@10 of 1.0 or 0.29, by what its documents are called.
#
# Versions: mteb 2.26.24, pytrec_eval (pytrec-eval-terrier, as mteb asks for it), datasets 5.2.0, torch 2.13.0 (CPU).
# Seen: 20 questions, each with 1 relevant document of 10, and an encoder that returns the same vector for every text.
#   With ids like q7-pos-0 and q7-neg-3 the task's main score is 1.0; with q7-gold-0 and q7-other-3 it is 0.289, which is
#   the last place of ten. Equal scores are ranked by document id, descending: `pos` stands before `neg`, `gold`
#   behind `other`. mteb's own converted sets call their relevant documents `apositive_...`, so that ties count
#   against the model; a set that somebody writes by hand has no such guard.
# A guess ("ties are broken at random or by the order of the candidates, so a collapsed model gets what chance gives,
#   about 0.45") fails. Ties are not exotic: a collapsed run, vectors cut to few bits, float16 scores, equal passages.
# What to do: give relevant and other documents ids of one form (numbers, hashes), or shuffle them; score a constant
#   encoder first, and read its score as the zero of the set.
# Exits with 1 when the behaviour changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "mteb==2.26.24" "datasets==5.2.0" "torch==2.13.0" 2>/dev/null
cat > "$work/show.py" <<'PYTHON'
import sys

import mteb
import numpy as np
import torch
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.model_meta import ModelMeta

UNKNOWN = dict.fromkeys(
    ("reference", "date", "domains", "task_subtypes", "license", "annotations_creators", "dialect", "sample_creation", "bibtex_citation")
)


def task_of(relevant: str, other: str) -> AbsTaskRetrieval:
    class Own(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=f"Own-{relevant}", description="Made up.", dataset={"path": "own/set", "revision": "1"}, type="Reranking",
            category="t2t", modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10", **UNKNOWN,
        )  # fmt: skip

        def load_data(self, *args: object, **kwargs: object) -> None:
            candidates = {f"q{i}": [f"q{i}-{relevant}-0", *(f"q{i}-{other}-{j}" for j in range(9))] for i in range(20)}
            documents = [{"id": d, "title": "", "text": f"text {d}"} for ids in candidates.values() for d in ids]
            split = RetrievalSplitData(
                corpus=Dataset.from_list(documents),
                queries=Dataset.from_list([{"id": q, "text": f"question {q}"} for q in candidates]),
                relevant_docs={q: {ids[0]: 1} for q, ids in candidates.items()},
                top_ranked=candidates,
            )
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

    return Own()


class Constant:
    mteb_model_meta = ModelMeta.create_empty()

    def encode(self, inputs: object, **kwargs: object) -> np.ndarray:
        return np.full((sum(len(batch["text"]) for batch in inputs), 4), 0.5, dtype=np.float32)

    def similarity(self, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(a) @ np.asarray(b).T)

    def similarity_pairwise(self, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        return torch.as_tensor((np.asarray(a) * np.asarray(b)).sum(1))


scores = {}
for names in (("pos", "neg"), ("gold", "other")):
    result = mteb.evaluate(Constant(), task_of(*names), cache=None, show_progress_bar=False)
    scores[names] = result.task_results[0].get_score()
    print(f"ids with {names[0]} and {names[1]}: nDCG@10 of a constant encoder {scores[names]:.3f}")
same = scores["pos", "neg"] == 1.0 and abs(scores["gold", "other"] - 1 / np.log2(11)) < 1e-4
print("as described" if same else "CHANGED: read the header again")
sys.exit(not same)
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" "$work/show.py" 2>/dev/null
