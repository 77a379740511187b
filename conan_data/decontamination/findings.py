"""What a match means: a leak, or something that two sets may share.

A text that repeats an evaluation query is a leak, and so is a pair that repeats a judged pair, or a scored pair of
sentences. A passage that both sets use is none by itself (both may be made of Wikipedia), nor is one sentence of a pair,
nor a text that says so little that it is found by chance; these are reported apart.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from conan_data.decontamination.evaluation import ANSWER, KINDS, PASSAGE, QUERY, SENTENCE, Evaluation
from conan_data.decontamination.index import METHODS, NGRAM
from conan_data.decontamination.information import UnitCounts
from conan_data.decontamination.rows import Key, Text
from conan_data.decontamination.text_sets import TextSet

LEAK, JUDGEMENT, TRANSLATION, LOW_ENTROPY = "query", "judgement", "translation-of-leak", "low-entropy"
SHARED: Final = {ANSWER: "shared-answer", PASSAGE: "shared-passage", SENTENCE: "shared-sentence"}
REASONS: Final = (LEAK, JUDGEMENT, TRANSLATION, *SHARED.values(), LOW_ENTROPY)
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Match:
    """An evaluation text that a training text repeats."""

    evaluation: int
    method: int
    similarity: float


@dataclass(slots=True)
class Finding:
    """A training text and the evaluation texts that it repeats, the strongest match first."""

    text: Text
    matches: list[Match]
    part: str
    reason: str = ""
    match: Match | None = None
    """The one that the reason is of."""
    pair: Key | None = None
    """The other text of a judged pair."""
    bits: float | None = None
    """Information of the evaluation text, where it is too low."""

    def to_json(self, evaluation: Evaluation, name: str) -> dict[str, Any]:
        """Return a line of `removed.jsonl`; `name` is that of the file."""
        found: dict[str, Any] = {
            "reason": self.reason,
            "part": self.part,
            "id": ":".join(self.text.key[1:])
            if self.text.key[0] in ("query", "document", "translation")
            else None,
            "file": name,
            "row": self.text.place,
            "lang": self.text.lang or None,
            "text": self.text.text[:_SHOWN],
        }
        if self.match is not None:
            found |= described(evaluation, self.match)
        if self.bits is not None:
            found["bits"] = round(self.bits, 1)
        return found


def described(evaluation: Evaluation, match: Match) -> dict[str, Any]:
    """Return what a line says of the evaluation text."""
    row = evaluation.table.slice(match.evaluation, 1).to_pylist()[0]
    return {
        "method": METHODS[match.method],
        "similarity": round(match.similarity, 4),
        "evaluation": evaluation.names[int(evaluation.sets_E[match.evaluation])],
        "evaluation_part": KINDS[int(evaluation.kinds_E[match.evaluation])],
        "evaluation_id": row["id"],
        "evaluation_text": row["text"][:_SHOWN],
    }


@dataclass
class Findings:
    """All findings by key, in the order of the set; those of unjudged passages are counted, with a few to show, unless
    they are to be removed.
    """

    evaluation: Evaluation
    keep_passages: bool
    by_key: dict[Key, Finding] = field(default_factory=dict)
    num_passages: int = 0

    def add(self, text: Text, matches: list[Match]) -> None:
        """Add the matches of a text."""
        if all(self.evaluation.kinds_E[match.evaluation] == PASSAGE for match in matches):
            self.num_passages += 1
            if not self.keep_passages and self.num_passages > _PASSAGES_SHOWN:
                return
        self.by_key[text.key] = Finding(text, matches, text.part)

    def judge(self, training: TextSet) -> None:
        """Mark the queries and sentences of pairs that the evaluation judges, too."""
        parts = {key: finding.text.part for key, finding in self.by_key.items()}
        for first, second in training.judgements(parts):
            for own, match, other in self._judged_pairs(first, second):
                finding = self.by_key[own]
                if finding.pair is None:
                    finding.match, finding.pair = match, other

    def classify(self, units: UnitCounts, *, min_bits: float) -> None:
        """Give every finding its reason."""
        known: dict[int, float] = {}

        def bits(place: int) -> float:
            if place not in known:
                known[place] = units.bits(self.evaluation.table.column("text")[place].as_py())
            return known[place]

        for finding in self.by_key.values():
            self._classify_one(finding, bits, min_bits)

    def _classify_one(self, finding: Finding, bits: Any, min_bits: float) -> None:
        kinds = self.evaluation.kinds_E
        queries = [match for match in finding.matches if kinds[match.evaluation] == QUERY]
        for match in queries:
            if match.method == NGRAM or bits(match.evaluation) >= min_bits:
                finding.reason, finding.match = LEAK, match
                return
        if finding.pair is not None:
            finding.reason = JUDGEMENT
            return
        if queries:
            finding.reason, finding.match, finding.bits = LOW_ENTROPY, queries[0], bits(queries[0].evaluation)
            return
        finding.match = min(
            finding.matches, key=lambda match: (kinds[match.evaluation] == PASSAGE, match.method)
        )
        own_bits = bits(finding.match.evaluation)
        if finding.match.method != NGRAM and own_bits < min_bits:
            finding.reason, finding.bits = LOW_ENTROPY, own_bits
        else:
            finding.reason = SHARED[int(kinds[finding.match.evaluation])]

    def _judged_pairs(self, first: Key, second: Key) -> Iterator[tuple[Key, Match, Key]]:
        """Yield each text of a training pair with its match and the other text, where the evaluation judges the pair."""
        own, others = self.by_key[first].matches, self.by_key[second].matches
        left = np.repeat([match.evaluation for match in own], len(others))
        right = np.tile([match.evaluation for match in others], len(own))
        judged = np.flatnonzero(self.evaluation.is_judged(left, right))
        if len(judged):
            one, two = divmod(int(judged[0]), len(others))
            yield first, own[one], second
            # A document of a judged pair may be shared; the two sentences of a pair are alike.
            if self.by_key[second].text.part == "sentence":
                yield second, others[two], first


_PASSAGES_SHOWN = 1000


def counted(findings: Mapping[Key, Finding]) -> dict[str, dict[str, dict[str, int]]]:
    """Return the number of findings by reason, part and method."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for finding in findings.values():
        method = METHODS[finding.match.method] if finding.match else "with-another"
        own = counts.setdefault(finding.reason, {}).setdefault(finding.part, {})
        own[method] = own.get(method, 0) + 1
    return counts
