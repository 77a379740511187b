"""Do negatives that follow the model help? `python -m tests.benchmarks.dynamics --work DIR`.

Negatives mined once and kept (`static`), the same pools with the rule that replaces what has become easy (`rule`),
pools mined anew every `--mine-every` steps without the rule (`refresh`), and `both`. The rule acts when a query comes
back, so refreshes have to lie further apart than an epoch: else what the rule replaced is mined anew before it is met,
and `both` is `refresh`. A fifth arm, `window`, is `refresh` with `--refresh.depth window`: from its second
mining on it encodes a part.

All arms of a set begin with the same weights (a small model that was trained with in-batch negatives) and with the
same negatives, mined by these weights; arms of one seed see the same queries in the same order. So the difference to
`static` is taken by seed, with a t interval over seeds. The seed is that of the training run alone: what another
start model would do is not in the interval.

`--budgets clock` gives `static` and `rule` as many more steps as the minings of `both` cost, from the processor times
of the runs of equal steps, so that all arms take about as long. Every run and every evaluation is an artifact below
`--work`: the same command run again does what is missing, and makes the table and `dynamics.html` anew.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.mine import mine
from conan_train.evaluation.config import BM25, EvaluateConfig
from conan_train.evaluation.evaluate import SCORES, evaluate
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.initialise.config import InitConfig, ShapeConfig
from conan_train.initialise.init import init
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.depth.config import RefreshConfig
from conan_train.optim.config import OptimConfig
from conan_train.report.training import total_replaced
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer
from conan_train.trainlog import NAME, read_events
from tests.benchmarks.dynamics_report import report
from tests.benchmarks.held_out import write_fewer_pages, write_held_out

log = logging.getLogger("dynamics")

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "retrieval"
ARMS = ("static", "rule", "refresh", "both", "window")
SETS = ("jaquad", "tldr")
GROUPS = {"jaquad": "", "tldr": "^(.*)@"}
SELECTION = SelectionConfig(pool_size=32, depth=96)
WARM_UP = 0.1


@dataclass(frozen=True)
class Frame:
    """What all runs on a set have in common."""

    given: argparse.Namespace
    name: str

    @property
    def work(self) -> Path:
        return self.given.work / self.name

    @property
    def data(self) -> Path:
        return self.work / "set"

    @property
    def start(self) -> Path:
        """The model that all arms begin with."""
        return self.work / "start"

    def training(self, out: Path, **values: Any) -> FinetuneConfig:
        return FinetuneConfig(**{
            "out": out, "data": (str(self.data),), "group_regex": GROUPS[self.name], "max_length": self.given.max_length,
            "bucket_tokens": 4096, "device": "cpu", "threads": self.given.threads, "checkpoint_every": 100_000, "log_every": 5,
            "select": SELECTION, "token_cache": str(self.work / "tokens"),
        } | values)  # fmt: skip


def prepare(frame: Frame) -> None:
    """The set, the tokenizer, the start model and the negatives it mines; what is there already is kept."""
    given, work = frame.given, frame.work
    if not (frame.data / "qrels.dev.tsv").is_file():
        if frame.name == "tldr":
            write_fewer_pages(DATA / "tldr", frame.data, num_pages=given.train_queries, num_start=2500)
        else:
            write_held_out(
                DATA / frame.name,
                frame.data,
                num_passages=given.passages,
                num_queries=given.train_queries,
                num_dev=300,
                num_others=700,
                num_start=3000,
            )
    train_tokenizer(
        TokenizerConfig(
            out=work / "tokenizer", corpus=(str(frame.data / "corpus.start.jsonl"),), vocab_size=6000
        )
    )
    init(
        InitConfig(
            out=work / "base",
            preset="nano",
            tokenizer=str(work / "tokenizer"),
            shape=ShapeConfig(hidden=128, num_heads=4, num_kv_heads=2, ffn=256),
        )
    )
    finetune(
        frame.training(
            frame.start,
            split="start",
            model=str(work / "base"),
            steps=given.start_steps,
            batch_size=64,
            num_negatives=0,
            optim=OptimConfig(lr=3e-3, warmup_steps=int(WARM_UP * given.start_steps)),
        )
    )
    mine(
        MineConfig(
            out=work / "negatives",
            data=str(frame.data),
            group_regex=GROUPS[frame.name],
            model=str(frame.start / "model"),
            select=SELECTION,
            max_length=given.max_length,
            device="cpu",
        )
    )


def run(frame: Frame, arm: str, seed: int, *, steps: int, folder: str) -> dict[str, Any]:
    """One run and its evaluation: nDCG@10 on dev, seconds of training and mining, and the curves."""
    given = frame.given
    out = frame.work / folder / f"{arm}-{seed}"
    seconds = timed(
        frame.training(
            out,
            model=str(frame.start),
            negatives=str(frame.work / "negatives"),
            steps=steps,
            seed=seed,
            batch_size=given.batch_size,
            num_negatives=given.negatives,
            mine_every=given.mine_every if arm in ("refresh", "both", "window") else 0,
            refresh=RefreshConfig(depth="window" if arm == "window" else "full"),
            rule=RuleConfig(enabled=arm in ("rule", "both")),
            optim=OptimConfig(lr=given.lr, warmup_steps=int(WARM_UP * steps)),
        )
    )
    events = read_events(out / NAME)
    minings = [event for event in events if event["event"] == "refresh"]
    return {
        "set": frame.name,
        "arm": arm,
        "seed": seed,
        "steps": steps,
        "ndcg": score(frame, str(out), frame.work / f"{folder}-scores" / f"{arm}-{seed}"),
        "seconds": seconds,
        "mining_share": minings[-1]["share"] if minings else 0.0,
        "replaced": total_replaced(events),
        "changed": [event["changed"] for event in minings],
        "lines": events,
    }


def timed(config: FinetuneConfig) -> float:
    """Trains, unless that is done, and says what processor time it took: that of an undisturbed machine, on one thread.

    The time lies beside the artifact, which must not depend on it. A run without it was killed in between: it is done
    again.
    """
    kept = config.out.with_name(f"{config.out.name}.seconds.json")
    if not (kept.is_file() and config.out.is_dir()):
        start = time.process_time()
        finetune(dataclasses.replace(config, overwrite=True))
        kept.write_text(json.dumps(time.process_time() - start), encoding="utf-8")
    return float(json.loads(kept.read_text(encoding="utf-8")))


def score(frame: Frame, model: str, out: Path) -> float:
    """nDCG@10 of a model on dev, all documents in one pool."""
    with contextlib.redirect_stdout(io.StringIO()):
        made = evaluate(
            EvaluateConfig(
                out=out,
                model=model,
                data=str(frame.data),
                group_regex=GROUPS[frame.name],
                translations=False,
                pools="mixed",
                bootstrap=0,
                device="cpu",
                max_length=None if model == BM25 else frame.given.max_length,
            )
        )
    record = json.loads((made / SCORES).read_text(encoding="utf-8"))
    return record["mixed"]["scores"]["ndcg@10"]["value"]


def longer(frame: Frame, runs: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Steps of the arms that do not mine, for as much time as `both` took; settled once, for runs to be resumed."""
    settled = frame.work / "clock.json"
    if not settled.is_file():
        seconds = {
            arm: statistics.median(run["seconds"] for run in runs if run["arm"] == arm)
            for arm in ("static", "rule", "both")
        }
        steps = {
            arm: round(frame.given.steps * max(1.0, seconds["both"] / seconds[arm]))
            for arm in ("static", "rule")
        }
        settled.write_text(json.dumps(steps), encoding="utf-8")
    return json.loads(settled.read_text(encoding="utf-8"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, required=True, help="folder of sets, models, runs and the page")
    options.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    options.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--steps", type=int, default=360)
    options.add_argument("--mine-every", type=int, default=120)
    options.add_argument("--start-steps", type=int, default=800, help="of the start model")
    options.add_argument("--budgets", nargs="*", choices=("steps", "clock"), default=("steps",))
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--negatives", type=int, default=4)
    options.add_argument("--lr", type=float, default=1e-3)
    options.add_argument("--max-length", type=int, default=64)
    options.add_argument("--train-queries", type=int, default=1920)
    options.add_argument("--passages", type=int, default=3000, help="that jaquad is mined from")
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    given.work = given.work.resolve()
    torch.set_num_threads(given.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    runs: list[dict[str, Any]] = []
    baselines: dict[str, dict[str, float]] = {}
    frames = [Frame(given, name) for name in given.sets]
    for frame in frames:
        prepare(frame)
        baselines[frame.name] = {
            "bm25": score(frame, BM25, frame.work / "bm25"),
            "start": score(frame, str(frame.start), frame.work / "start-scores"),
        }
        log.info("%s: %s", frame.name, baselines[frame.name])
    # Seeds outside, so that what is there after half the time is a smaller benchmark rather than half of one.
    for seed in range(given.seeds):
        for frame in frames:
            for arm in given.arms:
                runs.append(run(frame, arm, seed, steps=given.steps, folder="runs"))
                log.info("%s", {key: value for key, value in runs[-1].items() if key != "lines"})
    for_clock: list[dict[str, Any]] = []
    if "clock" in given.budgets:
        steps = {
            frame.name: longer(frame, [run for run in runs if run["set"] == frame.name]) for frame in frames
        }
        for seed in range(given.seeds):
            for frame in frames:
                for arm in [arm for arm in given.arms if arm in ("static", "rule")]:
                    made = run(frame, arm, seed, steps=steps[frame.name][arm], folder="runs-clock")
                    for_clock.append({**made, "arm": f"{arm}, equal time"})
                    log.info("%s", {key: value for key, value in made.items() if key != "lines"})
    figures = report(runs + for_clock, baselines, page=given.work / "dynamics.html", given=vars(given))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
