"""What a classifier is trained from, how its model is built, and what its thresholds must reach."""

import dataclasses
from typing import Annotated, Literal

from annotated_types import Gt, Le, Lt

from conan_data.config import Config, StageConfig, require, source
from conan_data.fields import Count, Name, NonNegativeInt, PositiveFloat


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastTextConfig(Config):
    """Size and training of the fastText model."""

    dimension: Count = 16
    """Length of the vector of a word; two classes need no more."""
    epochs: Count = 10
    """Passes over the training part."""
    learning_rate: PositiveFloat = 0.5
    """Step size at the start; it falls to zero."""
    word_ngrams: Count = 2
    """Longest run of words (characters, in scripts without spaces) that is one feature."""
    min_char_ngram: NonNegativeInt = 0
    """Shortest run of characters inside a word that is one feature; 0 with max_char_ngram 0: none."""
    max_char_ngram: NonNegativeInt = 0
    """Longest such run; misspelt and disguised words need it (2 to 4), and scoring becomes three times slower."""
    min_count: Count = 2
    """Fewest times that a word is seen before it counts."""
    buckets: Count = 200_000
    """Hash buckets that the runs share."""
    quantise: bool = False
    """Write a compressed model (`model.ftz`), several times smaller and slightly less exact."""

    def check(self) -> None:
        super().check()
        require(
            self.min_char_ngram <= self.max_char_ngram
            and (self.min_char_ngram > 0) == (self.max_char_ngram > 0),
            "min_char_ngram",
            self.min_char_ngram,
            f"must be between 1 and max_char_ngram ({self.max_char_ngram}), or both 0",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainClassifierConfig(StageConfig):
    """Labelled texts in, a classifier with two classes, its thresholds by language and its held-out report out."""

    input: tuple[str, ...] = source(())
    """Files, folders or globs of rows that carry a label, or of fastText's lines (`__label__spam text`, in .txt, .train,
    .valid or .test files); or use positive and negative.
    """
    positive: tuple[str, ...] = source(())
    """Files, folders or globs whose rows are all of the class that is looked for."""
    negative: tuple[str, ...] = source(())
    """Files, folders or globs whose rows are all of the other class."""
    text_field: Name = "text"
    """Field of a row with the text; dots lead into nested fields."""
    label_field: Name = "label"
    """Field of a row of input with the label."""
    positive_labels: tuple[str, ...] = ()
    """Labels of input that are the class that is looked for: a row with one of them is of that class, whatever other labels
    it has; rows with other labels only are the other class.
    """
    lang_field: str = ""
    """Field of a row with its language, such as `metadata.lang`; empty: all rows share one threshold."""
    lowercase: bool = True
    """Whether capital and small letters are the same."""
    max_chars: Count = 2000
    """Characters at the start of a text that are looked at, in training and in use."""
    held_out: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the texts that is not trained on; one half of it sets the thresholds, the other is reported."""
    target: Literal["precision", "recall"] = "precision"
    """What a threshold must reach."""
    target_value: Annotated[float, Gt(0), Le(1)] = 0.9
    """How much of it: the lowest threshold with this precision, or the highest with this recall."""
    min_held_out: Count = 50
    """Fewest held-out texts of either class with which a language gets a threshold of its own."""
    seed: NonNegativeInt = 0
    """Seed of the split and of the training."""
    fasttext: FastTextConfig = dataclasses.field(default_factory=FastTextConfig)
    """Size and training of the model."""

    def check(self) -> None:
        super().check()
        if self.input:
            require(
                not self.positive and not self.negative,
                "input",
                self.input,
                "takes the place of positive and negative; give one or the other",
            )
            require(
                len(self.positive_labels) > 0,
                "positive_labels",
                self.positive_labels,
                "name the labels of the class that is looked for",
            )
        else:
            for name in ("positive", "negative"):
                require(
                    len(getattr(self, name)) > 0,
                    name,
                    getattr(self, name),
                    "name at least one file, folder or glob (or give input with labels)",
                )
            require(
                not self.positive_labels,
                "positive_labels",
                self.positive_labels,
                "belongs to input; positive and negative say themselves what their rows are",
            )
