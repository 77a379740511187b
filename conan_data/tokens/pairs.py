"""Pairs of a query and a text that answers it, as training on plain text needs them.

A language model that has read many of them expects a text about what was asked, which is what an embedder is
trained for later. The pairs of one passage share its hash, so that none of them is trained on while another
is held out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from conan_data.pairs.rows import read_pair_rows
from conan_data.pairs.training_rows import Uses
from conan_data.plain_text import Document, Tally, hash_place
from conan_data.readers import Broken


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a text that answers it."""

    query: str
    document: str
    lang: str
    """Language of the document."""
    place: float
    """A hash in [0, 1) of the document's group."""
    source: str

    def as_document(self) -> Document:
        """Both as one text."""
        return Document(f"{self.query}\n{self.document}", self.lang, self.place, self.source)


def read_pairs(path: str, tally: Tally, *, split: str, source: str) -> Iterator[Pair]:
    """Yield the pairs of a retrieval set, or of one file of rows (see `read_pair_rows`); `source` is that of pairs that
    name none. Rows that cannot be used are counted by their reason, and so are those that only name negatives.
    """
    uses = Uses(negatives=False)
    for row in read_pair_rows(path, tally.account, source=source, split=split, uses=uses):
        if isinstance(row, Broken) or not row.positives:
            tally.read += 1
            tally.dropped[row.reason if isinstance(row, Broken) else "no-positive"] += 1
            continue
        tally.read += len(row.positives)
        for document in row.positives:
            place = hash_place(document.group or document.text)
            yield Pair(row.query, document.text, document.lang, place, row.source)
