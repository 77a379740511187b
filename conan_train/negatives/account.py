"""What the log says of a refresh: what it cost, what it changed, and how hard the new negatives are."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from conan_train.negatives.generation import Generation, changed_share
from conan_train.negatives.mined import Mined
from conan_train.negatives.miner import Mining

log = logging.getLogger(__name__)

_NEAR = 0.9


def mining_facts(mining: Mining, *, num_negatives: int) -> dict[str, Any]:
    """What only the miner knows, as JSON; a generation of a service carries it in its manifest.

    `near_positive` is the share of the first `num_negatives` of the pools that score over 0.9 times their query's
    positive: how many are hard.
    """
    score_QN = mining.pools.scores[:, :num_negatives]
    is_there_QN = ~np.isnan(score_QN)
    is_near_QN = is_there_QN & (score_QN > _NEAR * mining.pools.positive_scores[:, None])
    return {
        "depth": mining.depth,
        "documents": mining.num_documents,
        "queries": mining.num_queries,
        "near_positive": float(is_near_QN.sum() / is_there_QN.sum()) if is_there_QN.any() else None,
        **{name: float(value) for name, value in mining.figures.items()},
    }


def account(
    mined: Mined,
    old: Generation,
    *,
    step: int,
    mode: str,
    facts: Mapping[str, Any],
    share: float,
    trigger: str,
) -> dict[str, Any]:
    """The event of a change from `old` to the generation of `mined` before step `step`; says it in a line, too.

    `share` is that of the training time so far that went into mining, and in the other modes into all that
    has to do with it in the trainer.
    """
    new = mined.generation
    changed = changed_share(old, new, num_negatives=mined.task.num_negatives) if old.name else 1.0
    event = {
        "event": "refresh",
        "step": step,
        "generation": new.name,
        **facts,
        "share": share,
        "changed": changed,
        "mean_score": new.mean_score,
        "staleness": new.staleness(step),
        "trigger": trigger,
        "mode": mode,
    }
    if mined.name != "retrieval":
        event["task"] = mined.name
    made = "step %d: mined %s (%s, %s) in %.1f s: "
    facts_of = (step, new.name, mode, facts.get("depth", "full"), facts.get("seconds", 0.0))
    if math.isnan(new.mean_score):
        log.warning(made + "no query has a negative left, only the other texts of its batch", *facts_of)
    else:
        words = "%.0f%% of the negatives are new, mean score %.3f"
        log.info(made + words, *facts_of, 100 * changed, new.mean_score)
    return event
