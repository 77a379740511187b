"""The ids and groups under which documents are published."""

import numpy as np

from conan_data.corpus.dedup.ids import suffix
from conan_data.corpus.records import open_records
from conan_data.corpus.workspace import Workspace, opened


class Names:
    """Ids and groups by numbers; ids that several rows have are told apart by a suffix (see `dedup.ids`)."""

    def __init__(self, work: Workspace) -> None:
        self._open = opened(work)
        self._suffixes = open_records(work.scratch / "suffixes", np.int64)
        self._grouped = open_records(work.scratch / "grouped", np.int64)

    def ids(self, numbers: np.ndarray, given: list[str] | None = None) -> list[str]:
        """Published ids; `given` are the documents' own, where they are at hand."""
        given = self._open.ids(numbers) if given is None else given
        suffixes = self._suffixes[numbers].tolist()
        return [name + suffix(code) if code else name for name, code in zip(given, suffixes, strict=True)]

    def groups(self, numbers: np.ndarray, ids: list[str], fields: list[str | None]) -> list[str]:
        """The group of the document that each is a near duplicate of, else its own (`fields`), else its id."""
        groups = [field or name for field, name in zip(fields, ids, strict=True)]
        if len(self._grouped):
            moved = np.flatnonzero(self._grouped[numbers] != numbers)
            targets = self._grouped[numbers[moved]]
            theirs = self._open.parts.values("group", self._open.order.positions[targets])
            for place, own, name in zip(moved.tolist(), theirs, self.ids(targets), strict=True):
                groups[place] = own or name
        return groups

    @property
    def num_renamed(self) -> int:
        return int(np.count_nonzero(self._suffixes))

    @property
    def first_renamed(self) -> str:
        """The published id of the first of them."""
        return self.ids(np.flatnonzero(self._suffixes)[:1])[0]
