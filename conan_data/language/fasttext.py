"""A fastText model of the user's own (lid.176, GlotLID), loaded as it is, its labels mapped to ours.

Only the most probable label is asked for: on a model of two thousand labels the whole ranking takes ten times
as long. So the guess among the configured languages and the guess among all are the same one, and the
agreement guard means that the label, after merging, must be a configured language.

A model answers to a text of which it knows nothing, too: with what is most frequent. That is what it answers to an
empty line, and it is no guess.
"""

from collections.abc import Sequence
from pathlib import Path

from conan_data.errors import UserError
from conan_data.language.guess import NO_GUESS, NO_LANGUAGE, Guess, check_languages
from conan_data.language.labels import merge_variant, read_label
from conan_data.language.plain import lowered, says_nothing

PREFIX = "__label__"
UNDETERMINED = "und"


class FasttextIdentifier:
    """See `guess.Identifier`."""

    def __init__(self, path: Path, languages: Sequence[str]) -> None:
        """Raises `UserError` for a file that is no supervised model, and for a language that it does not know."""
        import fasttext

        if not path.is_file():
            raise UserError(f"identifier: {path} does not exist")
        try:
            self._model = fasttext.load_model(str(path))
            self._nothing = self._model.predict("", k=1)
        except (ValueError, MemoryError) as error:  # what fastText makes of a broken size
            raise UserError(
                f"identifier: {path} is no fastText model of languages ({str(error).strip().rstrip('.!')})"
            ) from error
        chosen = frozenset(languages)
        self._merged = {label: merge_variant(read_model_label(label), chosen) for label in self._model.labels}
        self.known = frozenset(self._merged.values()) - {NO_LANGUAGE}
        if self.known.isdisjoint(chosen):
            raise UserError(
                f"identifier: {path} knows none of the languages {', '.join(sorted(chosen))}; "
                f"its labels are such as {', '.join(sorted(self._merged)[:3])}"
            )
        check_languages(languages, self.known)
        self._chosen = chosen

    def guess(self, text: str) -> Guess:
        """Return the guess for a text without code; line ends count as spaces, case does not count."""
        labels, scores = self._model.predict(lowered(text).replace("\n", " "), k=1)
        if not labels or says_nothing(text) or self._is_nothing(labels, scores):
            return NO_GUESS
        lang, score = self._merged[labels[0]], min(float(scores[0]), 1.0)
        if lang not in self._chosen:
            return Guess("", 0.0, 0.0, lang, score)
        return Guess(lang, score, score, lang, score)

    def _is_nothing(self, labels: Sequence[str], scores: Sequence[float]) -> bool:
        """Whether an answer is the one to an empty line."""
        return labels == self._nothing[0] and list(scores) == list(self._nothing[1])


def read_model_label(label: str) -> str:
    """`__label__zho_Hans` or `eng_Latn` as one of our labels."""
    name = read_label(label.removeprefix(PREFIX))
    return NO_LANGUAGE if name == UNDETERMINED else name
