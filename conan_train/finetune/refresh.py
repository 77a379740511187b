"""Mining in the middle of training: the model as it is now, alpha included, encodes the set and chooses new
pools.

This is the full refresh: every query and document is encoded with the current weights, and the exact nearest
documents are filtered by the same code as in `conan-data mine`. It runs inline, between two steps, and its
result is a generation (see `conan_train.negatives.generation`).
"""

import shutil
from pathlib import Path

from conan_data.mining.arrays import RetrievalArrays, document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.pools import mine_pools
from conan_data.mining.search.exact import ExactSearcher
from conan_data.retrieval import RetrievalSplit
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.generation import Generation, publish_generation


def mine_generation(
    encoder: CheckpointEncoder,
    data: RetrievalSplit,
    arrays: RetrievalArrays,
    *,
    step: int,
    selection: SelectionConfig,
    memory: int,
    store: Path,
    scratch: Path,
) -> Generation:
    """Mines with `encoder` before step `step` and publishes the generation below `store`; vectors are kept in
    `scratch` while it runs.
    """
    searcher = ExactSearcher(memory=memory, device=str(encoder.embedder.device))
    pools = mine_pools(
        encoder,
        arrays,
        selection,
        query_texts=data.queries.column("text"),
        query_ids=data.queries.column("_id"),
        document_texts=document_texts(data.corpus),
        document_ids=data.corpus.column("_id"),
        directory=scratch,
        searcher=searcher,
    )
    generation = publish_generation(
        store,
        pools,
        data,
        step=step,
        checkpoint=encoder.fingerprint,
        command="conan-train finetune",
        extra={"candidates": pools.counts},
    )
    shutil.rmtree(scratch)
    return generation
