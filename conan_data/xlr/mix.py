"""Which languages a query is asked in: a weighted choice without replacement that depends on nothing but the
query itself.

Drawn from one random stream, a query that is added or moved would change the languages of all that follow,
and every translation already paid for. Here each (seed, query, language) has its own uniform number u from a
hash, and a query takes the languages with the largest u^(1/w). That is sampling without replacement with
weights w (Efraimidis and Spirakis, 2006, "Weighted random sampling with a reservoir"): the first language is
i with probability w_i / sum(w), the next is chosen likewise among the rest. A language that is not to be had
for a query leaves the order of the others as it was.
"""

import hashlib
import math
from collections.abc import Mapping


def normalise(mix: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to one, by language in alphabetical order."""
    total = math.fsum(mix.values())
    return {language: mix[language] / total for language in sorted(mix)}


def choose(
    query_id: str, mix: Mapping[str, float], *, count: int, seed: int, available: frozenset[str] | None = None
) -> tuple[str, ...]:
    """Up to `count` languages of `mix`, the most wanted first; None for `available` means that any can be
    had.
    """
    candidates = [language for language in mix if available is None or language in available]
    if len(candidates) <= 1:
        return tuple(candidates)
    ranked = sorted(
        candidates,
        key=lambda language: (-math.log(uniform(seed, query_id, language)) / mix[language], language),
    )
    return tuple(ranked[:count])


def uniform(seed: int, query_id: str, language: str) -> float:
    """Return a number in (0, 1] that looks random and is the same for ever; 52 bits of it, so that none rounds to 0."""
    digest = hashlib.blake2b("\x1f".join((str(seed), query_id, language)).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / (1 << 52)
