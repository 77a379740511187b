"""Read scored pairs (`text1, text2, score`), the data of semantic textual similarity, as arrays.

Such files come with and without a header, under several names of columns, and on several scales (0..5, 0..1, 0
and 1, -1..1). A loss that orders pairs by their scores would order 0.9 of 1 below 2 of 5, so `unit_scores` brings the
scores of every file to 0..1: the lowest score of the file is 0 and its highest 1, whatever they are. Both are said on
the screen and in the manifest. Scores may be written as text, with a point; true is 1 and false 0.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.pair_set import NUM_EXAMPLES, require_pairs, source_names
from conan_data.pairs.texts import TextTable
from conan_data.pairs.training_rows import label_number
from conan_data.progress import progress
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.readers.account import Account
from conan_data.readers.fields import lookup
from conan_data.readers.streams import unpacked_name
from conan_data.retrieval import UNKNOWN_LANGUAGE
from conan_data.sources import expand

log = logging.getLogger(__name__)
# P pairs, D distinct texts

USUAL = (
    ("text1", "text2", "score"),
    ("sentence1", "sentence2", "score"),
    ("sentence1", "sentence2", "similarity_score"),
    ("sentence1", "sentence2", "similarity"),
    ("sentence1", "sentence2", "label"),
    ("text1", "text2", "label"),
    ("sentence_A", "sentence_B", "relatedness_score"),
    ("question1", "question2", "is_duplicate"),
)
_LARGEST = float(np.finfo(np.float32).max)
_POSITIONS = ("0", "1", "2")


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Texts, and pairs of their rows."""

    texts: pa.Table
    """Columns `_id`, `text`, `lang`, `group` (empty) of the D distinct texts."""
    first: np.ndarray
    """int32 [P]: rows of `texts`."""
    second: np.ndarray
    """int32 [P]"""
    scores: np.ndarray
    """float32 [P], higher is more alike, each on the scale of its source."""
    pair_sources: np.ndarray
    """int32 [P]: places in `sources`."""
    sources: tuple[str, ...]
    broken: list[Broken]
    num_read: int
    dropped: Counter[str]
    account: Account

    @property
    def num_pairs(self) -> int:
        return len(self.scores)

    def unit_scores(self) -> np.ndarray:
        """float32 [P]: 0 for the lowest and 1 for the highest score of each source; all 1 where they are equal."""
        low_P, high_P = (bound[self.pair_sources] for bound in self.ranges())
        width_P = np.where(high_P > low_P, high_P - low_P, 1)
        return np.where(high_P > low_P, (self.scores - low_P) / width_P, 1).astype(np.float32)

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest score of each source, float64; inf and -inf for one without pairs."""
        low = np.full(len(self.sources), np.inf)
        high = -low
        np.minimum.at(low, self.pair_sources, self.scores)
        np.maximum.at(high, self.pair_sources, self.scores)
        return low, high

    def rows(self) -> artifact.Rows:
        return artifact.Rows(read=self.num_read, kept=self.num_pairs, dropped=dict(self.dropped))


def read_scored(
    inputs: Sequence[str], *, first_field: str = "", second_field: str = "", score_field: str = ""
) -> ScoredPairs:
    """Return the pairs of all files.

    Fields are names of columns, or places from 0 (`0`, `1`, `2`), which say that CSV has no header. Without
    them, names are one of `USUAL`, and CSV whose first row has none of these and a number as its third field
    has no header. Raises `UserError` for inputs that are not there, columns that are not, or when nothing is
    left.
    """
    asked = (first_field, second_field, score_field)
    if any(asked) and not all(asked):
        raise UserError("sts: name all of first_field, second_field and score_field, or none")
    texts = TextTable()
    scores: list[float] = []
    sources: list[int] = []
    dropped: Counter[str] = Counter()
    examples: list[Broken] = []
    num_read = 0
    account = Account()
    files = expand(list(inputs))
    for place, path in enumerate(files):
        names, has_header = _columns(path, asked)
        used = (*names, "lang", "lang1", "lang2")
        file = account.of(public_name(path))
        for row in progress(read_rows(path, has_header=has_header), f"reading {path.name}", unit="row"):
            num_read += 1
            file.read += 1
            parsed = row if isinstance(row, Broken) else _parse(row, names)
            if isinstance(parsed, Broken):
                file.refuse(parsed)
                dropped[parsed.reason] += 1
                examples += [parsed] if len(examples) < NUM_EXAMPLES else []
                continue
            assert isinstance(row, Row)
            file.leave_out_others(row.values, used)
            for text, lang in parsed[:2]:
                texts.add(text, lang)
            scores.append(parsed[2])
            sources.append(place)
    require_pairs(len(scores), list(inputs), dropped, "scored pair")
    account.say()
    table, row_T = texts.finish()
    row_P2 = row_T.reshape(-1, 2)
    pairs = ScoredPairs(
        texts=table,
        first=row_P2[:, 0].copy(),
        second=row_P2[:, 1].copy(),
        scores=np.asarray(scores, np.float32),
        pair_sources=np.asarray(sources, np.int32),
        sources=source_names(files),
        broken=examples,
        num_read=num_read,
        dropped=dropped,
        account=account,
    )
    _say_ranges(pairs, files)
    return pairs


def _say_ranges(pairs: ScoredPairs, files: Sequence[Path]) -> None:
    """Logs the scale of the scores, once for all files that share it, and notes it in the account of each."""
    by_range: dict[tuple[float, float], list[str]] = {}
    for path, low, high in zip(files, *(bound.tolist() for bound in pairs.ranges()), strict=True):
        if low <= high:
            pairs.account.of(public_name(path)).notes["scores"] = [low, high]
            by_range.setdefault((low, high), []).append(public_name(path))
    for (low, high), names in by_range.items():
        more = f" and {len(names) - 1:,} more files" if len(names) > 1 else ""
        if low < high:
            log.info("%s%s: scores from %g to %g", names[0], more, low, high)
        else:
            log.warning("%s%s: all scores are %g: no pair is more alike than another", names[0], more, low)


def _columns(path: Path, asked: tuple[str, str, str]) -> tuple[tuple[str, str, str], bool]:
    """The columns of a file, and whether it has a header."""
    if all(asked):
        return asked, not all(name.isdecimal() for name in asked)
    is_csv = unpacked_name(str(path)).lower().endswith((".csv", ".tsv"))
    row = next((row for row in read_rows(path, has_header=not is_csv) if isinstance(row, Row)), None)
    values = row.values if row else {}
    header = [str(value) for value in values.values()] if is_csv else list(values)
    for names in USUAL:
        if all(name in header for name in names):
            return names, True
    if is_csv and len(header) == 3 and _number(header[2]) is not None:
        return _POSITIONS, False
    raise UserError(
        f"{path}: its fields are {', '.join(header)[:200] or 'none'}; name those of the texts and the score with"
        " first_field, second_field and score_field"
    )


def _parse(row: Row, names: tuple[str, str, str]) -> tuple[tuple[str, str], tuple[str, str], float] | Broken:
    first, second, score = (lookup(row.values, name) for name in names)
    if not isinstance(first, str) or not isinstance(second, str) or not first.strip() or not second.strip():
        return broken(row, "no-text")
    number = _number(score)
    if number is None:
        return broken(row, "score-not-a-number")
    lang = row.values.get("lang") or UNKNOWN_LANGUAGE
    langs = [str(row.values.get(name) or lang) for name in ("lang1", "lang2")]
    return (first.strip(), langs[0]), (second.strip(), langs[1]), number


def _number(value: object) -> float | None:
    """Return a score that float32 holds; None for what is none."""
    number = label_number(value)
    return number if number is not None and abs(number) <= _LARGEST else None
