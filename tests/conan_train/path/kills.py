"""Kill every command at random moments, run it again, and count the outputs that have the bytes of an undisturbed run.

    python -m tests.conan_train.path.kills --kills 6 --seed 0 [--stages finetune,report] [--shares 0.3,0.7]

A stage runs undisturbed below `whole`, with a relative root, and below `twice`, with an absolute one and its function
calls counted. Below `killed` it is killed with SIGKILL after a share of that many calls and run again, as often as is
asked; after each rerun its output is compared with that of `whole`. A line of JSON for every stage, one at the end.
"""

import argparse
import functools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECIPE = """
root: runs
build-corpus: {input: [sample, "${root}/texts/prose.jsonl"], out: "${root}/corpus", languages: [en, zh],
  group_field: metadata.group, rules: {boilerplate_documents: 2}, classify: {advertisement: "${root}/classifier", advertisement_threshold: 1.0},
  tasks: 2}
classifier: {command: train-classifier, positive: ["${root}/texts/offers.jsonl"], negative: ["${root}/texts/prose.jsonl"],
  out: "${root}/classifier", min_held_out: 5, fasttext: {dimension: 8, epochs: 5, buckets: 1000}}
build-pairs: {input: ["${root}/corpus", sample], out: "${root}/pairs", language: en}
xlr-train: {command: build-xlr, data: sample, split: train, out: "${root}/xlr", mix: {en: 1, zh: 1}}
xlr-sets: {command: build-xlr, sets: {one: {data: sample, weight: 0.5, license: cc0-1.0}, two: {data: sample, split: dev}},
  out: "${root}/xlr-sets", mix: {en: 1, zh: 1, de: 1}, languages_per_query: all, splits: {train: 8, test: 2}, workers: 2}
xlr-endpoint: {command: build-xlr, data: sample, split: train, out: "${root}/xlr-endpoint", mix: {en: 1, zh: 1},
  translator: endpoint, endpoint: {base_url: "URL", model: echo}}
tokenizer: {corpus: ["${root}/corpus"], out: "${root}/tokenizer", vocab_size: 1000}
init: {preset: nano, tokenizer: "${root}/tokenizer", out: "${root}/random"}
pretrain: {model: "${root}/random", corpus: ["${root}/corpus"], out: "${root}/lm", steps: 4, batch_tokens: 256,
  micro_batch_tokens: 128, sequence_length: 64, checkpoint_every: 2}
mine: {model: "${root}/random/model", data: "${root}/xlr", out: "${root}/negatives", max_length: 16,
  select: {pool_size: 4, depth: 40, margin: 1.0}}
finetune: {model: "${root}/random", data: "${root}/xlr", negatives: "${root}/negatives", out: "${root}/embedder", steps: 4,
  batch_size: 4, num_negatives: 1, mine_every: 3, select: {pool_size: 4, depth: 40, margin: 1.0}, max_length: 16,
  checkpoint_every: 2}
tokenize: {tokenizer: "${root}/tokenizer", corpus: ["${root}/corpus"], out: "${root}/tokens", part_size: 20KB}
sft: {model: "${root}/random", pairs: ["${root}/xlr"], out: "${root}/instructed", steps: 4, batch_tokens: 2048,
  micro_batch_tokens: 1024, sequence_length: 1024, held_out: 0.1, checkpoint_every: 2}
weak: {model: "${root}/random", data: ["${root}/xlr"], out: "${root}/weak", steps: 4, batch_size: 4, max_length: 16,
  checkpoint_every: 2, dev: "${root}/xlr", dev_split: train, evaluate_every: 2, early_stop: 1}
score-pairs: {pairs: ["${root}/pairs"], model: "${root}/random/model", out: "${root}/scored", max_length: 16, part_pairs: 100,
  threshold: -1.0, sample: 5, instructions: true}
encode: {model: "${root}/embedder", data: "${root}/xlr", out: "${root}/vectors", shard_size: 16}
audit: {negatives: "${root}/negatives", data: "${root}/xlr", out: "${root}/audit", sample: 10}
decontaminate: {set: "${root}/negatives", data: "${root}/xlr", against: [sample], against_split: dev, out: "${root}/clean"}
clean-texts: {command: decontaminate, set: "${root}/texts/prose.jsonl", against: ["${root}/texts/offers.jsonl", sample],
  against_split: dev, out: "${root}/clean-texts"}
export-negatives: {negatives: "${root}/negatives", data: "${root}/xlr", out: "${root}/flag", format: flag, num_negatives: 2}
card: {artifact: "${root}/xlr", out: "${root}/xlr-card", license: cc-by-4.0, title: A set}
import-negatives: {input: ["${root}/flag/train.jsonl"], out: "${root}/imported"}
evaluate: {model: "${root}/embedder", data: "${root}/xlr", split: train, out: "${root}/scores", min_queries: 1}
words: {command: evaluate, model: bm25, data: "${root}/xlr", split: train, out: "${root}/scores-bm25", min_queries: 1}
compare: {evaluations: ["${root}/scores-bm25", "${root}/scores"], out: "${root}/compared", bootstrap: 100}
export: {model: "${root}/embedder", out: "${root}/model"}
report: {inputs: ["${root}/corpus", "${root}/embedder", "${root}/scores"], out: "${root}/report"}
"""
STAGES = {
    "classifier": "classifier",
    "build-corpus": "corpus",
    "corpus-report": "corpus-report",
    "build-pairs": "pairs",
    "xlr-train": "xlr",
    "xlr-sets": "xlr-sets",
    "xlr-endpoint": "xlr-endpoint",
    "tokenizer": "tokenizer",
    "init": "random",
    "tokenize": "tokens",
    "pretrain": "lm",
    "sft": "instructed",
    "weak": "weak",
    "mine": "negatives",
    "audit": "audit",
    "decontaminate": "clean",
    "clean-texts": "clean-texts",
    "export-negatives": "flag",
    "import-negatives": "imported",
    "card": "xlr-card",
    "finetune": "embedder",
    "score-pairs": "scored",
    "mine-service": "served.mining/negatives",
    "encode": "vectors",
    "evaluate": "scores",
    "words": "scores-bm25",
    "compare": "compared",
    "export": "model",
    "report": "report",
}
"""What is run, in an order that gives each what it needs, and where its output lies below the root."""
PLACES = ("whole", "twice", "killed")


