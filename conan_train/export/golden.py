"""Golden embeddings: a few texts with the vectors that the trainer gives them, kept beside the weights.

Every wrong prompt, padding side, tokenizer or mask gives plausible vectors. With these anyone can check, in
any program that claims to run the model, whether it is the same model: encode the texts, compare the numbers.
"""

from typing import Any, Literal

import numpy as np

from conan_train.model.encoder import CheckpointEncoder

TOLERANCE = 1e-5
"""Largest difference of a number, for float32 on a CPU."""
_DIGITS = 7
TEXTS: tuple[tuple[Literal["query", "document"], str], ...] = (
    ("query", "How do I list the files of a folder?"),
    ("query", "如何列出文件夹中的文件？"),
    ("query", "कैसे देखें"),
    ("document", "ls -la prints every entry of a directory, hidden ones included, with its size and owner."),
    ("document", "يعرض هذا الأمر كل الملفات الموجودة في المجلد مع حجمها."),
    (
        "document",
        "Die Größe steht in der fünften Spalte.\n\n`du -sh *` adds up what lies below each folder. " * 4,
    ),
)
"""(kind, text): several scripts, and lengths that differ, so that a batch of them is padded."""


def golden_vectors(encoder: CheckpointEncoder) -> np.ndarray:
    """float32 [len(TEXTS), D], in the order of `TEXTS`."""
    return np.concatenate([encoder.encode([text], kind=kind) for kind, text in TEXTS])


def golden_record(vectors_ND: np.ndarray) -> list[dict[str, Any]]:
    """`vectors_ND` as JSON values."""
    return [
        {"kind": kind, "text": text, "vector": [round(float(number), _DIGITS) for number in vector]}
        for (kind, text), vector in zip(TEXTS, vectors_ND, strict=True)
    ]
