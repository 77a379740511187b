"""What becomes of a candidate, by name: each one that is looked at is counted under exactly one of these."""

from collections.abc import Mapping

MEANINGS = {
    "kept:rank": "a negative: among the best that are left",
    "kept:sampled": "a negative: drawn from those that are left",
    "kept:judged": "a negative: doubtful by its score, and no answer to the judge",
    "known-positive": "labelled as an answer",
    "same-group": "says the same as an answer, such as its translation",
    "query-itself": "has the id or the text of the query, or says the same as such a document",
    "false-negative": "scores over margin x positive score: likely an answer that nobody labelled",
    "absolute-margin": "scores less than the absolute margin under the positive score",
    "ceiling": "scores over the ceiling",
    "floor": "scores under the floor: too easy",
    "rank-window": "among the first that are passed over (skip)",
    "same-group-again": "says the same as a better candidate",
    "duplicate-text": "has the text of an answer or of a better candidate",
    "near-positive": "nearly the same as an answer, by its vector",
    "near-duplicate": "nearly the same as a better candidate, by its vector",
    "judged-positive": "an answer to the judge",
    "judge-failed": "without a verdict of the judge",
    "beyond-pool": "usable, but the pool is full of better ones",
    "not-sampled": "usable, but not drawn",
}
"""What each says, in words. In the order of the filters, but for those that say why a document stands in a pool, which
come first.
"""
REASONS = tuple(MEANINGS)
KEPT = tuple(reason for reason in REASONS if reason.startswith("kept:"))
"""The `reason` of a document in a pool: by its rank, by the draw, or because a judge called it no answer."""
CODES = {reason: code for code, reason in enumerate(REASONS)}


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Adds the counts of one block of queries to `total`, in place."""
    for reason, count in more.items():
        total[reason] = total.get(reason, 0) + count
