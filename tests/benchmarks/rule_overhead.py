"""What following the model costs a trainer beside mining itself: `python -m tests.benchmarks.rule_overhead`.

Three figures, on jaquad with a tokenizer of its own and random weights. `rule_overhead`: what the rule takes after a
step (`commit`: the scores come from the device, and cursors move) over the whole step of loss, gradients and update,
both in processor time on one thread, medians. Pools are drawn at random, with an S_0 of 0.3 to 0.9, so that some of the
negatives have to go at every step. `alone_ms`: the rule of 1,024 queries with 7 negatives each. `stall`: the share of
training time for which a trainer with a mining worker beside it (`mine_mode process`) was held up, as its log says, in a
run that takes up two generations at least; null where fewer came (raise `--stall-steps`). Steps of the stall are
short, which makes its share larger than that of a real run.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from conan_data.mining.config import SelectionConfig
from conan_data.pairs.pair_set import read_retrieval_sets
from conan_train.device import make_accelerator
from conan_train.embedding.base import open_base
from conan_train.embedding.objective import EmbeddingObjective, Tasks
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.initialise.config import InitConfig
from conan_train.initialise.init import init
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.cursors import Cursors
from conan_train.negatives.generation import Generation
from conan_train.negatives.mined import Mined
from conan_train.optim.groups import adamw
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer
from conan_train.trainlog import NAME, read_events
from tests.benchmarks.held_out import write_held_out

# Q queries, B queries of a step, N negatives a query, P places of a pool

SET = Path(__file__).parents[3] / "shared" / "data" / "retrieval" / "jaquad"
PARTS = ("step", "alone", "stall")
POOL, NUM_NEGATIVES, LARGE = 100, 7, 1024


def random_pools(num_queries: int, num_documents: int, *, seed: int) -> Generation:
    """Pools as a mining might give them: 100 documents a query, the highest score first."""
    rng = np.random.default_rng(seed)
    score_QP = np.sort(rng.uniform(0.3, 0.9, (num_queries, POOL)).astype(np.float32))[:, ::-1]
    row_QP = rng.integers(num_documents, size=(num_queries, POOL)).astype(np.int32)
    return Generation(name="random", step=0, row_QP=row_QP, score_QP=np.ascontiguousarray(score_QP))


def measure_steps(given: argparse.Namespace, model: Path, work: Path) -> dict[str, float]:
    """Medians of a step and of its rule."""
    config = FinetuneConfig(
        model=str(model), out=work / "unused", data=(str(work / "set"),), steps=given.steps + 2, batch_size=given.batch_size,
        num_negatives=NUM_NEGATIVES, max_length=given.max_length, device="cpu", threads=1,
    )  # fmt: skip
    base, accelerator = open_base(config), make_accelerator(config.device, config.precision)
    mined = mined_task(config, base.tokenizer, work)
    objective = EmbeddingObjective(
        config, Tasks([mined]), trained=base.trained, model=base.trained.embedder, accelerator=accelerator
    )
    optimizer = adamw(base.trained, config.optim)
    steps, rules, replaced = [], [], []
    for step in range(config.steps):
        start = time.process_time()
        objective.prepare(step)
        outcome = objective.backward(step)
        torch.nn.utils.clip_grad_norm_(base.trained.parameters(), config.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        trained = time.process_time()
        replaced.append(objective.commit(step, outcome)["replaced"])
        end = time.process_time()
        steps.append(end - start)
        rules.append(end - trained)
    # The first two make buffers and load kernels.
    rule, whole = statistics.median(rules[2:]), statistics.median(steps[2:])
    return {
        "rule_overhead": rule / whole,
        "rule_ms": 1000 * rule,
        "step_ms": 1000 * whole,
        "replaced_a_step": statistics.mean(replaced),
    }


def mined_task(config: FinetuneConfig, tokenizer: object, work: Path) -> Mined:
    pairs = read_retrieval_sets(config.data, config.split)
    task = RetrievalTask.open(
        "retrieval", pairs, tokenizer=tokenizer, cache=work / "tokens", max_length=config.max_length, query_prompt="",  # type: ignore[arg-type]
        document_prompt="", batch_size=config.batch_size, num_negatives=NUM_NEGATIVES, seed=0,
    )  # fmt: skip
    pools = random_pools(pairs.num_queries, pairs.arrays.num_documents, seed=0)
    mined = Mined(task, weight=1.0, store=work / "negatives", rule=config.rule, row_QP=pools.row_QP)
    mined.use(pools)
    return mined


def measure_alone(num_queries: int, *, repeats: int) -> float:
    """Milliseconds of the rule for a step of `num_queries`, from scores on the device to moved cursors."""
    pools = random_pools(100_000, 1_000_000, seed=1)
    cursors = Cursors.start(pools.row_QP, pools.score_QP, num_negatives=NUM_NEGATIVES)
    rng, rule, seconds = np.random.default_rng(2), RuleConfig(), []
    for _ in range(repeats):
        query_B = rng.choice(100_000, num_queries, replace=False)
        scores_BN = torch.from_numpy(rng.uniform(0.2, 0.9, (num_queries, NUM_NEGATIVES)).astype(np.float32))
        start = time.process_time()
        cursors.advance(query_B, scores_BN.float().cpu().numpy(), rule)
        seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds)


def measure_stall(given: argparse.Namespace, model: Path, work: Path) -> dict[str, float | None]:
    """Of a run with a worker beside it; None where it took up fewer than two generations."""
    out = finetune(
        FinetuneConfig(
            model=str(model), out=work / "stalled", data=(str(work / "few"),), steps=given.stall_steps, batch_size=4,
            num_negatives=NUM_NEGATIVES, max_length=32, mine_every=given.mine_every, mine_mode="process", mine_look_every=1,
            select=SelectionConfig(pool_size=16, depth=32, margin=1.0), device="cpu", threads=1, log_every=1,
            checkpoint_every=10_000,
        )
    )  # fmt: skip
    events = read_events(out / NAME)
    lines = [event for event in events if event["event"] == "step"]
    taken = [event for event in events if event["event"] == "refresh"]
    seconds = sum(4 / line["queries_per_second"] for line in lines)
    stall = lines[-1]["stall"]
    return {
        "stall": stall if len(taken) >= 2 else None,
        "generations": len(taken),
        "weights_mb": sum(path.stat().st_size for path in (out / "model").glob("*.safetensors")) / 1e6,
        "stalled_ms": 1000 * seconds * stall / (1 - stall),
        "trained_s": seconds,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--batch-size", type=int, default=32, help="queries of a step, each with 8 documents"
    )
    options.add_argument("--max-length", type=int, default=48)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--preset", default="nano", help="of the model whose steps are measured")
    options.add_argument("--stall-preset", default="tiny", help="of the model that is copied for the worker")
    options.add_argument("--stall-steps", type=int, default=120)
    options.add_argument("--mine-every", type=int, default=10)
    options.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    given = options.parse_args()
    if not SET.is_dir():
        print(f"skipped: {SET} is not there")
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        for name, num_passages, num_queries in (("set", 4000, 12_000), ("few", 100, 100)):
            write_held_out(
                SET, work / name, num_passages=num_passages, num_queries=num_queries, num_dev=1, num_others=0, num_start=1
            )  # fmt: skip
        corpus = (str(work / "set" / "corpus.train.jsonl"),)
        train_tokenizer(TokenizerConfig(corpus=corpus, vocab_size=8_000, out=work / "tokenizer"))
        models = [work / given.preset, work / given.stall_preset]
        for model in dict.fromkeys(models):
            init(InitConfig(preset=model.name, tokenizer=str(work / "tokenizer"), out=model))
        figures: dict[str, float | None] = {}
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "step": lambda: measure_steps(given, models[0], work),
            "alone": lambda: {"alone_ms": measure_alone(LARGE, repeats=200)},
            "stall": lambda: measure_stall(given, models[1], work),
        }
        for name in given.parts:
            found = measures[name]()
            print(
                tabulate(
                    [(key, "none" if value is None else f"{value:,.5g}") for key, value in found.items()]
                )
            )
            figures |= found
    print(json.dumps({name: value if value is None else round(value, 6) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
