"""Translations that say something else: an encoder does not find their own query among the nearest of all queries.

A fluent sentence in the right language, with the right numbers in it, passes every check of its text. But an encoder
that knows both languages puts it near what it means. What is asked is a rank and no score: scores differ with the
language and the model, and ranks hold in all.

Queries that are the same text count as one. Vectors lie on disk while the check is made, and a run that was killed
goes on from those that are there.
"""

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from conan_data.config import parse_memory
from conan_data.mining.config import SearchConfig
from conan_data.mining.embeddings import Embeddings, encode_to_shards
from conan_data.mining.encoder import Encoder, load_encoder
from conan_data.mining.search.open import open_searcher
from conan_data.xlr.config import NearestConfig

_BLOCK = 8192
"""Translations that are looked for at once."""


def find_far(
    frame: pl.DataFrame,
    sources: pl.Series,
    config: NearestConfig,
    directory: Path,
    *,
    cache: Path | None = None,
) -> np.ndarray:
    """Return for each translation whether its own source is not among its `k` nearest of `sources` (bool [N]).

    `frame` has query_id, language, text and source, each source one of `sources`. Vectors are kept in `directory` until
    the end, and for ever in `cache`. Raises `UserError` where the model cannot be loaded, see `load_encoder`.
    """
    encoder = load_encoder(config.model, batch_tokens=config.batch_tokens, device=config.device)
    texts = sources.unique(maintain_order=True)
    own_N = frame["source"].replace_strict(texts, np.arange(len(texts)), return_dtype=pl.Int64).to_numpy()
    names = frame.select(pl.concat_str("query_id", pl.lit("@"), "language")).to_series()
    texts_SD = _encode(encoder, texts, texts, directory / "sources", cache)
    translations_ND = _encode(encoder, frame["text"], names, directory / "translations", cache)
    far_N = np.ones(len(frame), dtype=bool)
    searcher = open_searcher(SearchConfig(), memory=parse_memory(config.memory), device=config.device)
    for start in range(0, len(frame), _BLOCK):
        block = slice(start, start + _BLOCK)
        hits = searcher.search(translations_ND[block], texts_SD, k=config.k)
        far_N[block] = (hits.rows != own_N[block, None]).all(axis=1)
    shutil.rmtree(directory)
    return far_N


def _encode(
    encoder: Encoder, texts: pl.Series, names: pl.Series, directory: Path, cache: Path | None
) -> Embeddings:
    return encode_to_shards(encoder, texts.to_arrow(), names.to_arrow(), directory, kind="query", cache=cache)