def contents(root: Path) -> dict[str, bytes]:
    """Every file below `root` but those that manifests leave out for their times, by its path."""
    from conan_data.manifest import is_timed

    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not is_timed(str(path.relative_to(root)))
    }


class _Echo(BaseHTTPRequestHandler):
    """An endpoint whose translation of a text is a text in the language that is asked for."""

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        is_chinese = "Chinese" in asked
        text = (
            "这是一个关于文件和程序的问题，请问应该怎么做？"
            if is_chinese
            else "How should this question about files be answered?"
        )
        choice = {"finish_reason": "stop", "message": {"content": f"{text} {len(asked)}"}}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def write_texts(root: Path) -> None:
    """Rows for the classifier, a few of them in the corpus as well, one of which is broken."""
    rng = random.Random(5)
    words = {
        "offers": [
            "buy",
            "now",
            "cheap",
            "sale",
            "discount",
            "order",
            "today",
            "price",
            "free",
            "shipping",
            "deal",
            "click",
            "best",
        ],
        "prose": [
            "river",
            "history",
            "winter",
            "farmer",
            "letter",
            "garden",
            "evening",
            "teacher",
            "village",
            "mountain",
            "story",
            "road",
        ],
    }
    (root / "texts").mkdir(parents=True)
    for name, own in words.items():
        rows = [{"id": f"{name}-{n}", "text": " ".join(rng.choices(own, k=30)) + "."} for n in range(120)]
        lines = [json.dumps(row) for row in rows] + ["{broken"] * (name == "prose")
        (root / "texts" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_stage(stage: str, recipe: str, root: str) -> None:
    """Run one stage of the recipe, or one of the commands that a recipe does not hold."""
    if stage == "corpus-report":
        from conan_data.corpus.report.config import CorpusReportConfig
        from conan_data.corpus.report.report import report

        report(CorpusReportConfig(corpus=f"{root}/corpus", out=Path(root) / "corpus-report"))
    elif stage == "mine-service":
        _serve(Path(root))
    else:
        from conan_train.path.config import PathConfig
        from conan_train.path.run import run_path

        run_path(PathConfig(recipe=recipe, only=(stage,), root=root))


def _serve(root: Path) -> None:
    """One refresh of a service, for a run whose trainer has left the weights of step 2 and is gone."""
    from conan_data.mining.config import SelectionConfig
    from conan_train.embedding.base import open_base
    from conan_train.finetune.config import FinetuneConfig
    from conan_train.finetune.service import mine_service
    from conan_train.negatives.config import MineServiceConfig
    from conan_train.negatives.inbox import Inbox, generations_in
    from conan_train.negatives.snapshot import SnapshotWriter, newest_snapshot

    config = FinetuneConfig(
        out=root / "served", model=str(root / "random"), data=(str(root / "xlr"),), steps=4, batch_size=4,
        num_negatives=1, mine_every=2, mine_mode="service", max_length=16,
        select=SelectionConfig(pool_size=4, depth=40, margin=1.0),
    )  # fmt: skip
    inbox = Inbox(config.out)
    inbox.open(config)
    if newest_snapshot(inbox.weights) is None:
        writer = SnapshotWriter(open_base(config).trained, inbox.weights, rank=0, world_size=1)
        writer.write(2)
        writer.close()
    if not generations_in(inbox.generations("negatives")):
        mine_service(MineServiceConfig(run=config.out, device="cpu", once=True, poll=0.1, wait=1))


def _forked(
    place: Path, do: Callable[[], None], *, kill_at: int | None = None, counted: Path | None = None
) -> int:
    """The exit code of `do` in a child whose folder is `place`, killed at call `kill_at`."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.chdir(place)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        if kill_at or counted:
            sys.setprofile(count)
        do()
        code = 0
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.setprofile(None)
        if counted:
            counted.write_text(str(calls))
        sys.stderr.flush()
        os._exit(code)


def try_stage(folder: Path, stage: str, shares: list[list[float]]) -> dict[str, Any]:
    """Kill a stage at each of `shares` before a rerun; what came of it. The output of the last rerun stays."""
    places = {name: folder / name for name in PLACES}
    roots = {name: str(place / "runs") for name, place in places.items()} | {"whole": "runs"}
    run = {
        name: functools.partial(run_stage, stage, str(folder / "recipe.yaml"), root)
        for name, root in roots.items()
    }
    outcome: dict[str, Any] = {"stage": stage, "kills": [], "again": [], "equal": [], "left": []}
    # First without counting, so that what is compiled once is there.
    outcome["whole"] = [
        _forked(places["whole"], run["whole"]),
        _forked(places["twice"], run["twice"], counted=folder / "counted"),
    ]
    total = int((folder / "counted").read_text())
    out, expected = Path(roots["killed"]) / STAGES[stage], contents(places["whole"] / "runs" / STAGES[stage])
    outcome["twice_equal"] = contents(Path(roots["twice"]) / STAGES[stage]) == expected
    for number, points in enumerate(shares):
        if number:  # from nothing again
            for path in (out, *out.parent.glob(f"{out.name}.*"), Path(roots["killed"]) / "served.mining"):
                if path == out or stage != "mine-service" or path.name == "served.mining":
                    shutil.rmtree(path, ignore_errors=True)
        for share in points:
            outcome["kills"].append(
                _forked(places["killed"], run["killed"], kill_at=max(1, int(share * total)))
            )
            is_there = stage != "mine-service" and out.exists()
            outcome["left"].append(is_there and contents(out) != expected)
        outcome["again"].append(_forked(places["killed"], run["killed"]))
        found = contents(out)
        outcome["equal"].append(found == expected and len(expected) > 0)
        if found != expected:
            names = found.keys() | expected.keys()
            outcome["differ"] = sorted(name for name in names if found.get(name) != expected.get(name))[:5]
    return outcome


def prepare(folder: Path) -> None:
    """Load what all stages need once, write the inputs, start the endpoint."""
    import accelerate  # noqa: F401
    import datatrove  # noqa: F401
    import transformers  # noqa: F401

    import conan_train.evaluation.evaluate
    import conan_train.export.export
    import conan_train.finetune.train
    import conan_train.pretrain.train  # noqa: F401

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    (folder / "recipe.yaml").write_text(RECIPE.replace("URL", url), encoding="utf-8")
    for name in PLACES:
        write_texts(folder / name / "runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=6, help="of every stage, one before each rerun")
    parser.add_argument(
        "--shares", default="", help="of the calls at which a stage is killed before one rerun"
    )
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        prepare(folder)
        kills = equal = undisturbed = twice = 0
        for stage in given.stages.split(","):
            fixed = [[float(share) for share in given.shares.split(",")]] if given.shares else None
            outcome = try_stage(folder, stage, fixed or [[rng.random()] for _ in range(given.kills)])
            print(json.dumps(outcome), flush=True)
            kills += outcome["kills"].count(-signal.SIGKILL)
            undisturbed += len(outcome["kills"]) - outcome["kills"].count(-signal.SIGKILL)
            equal += sum(outcome["equal"])
            twice += outcome["twice_equal"]
        told = {"kills": kills, "not_reached": undisturbed, "equal": equal, "twice_equal": twice}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
