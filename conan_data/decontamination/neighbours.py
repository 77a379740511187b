"""Paraphrases and translations of evaluation queries, by the vectors of an encoder.

The vectors of multilingual encoders tell first of all the language: the nearest text in another language is farther than
an unrelated one in the same. So the mean vector of each language is subtracted on either side before vectors are compared.
What is left of the gap is bridged by a threshold of its own for texts in different languages; texts whose language is not
known count as of one language.

Passages are not compared: a query, its translations and the sentences of pairs are.

Shapes: Q evaluation texts that are compared, N texts of a batch, D dimensions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conan_data.decontamination.config import DecontaminateConfig, NeighboursConfig
from conan_data.decontamination.evaluation import QUERY, SENTENCE, Evaluation
from conan_data.decontamination.index import EMBEDDING, Matches
from conan_data.decontamination.rows import Text
from conan_data.decontamination.text_sets import TextSet
from conan_data.mining.encoder import Encoder, encode_shown, load_encoder, unit_rows
from conan_data.readers import Broken

PARTS = ("query", "translation", "sentence")
_MOST_FOR_MEAN, _LEAST_FOR_MEAN = 1000, 50
"""Texts of a language that its mean is taken of; a language with fewer than the least has the mean of all."""
_MOST = 8
"""Neighbours of a text."""


@dataclass(frozen=True)
class Centre:
    """The mean vector of each language, and that of all texts under ""."""

    means: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, vectors_ND: np.ndarray, languages: Sequence[str]) -> "Centre":
        """Return the means of vectors by their languages."""
        names = np.array(languages, dtype=object)
        means = {"": vectors_ND.mean(axis=0)} if len(vectors_ND) >= _LEAST_FOR_MEAN else {}
        for name in sorted(set(languages) - {""}):
            own = vectors_ND[names == name]
            if len(own) >= _LEAST_FOR_MEAN:
                means[name] = own.mean(axis=0)
        return cls(means)

    def subtract(self, vectors_ND: np.ndarray, languages: Sequence[str]) -> np.ndarray:
        """Return the vectors without the means of their languages, of length 1."""
        none = np.zeros(vectors_ND.shape[1], np.float32)
        rest = self.means.get("", none)
        return unit_rows(vectors_ND - np.stack([self.means.get(name, rest) for name in languages]))


class Neighbours:
    """The evaluation queries as vectors."""

    def __init__(
        self, encoder: Encoder, config: NeighboursConfig, evaluation: Evaluation, training: Sequence[Text]
    ) -> None:
        """`training` is a sample of the training texts, for the means of their languages."""
        self._encoder = encoder
        self._rows_Q = np.flatnonzero(np.isin(evaluation.kinds_E, (QUERY, SENTENCE)))
        table = evaluation.table.take(self._rows_Q)
        languages = table.column("lang").to_pylist()
        vectors_QD = encode_shown(encoder, table.column("text").to_pylist(), kind="query")
        self._centre = Centre({})
        if config.centre:
            vectors_QD = Centre.of(vectors_QD, languages).subtract(vectors_QD, languages)
            if training:
                sample_ND = encoder.encode([text.text for text in training], kind="query")
                self._centre = Centre.of(sample_ND, [text.lang for text in training])
        self._vectors_QD = vectors_QD
        self._languages_Q = np.array(languages, dtype=object)
        self._config = config

    def match(self, texts: Sequence[Text]) -> Matches:
        """Return the neighbours of the texts of a batch that are compared."""
        own = np.array([place for place, text in enumerate(texts) if text.part in PARTS], np.int64)
        if not len(own):
            none = np.zeros(0)
            return Matches.of(EMBEDDING, none, none, none)
        vectors_ND = self._encoder.encode([texts[place].text for place in own.tolist()], kind="query")
        if self._centre.means:
            vectors_ND = self._centre.subtract(vectors_ND, [texts[place].lang for place in own.tolist()])
        scores_NQ = vectors_ND @ self._vectors_QD.T
        over_NQ = scores_NQ - self._thresholds([texts[place].lang for place in own.tolist()])
        most = min(_MOST, over_NQ.shape[1])
        best_Nm = np.argpartition(-over_NQ, most - 1, axis=1)[:, :most]
        rows, columns = np.nonzero(np.take_along_axis(over_NQ, best_Nm, axis=1) >= 0)
        near = best_Nm[rows, columns]
        return Matches.of(EMBEDDING, own[rows], self._rows_Q[near], scores_NQ[rows, near])

    def _thresholds(self, languages: Sequence[str]) -> np.ndarray:
        """Return float32 [N, Q]: the smallest cosine of a neighbour."""
        own_N1 = np.array(languages, dtype=object)[:, None]
        is_across = (own_N1 != self._languages_Q) & (own_N1 != "") & (self._languages_Q != "")
        return np.where(is_across, self._config.across, self._config.threshold).astype(np.float32)


def open_neighbours(config: DecontaminateConfig, training: TextSet, evaluation: Evaluation) -> Neighbours:
    """Load the encoder, and encode the evaluation's queries and a sample of the training texts."""
    own = config.neighbours
    encoder = load_encoder(
        own.model, max_length=own.max_length, batch_tokens=own.batch_tokens, device=own.device
    )
    return Neighbours(encoder, own, evaluation, list(_sample(training)) if own.centre else [])


def _sample(training: TextSet) -> Iterator[Text]:
    """Yield the first texts of each language."""
    counts: dict[str, int] = {}
    for text in training.texts():
        if isinstance(text, Broken) or text.part not in PARTS:
            continue
        counts[text.lang] = counts.get(text.lang, 0) + 1
        if counts[text.lang] <= _MOST_FOR_MEAN:
            yield text
