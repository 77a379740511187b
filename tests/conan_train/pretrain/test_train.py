"""Training learns, stops on nonsense, and a killed run ends as an undisturbed one, to the bit."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.tokenize import tokenize as tokenize_command
from conan_data.tokens.tokenizer import read_vocabulary
from conan_train.checkpoint.state import latest_checkpoint
from conan_train.optim.config import OptimConfig
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.held_out import choose_held_out
from conan_train.pretrain.tokens import read_tokens, tokenize
from conan_train.pretrain.train import pretrain
from conan_train.training.loop import Loop

ROOT = Path(__file__).parents[3]


def config(out: Path, model_dir: Path, corpus_file: Path, **fields: Any) -> PretrainConfig:
    """Dropout is on in the model, micro batches are smaller than a step, and 12 steps are more than an epoch."""
    shape: dict[str, Any] = {
        "steps": 12, "batch_tokens": 1024, "micro_batch_tokens": 256, "sequence_length": 64, "held_out": 0.05, "device": "cpu",
        "threads": 1, "log_every": 2, "checkpoint_every": 3, "optim": OptimConfig(lr=1e-2, warmup_steps=2),
    }  # fmt: skip
    return PretrainConfig(out=out, model=str(model_dir), corpus=(str(corpus_file),), **{**shape, **fields})


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


def events(out: Path) -> list[dict[str, Any]]:
    lines = (out / "train_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def undisturbed(model_dir: Path, corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(config(tmp_path_factory.mktemp("undisturbed") / "run", model_dir, corpus_file))


def test_it_learns_and_publishes(undisturbed: Path, model_dir: Path, corpus_file: Path) -> None:
    opened = open_artifact(undisturbed, kind="language-model")
    held_out = json.loads((undisturbed / "held_out.json").read_text())
    assert set(held_out["before"]) == set(held_out["after"]) == {"en", "de", "zh"}
    for lang, before in held_out["before"].items():
        after = held_out["after"][lang]
        assert after["bits_per_byte"] < 0.8 * before["bits_per_byte"]
        assert 1 < after["perplexity_per_character"] < before["perplexity_per_character"]
    rows = opened.rows
    assert rows.read == 362 and rows.dropped["invalid-json"] == 1
    assert rows.kept == 361 - rows.dropped["held-out"] and rows.dropped["held-out"] >= 12
    log = events(undisturbed)
    assert [event["step"] for event in log] == [2, 4, 6, 8, 10, 12]
    assert set(log[0]) == {"event", "step", "loss", "lr", "grad_norm", "loss_by_language"}
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert not (undisturbed / "work").exists()
    model = AutoModelForCausalLM.from_pretrained(undisturbed / "model", local_files_only=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    loaded = AutoTokenizer.from_pretrained(undisturbed / "model", local_files_only=True)
    assert loaded("a text")["input_ids"] == AutoTokenizer.from_pretrained(model_dir)("a text")["input_ids"]


def test_it_is_done_already(
    undisturbed: Path, model_dir: Path, corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "train", lambda self, description: pytest.fail("trained again"))
    assert pretrain(config(undisturbed, model_dir, corpus_file, log_every=1)) == undisturbed


def test_the_seed_decides(undisturbed: Path, model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    assert same(undisturbed, pretrain(config(tmp_path / "again", model_dir, corpus_file)))
    assert not same(undisturbed, pretrain(config(tmp_path / "other", model_dir, corpus_file, seed=1)))


@pytest.mark.parametrize("stop", [2, 8])
def test_resume_is_bitwise(
    undisturbed: Path,
    model_dir: Path,
    corpus_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    """Interrupted before the first checkpoint, and two steps after one, in the second epoch and with steps
    logged that are taken again.
    """
    take = Loop._take

    def interrupted(self: Loop, step: int, start: float) -> None:
        if step == stop:
            raise KeyboardInterrupt
        take(self, step, start)

    run = config(tmp_path / "run", model_dir, corpus_file)
    monkeypatch.setattr(Loop, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretrain(run)
    taken: list[int] = []
    monkeypatch.setattr(
        Loop, "_take", lambda self, step, start: taken.append(step) or take(self, step, start)
    )
    torch.manual_seed(1234)
    pretrain(run)
    assert taken == list(range(stop // 3 * 3, 12))
    assert same(undisturbed, run.out)
    assert events(undisturbed) == events(run.out)
    assert (undisturbed / "held_out.json").read_bytes() == (run.out / "held_out.json").read_bytes()


KILLED = """
import sys
from pathlib import Path
from conan_train.optim.config import OptimConfig
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.train import pretrain
pretrain(PretrainConfig(
    out=Path(sys.argv[1]), model=sys.argv[2], corpus=(sys.argv[3],), steps=12, batch_tokens=1024, micro_batch_tokens=256,
    sequence_length=64, held_out=0.05, device="cpu", threads=1, log_every=1, checkpoint_every=3, optim=OptimConfig(lr=1e-2, warmup_steps=2),
))
"""


def test_kill_9_and_again(undisturbed: Path, model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [sys.executable, "-c", KILLED, str(out), str(model_dir), str(corpus_file)]
    process = subprocess.Popen(
        arguments, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    log, deadline = out.with_name("run.partial") / "train_log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 5):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert latest_checkpoint(log.parent / "checkpoints") is not None
    pretrain(config(out, model_dir, corpus_file))
    assert same(undisturbed, out)
    assert events(out)[-1] == events(undisturbed)[-1]


def test_micro_batches_do_not_change_the_gradient(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    small = pretrain(
        config(
            tmp_path / "a", model_dir, corpus_file, steps=1, optim=OptimConfig(lr=1e-3), micro_batch_tokens=64
        )
    )
    large = pretrain(
        config(
            tmp_path / "b",
            model_dir,
            corpus_file,
            steps=1,
            optim=OptimConfig(lr=1e-3),
            micro_batch_tokens=1024,
        )
    )
    # dropout draws other masks in other batches; the loss of one step differs by no more than that
    assert events(small)[0]["loss"] == pytest.approx(events(large)[0]["loss"], rel=0.02)
    assert events(small)[0]["grad_norm"] == pytest.approx(events(large)[0]["grad_norm"], rel=0.1)


def test_epochs(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    fields = {
        "precision": "bf16",
        "gradient_checkpointing": True,
    }  # what else may be switched on must not fail
    out = pretrain(config(tmp_path / "run", model_dir, corpus_file, steps=0, epochs=1.5, **fields))
    folder = tokenize((str(corpus_file),), tmp_path / "tokens", read_vocabulary(str(model_dir)))
    tokens = read_tokens([folder])
    trained = int(tokens.lengths[~choose_held_out(tokens.places, tokens.languages, share=0.05)].sum())
    extra = open_artifact(out).manifest["extra"]
    assert extra["steps"] == events(out)[-1]["step"] == math.ceil(1.5 * (trained // 64) / 16)
    assert extra["trained_tokens"] == extra["steps"] * 1024
    assert events(out)[-1]["loss"] < 0.8 * math.log(320)


def test_a_loss_that_is_not_finite_stops_the_run(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    run = config(
        tmp_path / "run",
        model_dir,
        corpus_file,
        optim=OptimConfig(lr=1e18, grad_clip=0.0),
        checkpoint_every=1,
    )
    with pytest.raises(
        UserError, match=r"(loss|gradient norm) is (nan|inf) at step \d+ .*try a lower optim.lr"
    ):
        pretrain(run)
    assert not run.out.exists()
    refused = json.loads((run.out.with_name("run.partial") / "refused.json").read_text())
    assert refused["ids"] == [f"row {refused['step'] * 16 + place}" for place in range(16)]


def test_wrong_inputs(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    def run(**fields: Any) -> None:
        pretrain(
            config(
                tmp_path / "run", fields.pop("model", model_dir), fields.pop("corpus", corpus_file), **fields
            )
        )

    (tmp_path / "empty").mkdir()
    short = tmp_path / "short.jsonl"
    short.write_text('{"text": "a"}\n{"text": "b"}\n')
    for fields, message in (
        ({"steps": 0}, "either steps or epochs"),
        ({"epochs": 1.0}, "either steps or epochs"),
        ({"batch_tokens": 1000}, r"batch_tokens: must be a multiple of sequence_length \(64\), got 1000"),
        ({"sequence_length": 256}, "sequence_length: 256 is more than the 128 positions"),
        ({"corpus": short}, "too few for one row of 64"),
        ({"corpus": tmp_path / "absent"}, "absent: no such file"),
        ({"model": tmp_path / "absent"}, "absent: no such directory"),
        ({"model": tmp_path / "empty"}, "no config.json"),
        ({"device": "tpu"}, "device: must be one of"),
        ({"steps": 2}, "warmup_steps: must be less than the 2 steps"),
    ):
        with pytest.raises(UserError, match=message):
            run(**fields)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("run")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_device_that_is_not_there(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device: no cuda here"):
        pretrain(config(tmp_path / "run", model_dir, corpus_file, device="cuda"))


@pytest.mark.slow
def test_two_processes_take_the_same_steps(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    """Real gloo processes; without dropout every loss is that of one process, up to rounding."""
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in model_dir.iterdir():
        (plain / path.name).write_bytes(path.read_bytes())
    model_config = json.loads((plain / "config.json").read_text())
    (plain / "config.json").write_text(json.dumps({**model_config, "attention_dropout": 0.0}))
    one = pretrain(config(tmp_path / "one", plain, corpus_file, log_every=1))
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "--master_port=29571",
        str(script),
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*command, str(tmp_path / "two"), str(plain), str(corpus_file)],
        cwd=ROOT,
        env=env,
        check=True,
        timeout=300,
    )
    assert [event["step"] for event in events(tmp_path / "two")] == list(range(1, 13))
    for mine, theirs in zip(events(one), events(tmp_path / "two"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-2)


def test_token_artifacts_train_as_the_corpus_does(
    undisturbed: Path, model_dir: Path, corpus_file: Path, tmp_path: Path
) -> None:
    made = tokenize_command(
        TokenizeConfig(
            out=tmp_path / "tokens", tokenizer=str(model_dir), corpus=(str(corpus_file),), workers=2
        )
    )
    out = pretrain(config(tmp_path / "run", model_dir, made))
    assert same(undisturbed, out) and events(undisturbed) == events(out)
    assert open_artifact(out).rows == open_artifact(undisturbed).rows


def test_a_mixture_with_pairs_by_muon(model_dir: Path, corpus_file: Path, tmp_path: Path) -> None:
    (tmp_path / "faq").mkdir()
    pairs = [
        {"query": f"what is {number}?", "document": f"the text {number}", "lang": "en"}
        for number in range(90)
    ]
    (tmp_path / "faq" / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    shape = {"optim": OptimConfig(kind="muon", lr=1e-2, warmup_steps=2), "z_loss": 1e-3, "steps": 40}
    texts = corpus_file.parent.name
    run = config(
        tmp_path / "run",
        model_dir,
        corpus_file,
        pairs=(str(tmp_path / "faq"),),
        mixture={"faq": 1, texts: 3},
        **shape,
    )
    out = pretrain(run)
    sources = open_artifact(out).manifest["extra"]["sources"]
    assert {name: row["stated_share"] for name, row in sources.items()} == {"faq": 0.25, texts: 0.75}
    assert sources["faq"]["share"] == pytest.approx(0.25, abs=0.01) and sources["faq"]["epochs"] > 4
    log = events(out)
    assert set(log[-1]["loss_by_source"]) == {"faq", texts} and log[-1]["z_loss"] > 0
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    held_out = json.loads((out / "held_out.json").read_text())
    for name, row in held_out["after"]["by source"].items():
        assert row["bits_per_byte"] < held_out["before"]["by source"][name]["bits_per_byte"]
    assert len(held_out["after"]["by source"]) == 2
