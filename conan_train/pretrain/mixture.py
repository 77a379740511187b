"""Rows of several sources with stated shares, in an order that is a function of the seed and the step alone.

A corpus as it is is mostly web; what teaches most is a small part of it. So every source (or language of a
source) has rows of its own, and blocks of `BLOCK` rows take as many of each as its share says, evenly spread
within the block. Which row comes when follows from its number: a run that continues needs no count of what
was read. A small source with a large share is read many times over, and more than about four times is worth
little (Muennighoff et al. 2023, Scaling Data-Constrained Language Models): that is said before training.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conan_data.errors import UserError
from conan_train.pretrain.config import REST
from conan_train.pretrain.packing import Batch, PackedRows, Rows, stack
from conan_train.pretrain.tokens import Tokens

log = logging.getLogger(__name__)

BLOCK = 1024
"""Rows over which shares are kept; a share is a multiple of one in so many."""
MANY_EPOCHS = 4


@dataclass(frozen=True)
class Stratum:
    """Documents that are mixed as one, and their share of the tokens."""

    name: str
    documents: np.ndarray
    share: float


class MixedRows:
    """The rows of all strata, numbered from 0 on; a pass is as many rows as all of them have once."""

    def __init__(self, tokens: Tokens, strata: Sequence[Stratum], *, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self.parts = [
            Rows(tokens.ids, tokens.starts, stratum.documents, length=length, seed=[seed, number])
            for number, stratum in enumerate(strata)
        ]
        for part, stratum in zip(self.parts, strata, strict=True):
            if not part.per_epoch:
                raise UserError(
                    f"mixture: {stratum.name} has {part.num_tokens:,} tokens, too few for one row of {length}; "
                    "lower sequence_length, or give it the weight 0"
                )
        self.counts = rows_per_block([stratum.share for stratum in strata])
        self._block, self._order = -1, np.zeros(0, np.int64)

    @property
    def per_epoch(self) -> int:
        return sum(part.per_epoch for part in self.parts)

    def batch(self, first: int, count: int) -> Batch:
        """`count` rows from number `first` on."""
        rows = []
        for number in range(first, first + count):
            part, place = self.place(number)
            rows.append(self.parts[part].row(place))
        return stack(rows)

    def place(self, number: int) -> tuple[int, int]:
        """The stratum of row `number`, and the number of the row in it."""
        block, place = divmod(number, BLOCK)
        order = self._order_of(block)
        part = int(order[place])
        return part, block * int(self.counts[part]) + int((order[:place] == part).sum())

    def rows_taken(self, num_rows: int) -> np.ndarray:
        """int64 [strata]: rows of each among the first `num_rows`."""
        blocks, rest = divmod(num_rows, BLOCK)
        return blocks * self.counts + np.bincount(
            self._order_of(blocks)[:rest], minlength=len(self.parts)
        ).astype(np.int64)

    def _order_of(self, block: int) -> np.ndarray:
        """int64 [BLOCK]: the stratum of each row. Row j of a stratum with c rows comes somewhere in the j-th
        of c equal stretches.
        """
        if block != self._block:
            draw = np.random.Generator(np.random.PCG64([self.seed, len(self.parts), block]))
            parts = np.repeat(np.arange(len(self.parts)), self.counts)
            within = np.concatenate([np.arange(count) for count in self.counts])
            keys = (within + draw.random(BLOCK)) / self.counts[parts]
            self._block, self._order = block, parts[np.argsort(keys, kind="stable")]
        return self._order


def rows_per_block(shares: Sequence[float]) -> np.ndarray:
    """int64 [strata]: rows of each in a block, one at least, by largest remainders."""
    if len(shares) > BLOCK:
        raise UserError(f"mixture: {len(shares)} parts are too many for blocks of {BLOCK} rows")
    exact = np.asarray(shares) / np.sum(shares) * BLOCK
    counts = np.maximum(np.floor(exact), 1).astype(np.int64)
    for _ in range(BLOCK - int(counts.sum())):
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > BLOCK:  # parts that were lifted to one row
        counts[np.argmax(np.where(counts > 1, counts - exact, -np.inf))] -= 1
    return counts


def make_strata(
    tokens: Tokens,
    documents: np.ndarray,
    *,
    by_source: Mapping[str, float],
    by_language: Mapping[str, float],
) -> list[Stratum]:
    """The strata of `documents`: sources, languages of each source, or all in one where nothing is stated.

    Without `by_source` a source has the share of its tokens. Raises `UserError` for a source or language
    without a weight, and for a weight without documents.
    """
    sources, languages = tokens.sources[documents], tokens.languages[documents]
    source_weights = _weights("mixture", by_source, tokens.source_names, sources)
    language_weights = _weights("language_mixture", by_language, tokens.names, languages)
    if not by_source and not by_language:
        return [Stratum("all documents", documents, 1.0)]
    lengths = tokens.lengths[documents]
    found = []
    for source, name in enumerate(tokens.source_names):
        own = sources == source
        weight = source_weights[source] if by_source else float(lengths[own].sum())
        if not own.any() or not weight:
            continue
        if not by_language:
            found.append(Stratum(name, documents[own], weight))
            continue
        present = [language for language in np.unique(languages[own]) if language_weights[language]]
        if not present:
            raise UserError(f"language_mixture: no language of the source {name!r} has a weight over 0")
        total = sum(language_weights[language] for language in present)
        for language in present:
            chosen = documents[own & (languages == language)]
            found.append(
                Stratum(
                    f"{name}, {tokens.names[language]}", chosen, weight * language_weights[language] / total
                )
            )
    whole = sum(stratum.share for stratum in found)
    if not whole:
        raise UserError("mixture: no source with documents has a weight over 0")
    return [Stratum(stratum.name, stratum.documents, stratum.share / whole) for stratum in found]


def make_rows(tokens: Tokens, strata: Sequence[Stratum], *, length: int, seed: int) -> Rows | MixedRows:
    """The rows of all strata."""
    if len(strata) == 1:
        return Rows(tokens.ids, tokens.starts, strata[0].documents, length=length, seed=seed)
    return MixedRows(tokens, strata, length=length, seed=seed)


def account(
    rows: PackedRows, strata: Sequence[Stratum], tokens: Tokens, num_rows: int
) -> dict[str, dict[str, float]]:
    """What the first `num_rows` rows are made of, for each source: its share of the tokens, the share that
    was stated (None where none was), its tokens, and how often each is read.
    """
    taken = rows.rows_taken(num_rows) if isinstance(rows, MixedRows) else np.asarray([num_rows])
    parts = rows.parts if isinstance(rows, MixedRows) else [rows]
    result: dict[str, dict[str, float]] = {}
    for source, name in enumerate(tokens.source_names):
        own = [stratum.documents[tokens.sources[stratum.documents] == source] for stratum in strata]
        sizes = np.array([tokens.lengths[documents].sum() for documents in own], dtype=np.float64)
        wholes = np.array([tokens.lengths[stratum.documents].sum() for stratum in strata], dtype=np.float64)
        read = float((taken * sizes / wholes).sum())
        stated = float((np.array([stratum.share for stratum in strata]) * sizes / wholes).sum())
        most = max(
            (
                count / part.per_epoch
                for count, part, size in zip(taken, parts, sizes, strict=True)
                if size and part.per_epoch
            ),
            default=0.0,
        )
        result[name] = {
            "stated_share": stated,
            "share": read / num_rows,
            "tokens": int(sizes.sum()),
            "epochs": float(most),
        }
    return result


def report(found: Mapping[str, Mapping[str, float]]) -> None:
    """Says what is read, and warns of what is read too often."""
    for name, row in found.items():
        log.info(
            "%s: %.1f%% of the tokens (stated %.1f%%), %s tokens, %.2f epochs",
            *(name, 100 * row["share"], 100 * row["stated_share"], f"{row['tokens']:,}", row["epochs"]),
        )
        if row["epochs"] > MANY_EPOCHS:
            log.warning(
                "%s: is read %.1f times; more than %d times is worth little, give it a lower weight or more text",
                name,
                row["epochs"],
                MANY_EPOCHS,
            )


def _weights(
    field: str, stated: Mapping[str, float], names: Sequence[str], present: np.ndarray
) -> list[float]:
    """The weight of each name; checked where any is stated."""
    if not stated:
        return [1.0] * len(names)
    for name in stated:
        if name != REST and name not in names:
            raise UserError(f"{field}.{name}: the corpus has no such one; it has {', '.join(names)}")
    missing = [
        names[number] for number in np.unique(present) if names[number] not in stated and REST not in stated
    ]
    if missing:
        raise UserError(
            f"{field}: {', '.join(missing[:5])} has no weight; give it one (0 leaves it out), or a weight {REST} for all others"
        )
    return [stated.get(name, stated.get(REST, 0.0)) for name in names]
