"""Any sentence-transformers model as an `Encoder`.

sentence-transformers cuts batches by a number of texts, so that one long text pads a whole batch to its
length and the memory of a forward pass is unknown before it runs. Here texts are sorted by their number of
tokens and a batch holds as many as fit into a budget of padded tokens, on a CPU no more than its cache holds
well; equal texts are encoded once. Prompts are the model's own by default; an asymmetric model (a router) is
told which side it encodes. No remote code is run.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerBase

from conan_data.errors import UserError
from conan_data.mining.encoder import Kind, fingerprint_folder, resolve_device, unit_rows
from conan_data.models.cut import cut_texts
from conan_data.models.files import MODULES, adapter_bases
from conan_data.models.loading import check_modules, quiet, reading
from conan_data.models.locate import find_model
from conan_data.models.prompts import own_prompts
from conan_data.progress import current

log = logging.getLogger(__name__)

_TEXTS_A_CHUNK = 1024
CPU_TOKENS = 1024
"""Padded tokens of one forward on a CPU, if `batch_tokens` is not less."""


@dataclass(frozen=True)
class SentenceTransformerEncoder:
    """`fingerprint` is of the files that `model` was loaded from; `prompts` are put before the texts of each
    kind.
    """

    model: SentenceTransformer
    prompts: dict[Kind, str]
    batch_tokens: int
    fingerprint: str
    dimension: int

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """Return unit vectors, float32 [len(texts), dimension], in the order of `texts`."""
        prompt = self.prompts[kind]
        place_of: dict[str, int] = {}
        places = [place_of.setdefault(text, len(place_of)) for text in texts]
        distinct = self._cut(list(place_of), prompt)
        vectors_BD = np.empty((len(distinct), self.dimension), np.float32)
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        on_cpu = self.model.device.type == "cpu"
        meter = current()
        for rows in batches(
            count_tokens(self.model, [prompt + text for text in distinct]),
            batch_tokens=min(self.batch_tokens, CPU_TOKENS) if on_cpu else self.batch_tokens,
        ):
            batch = [distinct[row] for row in rows]
            vectors_BD[rows] = encode(batch, prompt=prompt, batch_size=len(batch), show_progress_bar=False)
            if meter is not None:
                meter.advance(len(rows))
        # Here and not by the model: in bf16 a division keeps 8 bits, and the length is off by a thousandth.
        vectors_BD = unit_rows(vectors_BD)
        return vectors_BD if len(distinct) == len(texts) else vectors_BD[places]

    def _cut(self, texts: list[str], prompt: str) -> list[str]:
        tokenizer, limit = self.model.tokenizer, self.model.max_seq_length
        if limit is None or not isinstance(tokenizer, PreTrainedTokenizerBase):
            return texts
        return cut_texts(tokenizer, texts, limit, prompt=prompt)


def load_sentence_transformer(
    folder: Path,
    *,
    max_length: int | None,
    batch_tokens: int,
    device: str,
    prompts: dict[Kind, str],
    dtype: str = "auto",
) -> SentenceTransformerEncoder:
    """Return the model in `folder` as an encoder; see `encoder.load_encoder`."""
    own = own_prompts(folder)
    # The files of an adapter say nothing of the weights that it is put on.
    bases = {name: find_model(name).folder for name in adapter_bases(folder)}
    loaded = _load(folder, device=resolve_device(device), dtype=dtype)
    if max_length is not None:
        limit = getattr(loaded.config, "max_position_embeddings", None)
        if limit is not None and max_length > limit:
            raise UserError(f"max_length: {folder} reads at most {limit} tokens, got {max_length}")
        loaded.max_seq_length = max_length
    dimension = loaded.get_embedding_dimension()
    if dimension is None:
        raise UserError(
            f"model: {folder} does not say how many dimensions its vectors have; add a pooling module to it"
        )
    chosen: dict[Kind, str] = {
        "query": prompts.get("query", own.query),
        "document": prompts.get("document", own.document),
    }
    settings: dict[str, object] = {
        "prompts": chosen,
        "max_length": loaded.max_seq_length,
        "dimension": dimension,
    }
    if dtype != "auto":
        settings["dtype"] = dtype
    if bases:
        settings["bases"] = {name: fingerprint_folder(base, settings={}) for name, base in bases.items()}
    return SentenceTransformerEncoder(
        model=loaded,
        prompts=chosen,
        batch_tokens=batch_tokens,
        fingerprint=fingerprint_folder(folder, settings=settings),
        dimension=dimension,
    )


def count_tokens(model: SentenceTransformer, texts: Sequence[str]) -> np.ndarray:
    """int64 [len(texts)]: tokens that the model reads of each text; UTF-8 bytes where its tokenizer is not of
    transformers.
    """
    limit = model.max_seq_length or np.iinfo(np.int64).max
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return np.minimum(np.array([len(text.encode()) for text in texts], np.int64), limit)
    lengths: list[int] = []
    for start in range(0, len(texts), _TEXTS_A_CHUNK):
        chunk = tokenizer(
            list(texts[start : start + _TEXTS_A_CHUNK]), return_attention_mask=False, verbose=False
        )["input_ids"]
        lengths.extend(len(ids) for ids in chunk)
    return np.minimum(np.array(lengths, np.int64), limit)


def batches(lengths: np.ndarray, *, batch_tokens: int) -> Iterator[np.ndarray]:
    """Row numbers of batches, longest texts first; rows x longest of a batch is at most `batch_tokens`, or
    the batch is a single text.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def _load(folder: Path, *, device: str, dtype: str) -> SentenceTransformer:
    if not (folder / MODULES).is_file():
        log.warning("%s: has no %s; its vectors are the means of the last hidden states", folder, MODULES)
    model_kwargs: dict[str, object] = {"use_safetensors": True}
    if dtype != "auto":
        model_kwargs["dtype"] = dtype
    with reading(folder, "a sentence-transformers model"), quiet():
        loaded = SentenceTransformer(
            str(folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs=model_kwargs,
        )
    check_modules(loaded, folder)
    return loaded
