"""py3langid (BSD licence; the model comes with the package, no network), restricted to the configured
languages.

Its model is evaluated by `langid_kernel`, twenty times as fast as by the package itself and with the same
probabilities; where numba is missing, by the package. Probabilities of labels that count as one (Cantonese and
Chinese, `merge_variant`) are added up before any is called the most probable.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np

from conan_data.language.guess import NO_GUESS, NO_LANGUAGE, Guess, check_languages
from conan_data.language.labels import merge_variant
from conan_data.language.plain import says_nothing, without_capitals

Best = tuple[int, float, float, int, float]
"""The most probable of the groups inside, its probability and that of all of these; the most probable group of
all, and its probability (0: the text says nothing).
"""


class Model(Protocol):
    """`labels` may name one twice (in two scripts); their probabilities are added up by group."""

    labels: tuple[str, ...]

    def best(self, text: str, groups: np.ndarray, num_inside: int, sums: np.ndarray) -> Best:
        """The best of the first `num_inside` groups and the best of all, where `groups` (int64, one a label)
        says which one a label belongs to. `sums` (float64, one a group) is left with their probabilities.
        """
        ...


class LangidIdentifier:
    """See `guess.Identifier`."""

    def __init__(self, languages: Sequence[str], model: Model | None = None) -> None:
        """Raises `UserError` for a language that the model does not know."""
        self._model = model or load_model()
        self.known = frozenset(self._model.labels) - {NO_LANGUAGE}
        check_languages(languages, self.known)
        chosen = frozenset(languages)
        merged = [merge_variant(label, chosen) for label in self._model.labels]
        # The configured languages come first, so that they are a slice.
        self._names = [*sorted(chosen), *sorted(set(merged) - chosen)]
        self._num_inside = len(chosen)
        places = {name: place for place, name in enumerate(self._names)}
        self._groups = np.array([places[name] for name in merged], dtype=np.int64)
        self._sums = np.zeros(len(self._names))

    def guess(self, text: str) -> Guess:
        """Return the guess for a text without code; see `Guess`."""
        if says_nothing(text):
            return NO_GUESS
        place, chance, total, open_place, open_score = self._model.best(
            without_capitals(text), self._groups, self._num_inside, self._sums
        )
        if not open_score:
            return NO_GUESS
        return Guess(
            self._names[place], chance / max(total, 1e-30), chance, self._names[open_place], open_score
        )


class KernelModel:
    """The tables of a py3langid model, for the kernel."""

    def __init__(self, model: Any) -> None:
        """Raises `ImportError` where numba is missing."""
        from conan_data.language import langid_kernel

        self.labels = tuple(model.nb_classes)
        num_features, num_labels = model.nb_ptc.shape
        padded = -(-num_labels // langid_kernel.PADDING) * langid_kernel.PADDING
        weights = np.zeros((num_features, padded), dtype=np.float32)
        weights[:, :num_labels] = model.nb_ptc
        prior = np.full(padded, -np.inf)
        prior[:num_labels] = model.nb_pc
        # A copy, which numpy puts into huge pages: half the time of a walk went into finding pages.
        transitions = np.array(model.tk_nextmove, dtype=np.uint32)
        rows = np.asarray(model.tk_row, dtype=np.uint32)
        features = np.asarray(model.tk_output, dtype=np.int32)
        self._best = langid_kernel.best_groups
        self.tables = (
            transitions,
            rows,
            features,
            langid_kernel.longest(transitions, rows),
            np.zeros(num_features, dtype=np.int32),
            np.zeros(num_features, dtype=np.int32),
            weights,
            prior,
        )

    def best(self, text: str, groups: np.ndarray, num_inside: int, sums: np.ndarray) -> Best:
        # The form that the model was trained on.
        text = unicodedata.normalize("NFC", text.lower() if text.isupper() else text)
        data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        best: Best = self._best(data, *self.tables, groups, num_inside, sums)
        return best


class PackageModel:
    """A py3langid model, evaluated by the package."""

    def __init__(self, model: Any) -> None:
        model.nb_ptc = model.nb_ptc.astype(np.float32)  # converted once, not once a text
        self.labels = tuple(model.nb_classes)
        self._rank = model.rank

    def best(self, text: str, groups: np.ndarray, num_inside: int, sums: np.ndarray) -> Best:
        sums[:] = 0.0
        chances = dict(self._rank(text))
        # Without any known n-gram all labels are equally probable.
        if min(chances.values()) * len(self.labels) > 1 - 1e-3:
            return 0, 0.0, 0.0, 0, 0.0
        for label, group in dict(zip(self.labels, groups.tolist(), strict=True)).items():
            sums[group] += chances[label]
        inside = sums[:num_inside]
        place, open_place = int(inside.argmax()), int(sums.argmax())
        return place, float(inside[place]), float(inside.sum()), open_place, float(sums[open_place])


@cache
def load_model() -> Model:
    """The model that comes with py3langid."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    try:
        return KernelModel(model)
    except ImportError:
        return PackageModel(model)
