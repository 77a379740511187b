"""Training of a fastText model, the same bytes from the same lines.

With one thread fastText is deterministic, but for one thing: it sets only the first tenth of its matrix to
random values and takes the rest as the allocator hands it out. That is zero in a fresh process and left-overs
in one that has freed as much before, and then the model differs from run to run, or training stops at a NaN.
So while a model is made, the C library is told to clear what it hands out. Only glibc can be told; elsewhere
(musl, macOS) memory of this size mostly comes fresh from the system, which clears it, so there the same bytes
are likely but not certain.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from conan_data.classifier.config import FastTextConfig
from conan_data.classifier.lines import LABEL_PREFIX
from conan_data.errors import UserError

POSITIVE, NEGATIVE = f"{LABEL_PREFIX}positive", f"{LABEL_PREFIX}negative"
MODEL_FILES = {False: "model.bin", True: "model.ftz"}
"""Name of the model, by whether it is quantised."""
_M_PERTURB, _CLEAR = -6, 0xFF
"""`mallopt` fills what it hands out with the complement of a byte."""


def write_lines(lines: Iterable[tuple[str, bool]], path: Path) -> None:
    """The file that fastText trains from: one text a line, after its label."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{POSITIVE if positive else NEGATIVE} {line}\n" for line, positive in lines)


def fit(lines: Path, directory: Path, config: FastTextConfig, *, seed: int) -> Path:
    """Trains from the file `lines` and writes the model into `directory`; returns its path.

    Raises `UserError` when training diverges.
    """
    import fasttext

    path = directory / MODEL_FILES[config.quantise]
    with cleared_memory():
        try:
            model = fasttext.train_supervised(
                input=str(lines),
                lr=config.learning_rate,
                dim=config.dimension,
                epoch=config.epochs,
                wordNgrams=config.word_ngrams,
                minn=config.min_char_ngram,
                maxn=config.max_char_ngram,
                minCount=config.min_count,
                bucket=config.buckets,
                label=LABEL_PREFIX,
                seed=seed,
                thread=1,
                verbose=0,
            )
        except RuntimeError as error:
            raise UserError(
                f"fasttext.learning_rate: training with {config.learning_rate} diverged ({error}); choose a lower one"
            ) from error
        labels = model.get_output_matrix()
        if config.quantise:
            model.quantize(input=str(lines), qnorm=True, verbose=0, thread=1)
        model.save_model(str(path))
    _require_whole(path, labels)
    return path


def _require_whole(path: Path, labels: np.ndarray) -> None:
    """Raise `OSError` for a file of a model that does not end with `labels`, its matrix of the labels.

    fastText does not look whether its writes succeed, and loads what a full disk has cut off; the scores are wrong.
    """
    ending = struct.pack("<qq", *labels.shape) + labels.astype("<f4").tobytes()
    if not path.read_bytes().endswith(ending):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def cleared_memory() -> Iterator[None]:
    """Within it, memory that the C library hands out is zero, where that can be had."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        yield
        return
    mallopt(_M_PERTURB, _CLEAR)
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)
