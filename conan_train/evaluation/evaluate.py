"""Scores a model and says by which protocol: `scores.json`, and for retrieval a row a query and pool in
`queries.parquet`.

One command for all tasks, so that the model is opened once and what belongs together lies together. What is asked for
is a part of its own in the scores: that of retrieval beside the model's name, `sts` and `classification` below theirs.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from conan_data import artifact
from conan_data.inputs import named_sources
from conan_data.mining.encoder import Encoder
from conan_data.models.locate import find_model, model_input
from conan_data.pairs.labelled import read_labels
from conan_data.pairs.scored import read_scored
from conan_data.public_names import published_json
from conan_data.sources import expand, resolve
from conan_train.evaluation import bm25
from conan_train.evaluation.classification import score_classification
from conan_train.evaluation.config import BM25, EvaluateConfig
from conan_train.evaluation.ranking import open_encoder
from conan_train.evaluation.retrieval import score_retrieval
from conan_train.evaluation.sts import score_sts
from conan_train.evaluation.vectors import check_dims, cuts, encode_distinct

KIND = "evaluation"
SCORES, PER_QUERY = "scores.json", "queries.parquet"
STS_PROTOCOL = {
    "name": "sts-1",
    "score": "Spearman's correlation of the cosine with the gold score, by file and language; their mean is macro",
    "texts": "encoded as queries",
    "intervals": "95%, percentile bootstrap over the pairs of a group",
}
CLASSIFICATION_PROTOCOL = {
    "name": "probe-1",
    "logistic": "scikit-learn's LogisticRegression, 100 iterations",
    "knn": "scikit-learn's KNeighborsClassifier, by cosine",
    "experiments": "each on `samples_per_label` train texts of a label, drawn anew; all test texts; scores are means",
    "macro_f1": "F1 averaged over the labels",
    "texts": "encoded as queries",
    "intervals": "95%, percentile bootstrap over the test texts, all experiments together",
}


def evaluate(config: EvaluateConfig) -> Path:
    """Write an artifact of kind "evaluation".

    Raises `UserError` for a model or set that cannot be used, or when no pool has enough queries.
    """
    model = None if config.model == BM25 else find_model(config.model)
    inputs = _inputs(config)
    with artifact.building(
        config,
        kind=KIND,
        command="conan-train evaluate",
        inputs=[path for paths in inputs.values() for path in paths],
    ) as build:
        if build.done:
            return build.out
        hashes = _hashes(inputs, build.header)
        encoder = None if model is None else open_encoder(model, config)
        if encoder is not None:
            check_dims(config.dims, encoder.dimension)
        record: dict[str, Any] = {
            "model": config.model,
            "model_kind": BM25 if model is None else model.kind,
            "fingerprint": bm25.fingerprint() if encoder is None else encoder.fingerprint,
        }
        rows: list[artifact.Rows] = []
        if config.data:
            found = score_retrieval(encoder, inputs["data"][0], config, build.work)
            record |= {**found.record, "data_hash": hashes["data"]}
            pq.write_table(found.per_query, build.dir / PER_QUERY, compression="zstd")
            rows.append(found.rows)
        if encoder is not None and config.sts.data:
            record["sts"], own = _sts(encoder, config)
            record["sts"]["data_hash"] = hashes["sts"]
            rows.append(own)
        if encoder is not None and config.classification.train:
            record["classification"], own = _classification(encoder, config)
            record["classification"]["data_hash"] = hashes["classification"]
            rows.append(own)
        record = published_json(record, named_sources(config))
        (build.dir / SCORES).write_text(
            json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return build.publish(rows=_total(rows), extra=_extra(record))


def _sts(encoder: Encoder, config: EvaluateConfig) -> tuple[dict[str, Any], artifact.Rows]:
    own = config.sts
    pairs = read_scored(
        own.data, first_field=own.first_field, second_field=own.second_field, score_field=own.score_field
    )
    vectors_DV = encode_distinct(encoder, pairs.texts.column("text").to_pylist())
    found = score_sts(
        pairs, list(cuts(vectors_DV, config.dims)), num_samples=config.bootstrap, seed=config.seed
    )
    return {
        "protocol": STS_PROTOCOL,
        "data": list(own.data),
        **found,
    }, pairs.rows()


def _classification(encoder: Encoder, config: EvaluateConfig) -> tuple[dict[str, Any], artifact.Rows]:
    own = config.classification
    train, test = (
        read_labels(files, text_field=own.text_field, label_field=own.label_field)
        for files in (own.train, own.test)
    )
    vectors_DV = encode_distinct(encoder, [*train.texts, *test.texts])
    place = len(train.texts)
    found = score_classification(
        train,
        test,
        [(size, vectors[:place], vectors[place:]) for size, vectors in cuts(vectors_DV, config.dims)],
        own,
        num_samples=config.bootstrap,
        seed=config.seed,
    )
    record = {
        "protocol": CLASSIFICATION_PROTOCOL,
        "train": list(own.train),
        "test": list(own.test),
        "probe": own.probe,
        "samples_per_label": own.samples_per_label,
        **found,
    }
    return record, _total([train.rows(), test.rows()])


def _inputs(config: EvaluateConfig) -> dict[str, list[str | Path]]:
    """What is read, by what it is for."""
    return {
        "model": [] if config.model == BM25 else [model_input(config.model)],
        "data": [resolve(config.data, "retrieval")] if config.data else [],
        "sts": [*expand(list(config.sts.data))] if config.sts.data else [],
        "classification": [
            path
            for files in (config.classification.train, config.classification.test)
            for path in (expand(list(files)) if files else [])
        ],
    }


def _hashes(inputs: Mapping[str, Sequence[str | Path]], header: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 (hex) of what identifies the data of each task, wherever it lies: of two evaluations with one hash the
    numbers compare.
    """
    found, start = {}, 0
    for name, paths in inputs.items():
        entries = [
            {key: value for key, value in entry.items() if key != "path"}
            for entry in header["inputs"][start : start + len(paths)]
        ]
        start += len(paths)
        content: Any = entries[0] if name == "data" and entries else entries
        found[name] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert start == len(header["inputs"])
    return found


def _total(parts: Sequence[artifact.Rows]) -> artifact.Rows:
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.dropped)
    return artifact.Rows(
        read=sum(part.read for part in parts), kept=sum(part.kept for part in parts), dropped=dict(dropped)
    )


def _extra(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of the scores."""
    names = (
        *("model", "model_kind", "fingerprint", "split", "set", "absent_positives", "same_id"),
        *("mixed", "summary"),
    )
    extra = {name: record[name] for name in names if name in record}
    if "protocol" in record:
        extra["protocol"] = record["protocol"]["name"]
        extra["rules"] = {name: record["protocol"][name] for name in ("absent", "same_id", "grades")}
    if "sts" in record:
        extra["sts"] = record["sts"]["mean"]
    if "classification" in record:
        extra["classification"] = record["classification"]["scores"]
    return extra
