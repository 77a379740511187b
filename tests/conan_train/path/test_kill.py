"""Every command of the path is killed in the middle, and run again.

A stage runs once undisturbed, with its function calls counted; then it is killed with SIGKILL after a share of
that many calls, in a folder of its own, and run again there. The output is absent or whole after the kill, and
the same bytes after the rerun.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conan_train.trainlog import NAME

ROOT = Path(__file__).parents[3]
RECIPE = """
root: runs
build-corpus: {input: [sample], out: "${root}/corpus", languages: [en, zh], group_field: metadata.group}
xlr-train: {command: build-xlr, data: sample, split: train, out: "${root}/xlr", mix: {en: 1, zh: 1}}
tokenizer: {corpus: ["${root}/corpus"], out: "${root}/tokenizer", vocab_size: 1000}
init: {preset: nano, tokenizer: "${root}/tokenizer", out: "${root}/random"}
pretrain: {model: "${root}/random", corpus: ["${root}/corpus"], out: "${root}/lm", steps: 4, batch_tokens: 256,
  micro_batch_tokens: 128, sequence_length: 64, checkpoint_every: 2}
mine: {model: "${root}/random/model", data: "${root}/xlr", out: "${root}/negatives", max_length: 16,
  select: {pool_size: 4, depth: 40, margin: 1.0}}
finetune: {model: "${root}/random", data: "${root}/xlr", negatives: "${root}/negatives", out: "${root}/embedder", steps: 4,
  batch_size: 4, num_negatives: 1, mine_every: 3, select: {pool_size: 4, depth: 40, margin: 1.0}, max_length: 16, checkpoint_every: 2}
tokenize: {tokenizer: "${root}/tokenizer", corpus: ["${root}/corpus"], out: "${root}/tokens", part_size: 20KB}
sft: {model: "${root}/random", pairs: ["${root}/xlr"], out: "${root}/instructed", steps: 4, batch_tokens: 2048,
  micro_batch_tokens: 1024, sequence_length: 1024, held_out: 0.1, checkpoint_every: 2}
weak: {model: "${root}/random", data: ["${root}/xlr"], out: "${root}/weak", steps: 4, batch_size: 4, max_length: 16, checkpoint_every: 2}
encode: {model: "${root}/embedder", data: "${root}/xlr", out: "${root}/vectors", shard_size: 16}
audit: {negatives: "${root}/negatives", data: "${root}/xlr", out: "${root}/audit", sample: 10}
export-negatives: {negatives: "${root}/negatives", data: "${root}/xlr", out: "${root}/flag", format: flag, num_negatives: 2}
import-negatives: {input: ["${root}/flag/train.jsonl"], out: "${root}/imported"}
evaluate: {model: "${root}/embedder", data: "${root}/xlr", split: train, out: "${root}/scores", min_queries: 1}
export: {model: "${root}/embedder", out: "${root}/model"}
report: {inputs: ["${root}/corpus", "${root}/embedder", "${root}/scores"], out: "${root}/report"}
"""
STAGES = (
    "build-corpus",
    "xlr-train",
    "tokenizer",
    "init",
    "tokenize",
    "pretrain",
    "sft",
    "weak",
    "mine",
    "audit",
    "export-negatives",
    "import-negatives",
    "finetune",
    "encode",
    "evaluate",
    "export",
    "report",
)
DRIVER = """
import gc, json, os, signal, sys, time
import torch, transformers, datatrove, accelerate
import conan_train.finetune.train, conan_train.pretrain.train, conan_train.export.export, conan_train.evaluation.evaluate
from conan_train.path.config import PathConfig
from conan_train.path.run import run_path

recipe, folder, stages, shares = sys.argv[1], sys.argv[2], sys.argv[3].split(","), [float(share) for share in sys.argv[4].split(",")]
calls = 0

def run(place, stage, *, kill_at=None, counted=None):
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.chdir(place)
    def count(frame, event, argument):
        global calls
        calls += event == "call"
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    if kill_at or counted:
        sys.setprofile(count)
    code = 1
    try:
        run_path(PathConfig(recipe=recipe, only=(stage,)))
        code = 0
    finally:
        sys.setprofile(None)
        if counted:
            open(counted, "w").write(str(calls))
        sys.stderr.flush()
        os._exit(code)

for place in ("whole", "killed"):
    os.makedirs(os.path.join(folder, place))
whole, killed, counted = (os.path.join(folder, name) for name in ("whole", "killed", "counted"))
for stage in stages:
    outcome = {"stage": stage, "whole": run(whole, stage, counted=counted)}
    total = int(open(counted).read())
    before = set(os.listdir(killed + "/runs")) if os.path.isdir(killed + "/runs") else set()
    outcome["kills"] = []
    for share in shares:
        code = run(killed, stage, kill_at=max(1, int(share * total)))
        there = set(os.listdir(killed + "/runs")) if os.path.isdir(killed + "/runs") else set()
        outcome["kills"].append([code, sorted(there - before)])
    outcome["again"] = run(killed, stage)
    print(json.dumps(outcome), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("kill")
    (folder / "recipe.yaml").write_text(RECIPE)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            DRIVER,
            str(folder / "recipe.yaml"),
            str(folder),
            ",".join(STAGES),
            "0.3,0.7",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return folder, {outcome["stage"]: outcome for outcome in found}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_run_again(stage: str, outcomes: tuple[Path, dict[str, dict]]) -> None:
    _, of_stage = outcomes
    outcome = of_stage[stage]
    assert outcome["whole"] == outcome["again"] == 0
    for code, left in outcome["kills"]:
        assert code == -9
        assert all(name.endswith(".partial") for name in left), "a killed stage left an output"


def test_the_bytes_are_those_of_an_undisturbed_run(outcomes: tuple[Path, dict[str, dict]]) -> None:
    folder, _ = outcomes
    whole, again = (contents(folder / name / "runs") for name in ("whole", "killed"))
    assert whole.keys() == again.keys() and len(whole) > 30
    assert [name for name in whole if whole[name] != again[name]] == []


def is_timed(path: Path) -> bool:
    """The log of a training holds how long its steps took, and the report of the whole path draws that."""
    return path.name == NAME or path.parts[-2:] == ("report", "report.html")


def contents(root: Path) -> dict[str, object]:
    """Every file; of a timed one only that it is there."""
    return {
        str(path.relative_to(root)): comparable(path) for path in sorted(root.rglob("*")) if path.is_file()
    }


def comparable(path: Path) -> object:
    if is_timed(path):
        return None
    if path.name != "manifest.json":
        return path.read_bytes()
    manifest = json.loads(path.read_text())
    files = [entry for entry in manifest["files"] if not is_timed(path.parent / entry["path"])]
    return {**manifest, "files": files, "inputs": [], "job_hash": ""}
