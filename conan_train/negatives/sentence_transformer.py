"""Generations of negatives for a `SentenceTransformerTrainer`, so that its negatives follow the model, too.

A training set with columns of negatives is fixed when training starts. Here the set holds row numbers only, and
its texts are looked up when a batch is made, from the newest generation of a folder (see
`conan_train.negatives.generation`); a callback looks there between two steps:

    negatives = FollowedNegatives(Path("run/negatives"), data, num_negatives=7)
    train_dataset = datasets.Dataset.from_dict(negatives.rows()).with_transform(negatives)
    SentenceTransformerTrainer(..., train_dataset=train_dataset, callbacks=[FollowGenerations(negatives)])

Who mines is left open: any process that publishes generations with the model's checkpoints. A trainer fetches its
batches ahead (accelerate one, gradient accumulation a step's), so a new generation is seen one or two steps after
it was found. A query for which the new generation has too few negatives keeps those that it has. A folder that
cannot be read costs a warning, never the run. All ranks use what the first one found.

Loader workers hold copies of the set that never change, so they are refused. What is not done here, and our own
loop does: the rule of every step, and a resumed run that meets the same negatives.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from conan_data import artifact
from conan_data.config import require
from conan_data.errors import UserError
from conan_data.mining.arrays import document_texts, retrieval_arrays
from conan_data.retrieval import RetrievalSplit
from conan_train.negatives.cursors import EMPTY
from conan_train.negatives.generation import Generation, load_generation

# Q queries of the set, P places of the longest pool, N negatives a query

log = logging.getLogger(__name__)


class FollowedNegatives:
    """A transform of a `datasets.Dataset` of `rows()` to the columns anchor, positive, negative_1, ...."""

    def __init__(
        self, store: Path, data: RetrievalSplit, *, num_negatives: int, every_positive: bool = True
    ) -> None:
        """Reads the newest generation of `store`. Raises `UserError` where there is none, or where it has enough
        negatives for no query.
        """
        require(num_negatives >= 1, "num_negatives", num_negatives, "must be at least 1")
        self._store = store
        self._data = data
        self._every_positive = every_positive
        self._arrays = retrieval_arrays(data)
        self._row_QN = np.full((data.queries.num_rows, num_negatives), EMPTY, np.int64)
        self.name = ""
        """The generation in use."""
        name = newest_generation(store)
        if not name:
            raise UserError(f"{store}: holds no generation of negatives (gen-STEP-HASH); mine one first")
        self._take(load_generation(store / name, data))
        if not self.rows()["query"]:
            raise UserError(f"{store / name}: no query has {num_negatives} negatives; ask for fewer")

    def rows(self) -> dict[str, list[int]]:
        """The rows of the data set: a query and one of its positives each; queries with too few negatives now
        are left out.
        """
        offsets = self._arrays.positive_offsets
        sizes = np.diff(offsets) if self._every_positive else np.minimum(np.diff(offsets), 1)
        sizes[(self._row_QN == EMPTY).any(axis=1)] = 0
        query = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(query)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        positive = self._arrays.positive_rows[offsets[query] + place]
        return {"query": query.tolist(), "positive": positive.tolist()}

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
        """The texts of some rows, with the negatives of the generation in use."""
        query = np.array(batch["query"], np.int64)
        columns = np.column_stack((np.array(batch["positive"], np.int64), self._row_QN[query]))
        texts = list(document_texts(self._data.corpus.take(pa.array(columns.ravel()))))
        names = ["positive", *(f"negative_{place + 1}" for place in range(columns.shape[1] - 1))]
        found = {"anchor": self._data.queries.column("text").take(pa.array(query)).to_pylist()}
        return found | {name: texts[place :: len(names)] for place, name in enumerate(names)}

    def look(self) -> bool:
        """Takes the newest generation if it is another one than that in use; returns whether it was. Called on
        all ranks.
        """
        found: list[str] = [newest_generation(self._store) if PartialState().is_main_process else ""]
        broadcast_object_list(found)
        if found[0] in ("", self.name):
            return False
        try:
            self._take(load_generation(self._store / found[0], self._data))
        except (UserError, OSError) as error:
            log.warning("%s: stays in use, for %s cannot be read (%s)", self.name, found[0], error)
            return False
        log.info("negatives: %s", self.name)
        return True

    def _take(self, generation: Generation) -> None:
        num_negatives = self._row_QN.shape[1]
        # The negatives in use stand behind the new pool, and fill it up where it is short.
        row_QP = np.concatenate((generation.row_QP.astype(np.int64), self._row_QN), axis=1)
        kept_QP = (row_QP != EMPTY) & ~_repeats(row_QP)
        place_QP = np.cumsum(kept_QP, axis=1) - 1
        query, column = np.nonzero(kept_QP & (place_QP < num_negatives))
        self._row_QN[query, place_QP[query, column]] = row_QP[query, column]
        self.name = generation.name


class FollowGenerations(TrainerCallback):
    """Lets `negatives` look for a new generation after every `every` steps."""

    def __init__(self, negatives: FollowedNegatives, *, every: int = 1) -> None:
        require(every >= 1, "every", every, "must be at least 1")
        self._negatives = negatives
        self._every = every

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raises `UserError` for loader workers."""
        workers = args.dataloader_num_workers
        require(workers == 0, "dataloader_num_workers", workers, "must be 0: workers never see new negatives")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % self._every == 0:
            self._negatives.look()


def newest_generation(store: Path) -> str:
    """Name of the published generation with the highest step, the last one written of several; "" for none."""
    found = [path for path in store.glob("gen-*") if "." not in path.name and artifact.is_artifact(path)]
    if not found:
        return ""
    return max(found, key=lambda path: (path.name.split("-")[1], path.stat().st_mtime_ns, path.name)).name


def _repeats(row_QP: np.ndarray) -> np.ndarray:
    """bool [Q, P]: whether the same row stands further left."""
    order_QP = np.argsort(row_QP, axis=1, kind="stable")
    sorted_QP = np.take_along_axis(row_QP, order_QP, axis=1)
    again_QP = np.zeros(row_QP.shape, bool)
    np.put_along_axis(again_QP, order_QP[:, 1:], sorted_QP[:, 1:] == sorted_QP[:, :-1], axis=1)
    return again_QP
