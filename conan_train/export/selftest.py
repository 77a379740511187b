"""What a stranger will get: the folder is loaded as anyone would, and must give the trainer's vectors.

Two failures are silent otherwise: a model that loads causal (an architecture or version that ignores the
switch), and tokens or prompts that differ by one. The first is tested by effect, the second by comparing
vectors, one by one and in one padded batch.
"""

from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel

from conan_data.errors import UserError
from conan_train.export.golden import TEXTS, TOLERANCE
from conan_train.model.directions import check_bidirectional
from conan_train.model.tokenization import encode_texts, load_tokenizer


def check_folder(directory: Path, golden_ND: np.ndarray) -> None:
    """Raises `UserError` unless the folder loads plainly, sees its future, and gives `golden_ND` for `TEXTS`."""
    model = SentenceTransformer(
        str(directory), device="cpu", trust_remote_code=False, local_files_only=True
    ).float()
    backbone = model[0].auto_model
    assert isinstance(backbone, PreTrainedModel), (
        "the folder was written with a transformer as its first module"
    )
    check_bidirectional(backbone)
    _check_truncation(model, directory)
    for padded in (False, True):
        difference = float(np.abs(_encode(model, padded=padded) - golden_ND).max())
        if not difference <= TOLERANCE:
            how = "one padded batch" if padded else "text by text"
            raise UserError(
                f"not published: sentence-transformers gives other vectors than the trainer ({how}, largest difference {difference:.2g}, "
                f"allowed {TOLERANCE:.0e})"
            )


def _check_truncation(model: SentenceTransformer, directory: Path) -> None:
    """A text of one token too many: its tokens must be those of the trainer, with the last one cut and EOS
    kept.
    """
    limit = model.max_seq_length
    assert limit is not None, "the folder was written with a maximum length"
    text = " ".join(["a"] * (limit + 1))
    expected = encode_texts(load_tokenizer(directory), [text], limit)[0]
    found = model.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
    if found != expected:
        raise UserError(
            "not published: the exported tokenizer cuts a long text to other tokens than the trainer's, "
            f"{found[-3:]} at the end, not {expected[-3:]}"
        )


def _encode(model: SentenceTransformer, *, padded: bool) -> np.ndarray:
    """float32 [len(TEXTS), D] in the order of `TEXTS`; the texts of a kind in one batch, or each alone."""
    vectors_ND = np.empty((len(TEXTS), model.get_embedding_dimension() or 0), np.float32)
    for kind, encode in (("query", model.encode_query), ("document", model.encode_document)):
        rows = [row for row, (wanted, _) in enumerate(TEXTS) if wanted == kind]
        vectors_ND[rows] = encode(
            [TEXTS[row][1] for row in rows], batch_size=len(rows) if padded else 1, show_progress_bar=False
        )
    return vectors_ND
