"""The vectors of one refresh, encoded by all services of a run: a folder of shards, and a claim for each.

Encoding is nearly all of a refresh's time, and a shard depends on nothing but the weights and its texts. So there is
no plan and nobody is counted on: whoever comes takes the next shard that is neither there nor claimed, and one whose
owner died is taken over as any claim is. The service that has the refresh's own claim makes the folder, takes part,
goes on when all shards are there, and removes the folder; others take part for as long as the folder is there. A
shard has the bytes that it has with one service, on machines that compute alike.
"""

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from conan_data.mining.arrays import document_texts
from conan_data.mining.embeddings import encode_into_cache
from conan_data.mining.encoder import Encoder, Kind
from conan_data.progress import counting
from conan_data.retrieval import RetrievalSplit
from conan_train.negatives.claim import Claims

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SharedShards:
    """Of the refresh of one set with the weights of one step."""

    folder: Path
    claims: Claims
    shard_size: int = 16384
    """Texts of a shard."""
    poll: float = 1.0
    """Seconds between two looks for shards that others have claimed."""

    def open(self) -> None:
        """By the one that has the refresh's claim; what killed ones left behind of other steps goes away."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.parent.glob(f"{self.folder.name.rpartition('-')[0]}-*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def fill(self, encoder: Encoder, data: RetrievalSplit) -> int:
        """Takes part until all shards of `data` are there, or the folder is gone; how many it encoded.

        What `encoder` raises passes through, and its shard is another's then.
        """
        tables: dict[Kind, pa.Table] = {"query": data.queries, "document": data.corpus}
        missing = [
            (kind, start)
            for kind, table in tables.items()
            for start in range(0, table.num_rows, self.shard_size)
        ]
        num_encoded, num_shards = 0, len(missing)
        total, done = sum(table.num_rows for table in tables.values()), 0
        with counting("encoding texts", total=total, unit="text") as meter:
            while missing and self.folder.is_dir():
                left = []
                for kind, start in missing:
                    texts, ids = _texts(tables[kind].slice(start, self.shard_size), kind)
                    did = encode_into_cache(
                        encoder, texts, ids, self.folder, kind=kind, claim=self.claims.taken
                    )
                    num_encoded += did == "encoded"
                    if did == "claimed":
                        left.append((kind, start))
                    else:
                        done += len(texts)
                        meter.catch_up(done, is_new=did == "encoded")
                missing = left
                if missing:
                    time.sleep(self.poll)
        log.info("encoded %d of %d shards of %s", num_encoded, num_shards, self.folder.name)
        return num_encoded


def _texts(part: pa.Table, kind: Kind) -> tuple[list[str], list[str]]:
    texts = part.column("text").to_pylist() if kind == "query" else list(document_texts(part))
    return texts, part.column("_id").to_pylist()
