"""Configuration of `conan-data decontaminate`."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MinLen

from conan_data.config import Config, StageConfig
from conan_data.fields import DISTINCT, Cosine, Count, FileName, Name, NonNegativeFloat
from conan_data.inputs import NOT_BLANK, DataPath, Input, OptionalModelPath, RequiredDataPath

TASK_NAME = re.compile(r"[A-Za-z][\w-]*(\.\d[\w-]*)*(\.[vV]\d+)?")
"""Names of mteb's tasks, such as `STS22.v2`; no name of a file with an ending is one."""
Evaluations: TypeAlias = Annotated[
    tuple[Annotated[str, NOT_BLANK, Input(pattern=TASK_NAME)], ...], MinLen(1), DISTINCT
]
Part: TypeAlias = Literal["query", "positive", "negative", "translation", "document", "sentence"]
Reason: TypeAlias = Literal[
    "query", "judgement", "translation-of-leak", "shared-answer", "shared-passage", "shared-sentence", "low-entropy"
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NeighboursConfig(Config):
    """Find paraphrases and translations of evaluation queries with an encoder."""

    model: OptionalModelPath = ""
    """Encoder (folder, or name on the Hub); empty: no embedding is compared."""
    threshold: Cosine = 0.8
    """Smallest cosine of a leak with an evaluation query in the same language."""
    across: Cosine = 0.6
    """Smallest cosine of a leak with an evaluation query in another language, where both languages are known."""
    centre: bool = True
    """Subtract the mean vector of each language, so that texts of two languages compare as those of one do."""
    max_length: Count | None = 128
    """Tokens of a text that the model reads; None for the model's own limit."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included."""
    device: str = "auto"
    """Where to encode: auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True, kw_only=True)
class DecontaminateConfig(StageConfig):
    """Find what a training set shares with evaluation sets, and write the set without it."""

    set: RequiredDataPath
    """What is trained on: a retrieval set (a folder, a name on the Hub or an artifact), mined negatives, or a file,
    folder or glob of pairs, triples, scored or labelled texts or documents, or a corpus artifact."""
    split: FileName = "train"
    """Split of a retrieval set that is cleaned and written."""
    data: DataPath = ""
    """The retrieval set that negatives were mined for; empty where they lie beside it or hold it."""
    against: Evaluations
    """Evaluation sets: retrieval sets, files, or names of mteb tasks."""
    against_split: str = ""
    """Split of the evaluation sets; empty: the first of test, dev and validation that a set has."""
    parts: Annotated[tuple[Part, ...], MinLen(1), DISTINCT] = (
        "query", "positive", "negative", "translation", "document", "sentence",
    )  # fmt: skip
    """Parts of the set that are compared."""
    remove: Annotated[tuple[Reason, ...], DISTINCT] = ("query", "judgement", "translation-of-leak")
    """What is removed: texts that repeat an evaluation query, judged pairs, translations of both, and, if named,
    shared passages, sentences and low-entropy texts; the rest is reported."""
    report_only: bool = False
    """Remove nothing; write the report alone beside an unchanged set."""
    trained_on: Annotated[tuple[Name, ...], DISTINCT] = ()
    """mteb tasks whose training data the set holds, for `mteb.json`; leaks that stay are added."""
    ngram: Annotated[int, Ge(5)] = 13
    """Units (words, or letters of scripts without spaces) of the n-grams whose containment is measured."""
    containment: Annotated[float, Gt(0), Le(1)] = 0.5
    """Share of the n-grams of the shorter text that the other one holds, from which on it is a leak; 0.5 of 13-grams
    is common."""
    near: Annotated[float, Gt(0), Le(1)] = 0.7
    """Jaccard similarity from which on two texts are near duplicates: of the trigrams of letters of short texts, of pairs
    of words of long ones, and of pairs of characters in scripts without spaces."""
    min_bits: NonNegativeFloat = 24.0
    """A text with less information than this, by the frequencies of its words in the training set, matches by chance."""
    neighbours: NeighboursConfig = field(default_factory=NeighboursConfig)
    """Embedding neighbours."""
