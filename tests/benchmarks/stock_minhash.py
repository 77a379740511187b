"""datatrove's own MinHash, in the steps that ours is measured against, one worker each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.word_tokenizers import WordTokenizer

from conan_data.corpus.dedup.config import DedupConfig
from tests.benchmarks.near_duplicates import NGRAM
from tests.benchmarks.stock import hash_text_again

CONFIG = DedupConfig(threshold=0.7, ngram=NGRAM)
STOCK = MinhashConfig(n_grams=NGRAM, num_buckets=CONFIG.num_bands, hashes_per_bucket=CONFIG.rows_per_band)


def stock_signatures(folder: Path, out: Path, language: str | WordTokenizer) -> None:
    """Of the JSON lines below `folder`."""
    hash_text_again()
    step = MinhashDedupSignature(str(out), STOCK, language=language)
    step.run(JsonlReader(str(folder)).run(), 0, 1)


def stock_clusters(signatures: Path, work: Path) -> None:
    """Buckets and clusters of signatures, below `work`."""
    for bucket in range(STOCK.num_buckets):
        step = MinhashDedupBuckets(str(signatures), str(work / "buckets"), config=STOCK)
        step.run(None, bucket, STOCK.num_buckets)
    MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=STOCK).run(None, 0, 1)


def stock_filter(rows: Path, work: Path) -> int:
    """Writes what is left of the JSON lines below `rows` to Parquet; how many documents."""
    kept: Iterator[Any] = MinhashDedupFilter(str(work / "remove")).run(JsonlReader(str(rows)).run(), 0, 1)
    return sum(1 for _ in ParquetWriter(str(work / "kept")).run(kept, 0, 1))
