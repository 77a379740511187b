"""The language bias of a model on an evaluation set, from the vectors that its scores come from.

Subtracting the mean vector of each language is free, so a training across languages has to beat it: its model as it is
should find more than the model before it does without the means.
"""

from typing import Any

import numpy as np

from conan_data.xlr.language_bias import Pool, language_bias
from conan_data.xlr.pools import sampled
from conan_train.evaluation.evaluation_set import EvaluationSet
from conan_train.evaluation.ranking import EncoderRanker

NEAREST, SOURCES, DOCUMENTS = 10, 500, 5000
"""Nearest documents that are looked at, and the sample: source queries, and documents beside the relevant ones."""


def score_language_bias(ranker: EncoderRanker, data: EvaluationSet) -> dict[str, Any] | None:
    """Return `language_bias` of a sample of the set in one pool of all languages; None where all documents are in one."""
    if len(np.unique(data.documents.languages)) < 2:
        return None
    sources = sampled(list(dict.fromkeys(data.queries.sources)), SOURCES)
    queries = np.array([row for row, source in enumerate(data.queries.sources) if source in sources])
    num_documents = len(data.documents.ids)
    judged = [[row for row in data.judged[query] if row < num_documents] for query in queries.tolist()]
    names = sampled(data.documents.ids, DOCUMENTS)
    others = [row for row, name in enumerate(data.documents.ids) if name in names]
    documents = np.array(sorted({*others, *(row for rows in judged for row in rows)}))
    pool = Pool(
        [data.queries.texts[row] for row in queries.tolist()],
        data.queries.languages[queries],
        [data.documents.texts[row] for row in documents.tolist()],
        data.documents.languages[documents],
        [np.searchsorted(documents, np.array(sorted(rows), dtype=np.int64)) for rows in judged],
    )
    return language_bias(*ranker.vectors(queries, documents), pool, k=NEAREST)
