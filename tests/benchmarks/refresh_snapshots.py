"""A small training whose vectors are taken at some of its steps, for `refresh`."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from conan_data.mining.arrays import document_texts
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_train.device import make_accelerator
from conan_train.embedding.base import alpha, open_base
from conan_train.embedding.objective import EmbeddingObjective, Tasks
from conan_train.finetune.config import FinetuneConfig
from conan_train.initialise.config import InitConfig
from conan_train.initialise.init import init
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.mined import Mined
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw, set_lr
from conan_train.optim.schedule import lr_at
from conan_train.tasks.random_negatives import random_negatives
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer

SHARED = Path(__file__).parents[3] / "shared" / "data"


@dataclass(frozen=True, kw_only=True)
class Setting:
    data: tuple[str, ...]
    preset: str
    batch_size: int
    max_length: int
    num_negatives: int
    pairs: tuple[tuple[int, int], ...]
    """Moments (steps) between which a refresh is measured."""
    documents: tuple[int, ...]
    num_queries: int
    padding: int


SETTINGS = {
    "small": Setting(
        data=("sample",),
        preset="nano",
        batch_size=32,
        max_length=32,
        num_negatives=1,
        pairs=((10, 20),),
        documents=(1_000, 10_000),
        num_queries=1_000,
        padding=0,
    ),
    "full": Setting(
        data=("jaquad", "tldr"),
        preset="nano",
        batch_size=128,
        max_length=48,
        num_negatives=1,
        pairs=((500, 600), (500, 1000), (500, 2500)),
        documents=(10_000, 100_000, 1_000_000),
        num_queries=6_000,
        padding=60_000,
    ),
}


@dataclass(frozen=True)
class Moment:
    """float32 unit vectors: of some queries, and of the set's documents, then those of the padding."""

    queries: np.ndarray
    documents: np.ndarray


@dataclass(frozen=True)
class Snapshots:
    folder: Path
    pairs: PairSet
    query_rows: np.ndarray
    batch_size: int
    step_seconds: float
    query_seconds: float
    document_seconds: float

    def at(self, step: int) -> Moment:
        with np.load(self.folder / f"{step}.npz") as stored:
            return Moment(*(unit(stored[name].astype(np.float32)) for name in ("queries", "documents")))


def take_snapshots(name: str, work: Path, setting: Setting) -> Snapshots:
    """Trains and encodes what is not in `work` yet."""
    folder = work / name
    pairs = read_set(name)
    moments = sorted({step for pair in setting.pairs for step in pair})
    if not all((folder / f"{step}.npz").is_file() for step in moments):
        train(name, pairs, folder, moments, setting)
    facts = json.loads((folder / "seconds.json").read_text())
    rows = query_rows(pairs, setting)
    return Snapshots(
        folder, pairs, rows, setting.batch_size, facts["step"], facts["query"], facts["document"]
    )


def read_set(name: str) -> PairSet:
    path = name if name == "sample" else str(SHARED / "retrieval" / name)
    return read_retrieval_sets((path,), "train", group_regex="^(.*)@" if name == "tldr" else "")


def query_rows(pairs: PairSet, setting: Setting) -> np.ndarray:
    order = np.random.default_rng(0).permutation(pairs.num_queries)
    return np.sort(order[: setting.num_queries])


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


def padding(name: str, pairs: PairSet, number: int) -> list[str]:
    """Texts that are near the set's own: further parts of its passages, then documentation."""
    texts = [
        text[start : start + 160]
        for start in (110, 220, 330)
        for text in texts_of(pairs)
        if len(text) > start + 60
    ]
    languages = ("ja", "zh", "ko") if name == "jaquad" else ("en", "es", "fr", "pt", "uk")
    for language in languages if len(texts) < number else ():
        path = SHARED / "corpus" / f"pydocs.{language}.jsonl.zst"
        lines = subprocess.run(["zstdcat", str(path)], capture_output=True, check=True).stdout.decode()
        texts += [json.loads(line)["text"] for line in lines.splitlines()]
    texts = list(dict.fromkeys(texts))
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[place] for place in order[:number]]


def texts_of(pairs: PairSet) -> list[str]:
    return list(document_texts(pairs.data.corpus))


def train(name: str, pairs: PairSet, folder: Path, moments: list[int], setting: Setting) -> None:
    """Trains to the last of `moments`, and at each writes the vectors of the texts."""
    config = FinetuneConfig(
        model=str(base_model(name, folder, setting)),
        out=folder / "unused",
        data=(name,),
        steps=3 * moments[-1] // 2,
        batch_size=setting.batch_size,
        num_negatives=setting.num_negatives,
        max_length=setting.max_length,
        optim=OptimConfig(lr=0.003, warmup_steps=min(100, moments[0])),
        device="cpu",
    )
    base, accelerator = open_base(config), make_accelerator(config.device, config.precision)
    objective = EmbeddingObjective(
        config,
        Tasks([task_of(name, pairs, base.tokenizer, folder, setting)]),
        trained=base.trained,
        model=base.trained.embedder,
        accelerator=accelerator,
    )
    optimizer = adamw(base.trained, config.optim)
    queries = pairs.data.queries.column("text").take(query_rows(pairs, setting)).to_pylist()
    documents = texts_of(pairs) + padding(name, pairs, setting.padding)
    training, encoding = 0.0, {"query": 0.0, "document": 0.0}
    for step in range(moments[-1] + 1):
        if step in moments:
            encoder = CheckpointEncoder(base.trained.embedder, base.tokenizer)
            vectors = {}
            for kind, texts in (("query", queries), ("document", documents)):
                start = time.process_time()
                vectors[kind] = encoder.encode(texts, kind=kind).astype(np.float16)  # type: ignore[arg-type]
                encoding[kind] += (time.process_time() - start) / len(texts) / len(moments)
            np.savez(folder / f"{step}.npz", queries=vectors["query"], documents=vectors["document"])
        start = time.process_time()
        base.trained.embedder.mask.alpha = alpha(step, config)
        set_lr(optimizer, lr_at(step, config.optim, num_steps=config.steps))
        objective.commit(step, objective.backward(step))
        torch.nn.utils.clip_grad_norm_(base.trained.parameters(), config.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        training += time.process_time() - start
    facts = {"step": training / (moments[-1] + 1), **encoding}
    (folder / "seconds.json").write_text(json.dumps(facts))


def base_model(name: str, folder: Path, setting: Setting) -> Path:
    corpus = "sample" if name == "sample" else str(SHARED / "retrieval" / name / "corpus.train.jsonl.gz")
    train_tokenizer(
        TokenizerConfig(
            corpus=(corpus,), vocab_size=8_000, sample_characters=3_000_000, out=folder / "tokenizer"
        )
    )
    init(InitConfig(preset=setting.preset, tokenizer=str(folder / "tokenizer"), out=folder / "init"))
    return folder / "init"


def task_of(name: str, pairs: PairSet, tokenizer: object, folder: Path, setting: Setting) -> Mined:
    task = RetrievalTask.open(
        "retrieval",
        pairs,
        tokenizer=tokenizer,  # type: ignore[arg-type]
        cache=folder / "tokens",
        max_length=setting.max_length,
        query_prompt="",
        document_prompt="",
        batch_size=setting.batch_size,
        num_negatives=setting.num_negatives,
        seed=0,
    )
    rows = random_negatives(pairs.arrays, setting.num_negatives, seed=0)
    return Mined(task, weight=1.0, store=folder / "negatives", rule=RuleConfig(enabled=False), row_QP=rows)
