"""What a training was worth: the scores of a model beside those of the model that it was trained from."""

from collections.abc import Sequence
from typing import Any

from conan_train.evaluation.groups import CROSS, SAME
from conan_train.report.artifacts import Evaluation


def gains(group: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Return nDCG@10 of every model whose origin was evaluated too, before and after its training, in the two pools
    that matter most; of BM25 where it was evaluated once.
    """
    by_label = {one.label: one for one in group}
    words = [one for one in group if one.is_bm25]
    found = []
    for after in group:
        if after.before is None:
            continue
        for name in (SAME, CROSS):
            before, later = (_ndcg(one, name) for one in (by_label[after.before], after))
            if before is not None and later is not None:
                bm25 = _ndcg(words[0], name) if len(words) == 1 else None
                labels = {"from": after.before, "to": after.label}
                found.append({"name": name, **labels, "before": before, "after": later, "bm25": bm25})
    return found


def _ndcg(one: Evaluation, pool: str) -> float | None:
    summary = one.scores["summary"]
    return summary[pool]["by_query"]["ndcg@10"]["value"] if pool in summary else None
