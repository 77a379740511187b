"""Account for the rows and the columns of the files that a stage reads.

A row that is refused, and a column that nothing reads, change what a model learns. So each is counted by its file and
its reason or name, is written into the manifest, and is said in one line on the screen.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from conan_data.readers.rows import Broken

log = logging.getLogger(__name__)
MAX_COLUMNS = 200
"""Distinct unused columns of a file that are named; the rest are counted together under `MORE`."""
MORE = "(more columns)"
_MAX_LINES, _MAX_SHOWN = 20, 40


@dataclass
class FileAccount:
    """What became of one file."""

    read: int = 0
    """Rows."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rows that were not used, by reason."""
    unused: Counter[str] = field(default_factory=Counter)
    """For every column, the used rows whose value in it was not used."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What else the manifest says of the file."""
    columns: dict[str, None] = field(default_factory=dict)
    """Names of columns, of refused rows, for messages; in the order in which they came, `_MAX_SHOWN` at most."""

    def refuse(self, row: Broken, columns: Iterable[str] = ()) -> None:
        """Count a row that is not used; `columns` are those that it has."""
        self.refused[row.reason] += 1
        if len(self.columns) < _MAX_SHOWN:
            self.columns |= dict.fromkeys(islice(columns, _MAX_SHOWN))

    def leave_out(self, columns: Iterable[str], num_rows: int = 1) -> None:
        """Count columns whose values are not used in `num_rows` rows."""
        for column in columns:
            is_known = column in self.unused or len(self.unused) < MAX_COLUMNS
            self.unused[column if is_known else MORE] += num_rows

    def leave_out_others(self, values: Mapping[str, Any], used: Collection[str]) -> None:
        """Count the columns of a used row that have a value and are not among `used`, dotted paths to what is read."""
        heads = {name.split(".")[0] for name in used}
        self.leave_out(
            name
            for name, value in values.items()
            if name not in heads and name not in used and value is not None and value != "" and value != []
        )


@dataclass
class Account:
    """The files of one reading, by the names under which they are published."""

    files: dict[str, FileAccount] = field(default_factory=dict)
    dropped_negatives: Counter[str] = field(default_factory=Counter)
    """Texts that rows name as negatives and that are not used, by reason."""

    def of(self, file: str) -> FileAccount:
        """Return the account of a file, a new one where it has none."""
        return self.files.setdefault(file, FileAccount())

    def add(self, other: "Account") -> None:
        """Add what another reading counted."""
        for name, file in other.files.items():
            own = self.of(name)
            own.read += file.read
            own.refused.update(file.refused)
            own.unused.update(file.unused)
            own.notes.update(file.notes)
        self.dropped_negatives.update(other.dropped_negatives)

    def why(self) -> str:
        """Return why rows were refused, and what columns they have, for the message that nothing usable is left."""
        refused = sum((file.refused for file in self.files.values()), Counter[str]())
        columns = dict.fromkeys(name for file in self.files.values() for name in file.columns)
        reasons = _counts(refused) or "no rows"
        return f"{reasons}; the columns are {', '.join(map(_shown, columns))}" if columns else reasons

    def say(self) -> None:
        """Log one line for each file with refused rows, one for files that share their unused columns, and one for the
        dropped negatives.
        """
        refused = [
            f"{name}: {file.refused.total():,} of {file.read:,} rows are refused ({_counts(file.refused)})"
            for name, file in self.files.items()
            if file.refused
        ]
        by_columns: dict[tuple[str, ...], list[str]] = {}
        for name, file in self.files.items():
            if file.unused:
                by_columns.setdefault(tuple(sorted(file.unused)), []).append(name)
        unused = [
            f"{names[0]}{f' and {len(names) - 1:,} more files' if len(names) > 1 else ''}: columns that are not used: "
            + ", ".join(map(_shown, columns))
            for columns, names in by_columns.items()
        ]
        for messages in (refused, unused):
            for message in messages[:_MAX_LINES]:
                log.warning("%s", message)
            if len(messages) > _MAX_LINES:
                log.warning("%s more such lines; the manifest has all", f"{len(messages) - _MAX_LINES:,}")
        if lost := self.dropped_negatives.total():
            log.warning("%s negatives are not used (%s)", f"{lost:,}", _counts(self.dropped_negatives))

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest says: `files`, those with refused rows, unused columns or notes, and `dropped_negatives`; each
        where there is any.
        """
        files = {
            name: {
                "read": file.read,
                **({"refused": dict(sorted(file.refused.items()))} if file.refused else {}),
                **({"unused_columns": dict(sorted(file.unused.items()))} if file.unused else {}),
                **({"notes": file.notes} if file.notes else {}),
            }
            for name, file in sorted(self.files.items())
            if file.refused or file.unused or file.notes
        }
        negatives = {reason: count for reason, count in sorted(self.dropped_negatives.items()) if count}
        return {
            **({"files": files} if files else {}),
            **({"dropped_negatives": negatives} if negatives else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Account":
        """Return the account that `to_json` wrote."""
        files = {
            name: FileAccount(
                read=file["read"],
                refused=Counter(file.get("refused", {})),
                unused=Counter(file.get("unused_columns", {})),
                notes=file.get("notes", {}),
            )
            for name, file in content.get("files", {}).items()
        }
        return cls(files, Counter(content.get("dropped_negatives", {})))


def merged(accounts: Iterable[Account]) -> Account:
    """Return several accounts as one."""
    total = Account()
    for account in accounts:
        total.add(account)
    return total


def _shown(column: str) -> str:
    """Return the name of a column for the screen: printable, and not long."""
    return "".join(letter if letter.isprintable() else "?" for letter in column[:80])


def _counts(reasons: Counter[str]) -> str:
    return ", ".join(
        f"{reason} {count:,}"
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        if count
    )
