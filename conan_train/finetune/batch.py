"""From rows of a retrieval set to the token ids of a step: texts are looked up and tokenised when they are
first needed, and then kept.

Training data are row numbers; nothing here holds a copy of the texts. Which documents are positives, which
share a group and what was mined is all in integer arrays, so the false negatives of a batch are excluded by
comparing numbers.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerFast

from conan_data.mining.arrays import RetrievalArrays
from conan_data.retrieval import RetrievalSplit
from conan_train.finetune.plan import choose_positives
from conan_train.model.contract import EncodingContract
from conan_train.model.tokenization import encode_texts
from conan_train.negatives.cursors import EMPTY
from conan_train.step.contrastive import NO_NEGATIVE, QueryBatch

# B queries of a step, N negatives a query, U distinct documents


@dataclass
class TokenCache:
    """Token ids of a table's rows, each tokenised once. `columns` are joined by a space where they are not
    empty, as mining does.
    """

    table: pa.Table
    columns: tuple[str, ...]
    tokenizer: PreTrainedTokenizerFast
    max_length: int
    prompt: str
    _tokens: dict[int, list[int]] = field(default_factory=dict)

    def __call__(self, rows: np.ndarray) -> list[list[int]]:
        missing = [int(row) for row in rows if int(row) not in self._tokens]
        if missing:
            taken = self.table.select(list(self.columns)).take(missing)
            texts = [
                " ".join(part or "" for part in parts).strip()
                for parts in zip(*(column.to_pylist() for column in taken.columns))
            ]
            self._tokens.update(
                zip(
                    missing,
                    encode_texts(self.tokenizer, texts, self.max_length, prompt=self.prompt),
                    strict=True,
                )
            )
        return [self._tokens[int(row)] for row in rows]


@dataclass
class Batcher:
    """Makes the batches of a run."""

    data: RetrievalSplit
    arrays: RetrievalArrays
    tokenizer: PreTrainedTokenizerFast
    contract: EncodingContract
    same_language: float
    seed: int

    def __post_init__(self) -> None:
        length = self.contract.max_length
        self._queries = TokenCache(
            self.data.queries, ("text",), self.tokenizer, length, self.contract.query_prompt
        )
        languages = pa.array(self.arrays.languages)
        own = pc.index_in(self.data.corpus.column("lang"), value_set=languages)
        self._document_languages = pc.fill_null(own, -1).to_numpy()
        self._documents = TokenCache(
            self.data.corpus, ("title", "text"), self.tokenizer, length, self.contract.document_prompt
        )

    def batch(self, step: int, query_B: np.ndarray, negative_row_BN: np.ndarray) -> QueryBatch:
        """The batch of `step`: its queries, one positive of each, and their current negatives (corpus rows,
        `EMPTY` where there is none).
        """
        offsets, positives = self.arrays.positive_offsets, self.arrays.positive_rows
        known_rows = [positives[offsets[query] : offsets[query + 1]] for query in query_B]
        language_B = self.arrays.query_languages[query_B]
        is_own_language = [
            self._document_languages[rows] == language
            for rows, language in zip(known_rows, language_B, strict=True)
        ]
        place_B = choose_positives(step, is_own_language, same_language=self.same_language, seed=self.seed)
        positive_row_B = positives[offsets[query_B] + place_B]
        document_row_U = np.unique(
            np.concatenate([positive_row_B, negative_row_BN[negative_row_BN != EMPTY]])
        ).astype(np.int64)
        known_groups = [
            groups[groups >= 0].tolist() for groups in (self.arrays.groups[rows] for rows in known_rows)
        ]
        return QueryBatch(
            query_tokens=self._queries(query_B),
            document_tokens=self._documents(document_row_U),
            document_rows=document_row_U,
            document_groups=self.arrays.groups[document_row_U].astype(np.int64),
            positives=np.searchsorted(document_row_U, positive_row_B),
            negatives=np.where(
                negative_row_BN == EMPTY, NO_NEGATIVE, np.searchsorted(document_row_U, negative_row_BN)
            ),
            known_rows=[rows.tolist() for rows in known_rows],
            known_groups=known_groups,
        )
