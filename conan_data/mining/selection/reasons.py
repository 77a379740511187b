"""What becomes of a candidate, by name: each one that is looked at is counted under exactly one of these."""

from collections.abc import Mapping

REASONS = (
    "kept:rank",
    "kept:sampled",
    "kept:judged",
    "known-positive",
    "same-group",
    "false-negative",
    "absolute-margin",
    "ceiling",
    "floor",
    "rank-window",
    "same-group-again",
    "duplicate-text",
    "near-positive",
    "near-duplicate",
    "judged-positive",
    "judge-failed",
    "beyond-pool",
    "not-sampled",
)
"""In the order of the filters, but for those that say why a document stands in a pool, which come first."""
KEPT = tuple(reason for reason in REASONS if reason.startswith("kept:"))
"""The `reason` of a document in a pool: by its rank, by the draw, or because a judge called it no answer."""
CODES = {reason: code for code, reason in enumerate(REASONS)}


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Adds the counts of one block of queries to `total`, in place."""
    for reason, count in more.items():
        total[reason] = total.get(reason, 0) + count
