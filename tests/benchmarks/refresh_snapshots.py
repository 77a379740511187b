"""A small fine-tuning whose vectors are taken at some of its steps, for `refresh`.

As users do it: at first with the other queries' positives only, then, from a new peak of the learning rate on, with
negatives that are mined anew now and then by a full refresh.
"""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from conan_data.mining.arrays import RetrievalArrays, document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.pools import pools_of_vectors
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.selection import Pools
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_train.device import make_accelerator
from conan_train.embedding.base import Base, alpha, open_base
from conan_train.embedding.objective import EmbeddingObjective, Tasks
from conan_train.finetune.config import FinetuneConfig
from conan_train.initialise.config import InitConfig, ShapeConfig
from conan_train.initialise.init import init
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.cursors import EMPTY
from conan_train.negatives.generation import Generation
from conan_train.negatives.mined import Mined
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw, set_lr
from conan_train.optim.schedule import lr_at
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer

SHARED = Path(__file__).parents[3] / "shared" / "data"
SELECTION = SelectionConfig(pool_size=16, depth=100)
MEMORY = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class Setting:
    data: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    """Moments (steps) between which a refresh is measured, none of them before `start_steps`."""
    documents: tuple[int, ...]
    batch_size: int = 32
    num_negatives: int = 4
    max_length: int = 48
    start_steps: int = 1000
    """Steps without mined negatives."""
    steps: int = 3600
    """That the schedule counts with."""
    mine_every: int = 500
    padding: int = 60_000

    @property
    def moments(self) -> list[int]:
        return sorted({step for pair in self.pairs for step in pair})


SETTINGS = {
    "small": Setting(
        data=("sample",),
        pairs=((10, 20),),
        documents=(1_000, 10_000),
        max_length=32,
        start_steps=10,
        steps=30,
        mine_every=10,
        padding=0,
    ),
    "full": Setting(
        data=("jaquad", "tldr"),
        pairs=((1000, 1100), (1000, 1500), (1000, 3000), (3000, 3500)),
        documents=(10_000, 100_000, 1_000_000),
    ),
}
RATES = (3e-3, 1e-3)
"""Highest learning rates, without and with mined negatives."""


@dataclass(frozen=True)
class Moment:
    """float32 unit vectors: of all queries, and of the set's documents, then those of the padding."""

    queries: np.ndarray
    documents: np.ndarray


@dataclass(frozen=True)
class Snapshots:
    folder: Path
    pairs: PairSet
    setting: Setting
    step_seconds: float
    query_seconds: float
    document_seconds: float
    """Processor time of a step of the second part, and of encoding one text."""

    def at(self, step: int) -> Moment:
        with np.load(self.folder / f"{step}.npz") as stored:
            return Moment(*(unit(stored[name].astype(np.float32)) for name in ("queries", "documents")))


def take_snapshots(name: str, work: Path, setting: Setting) -> Snapshots:
    """Trains and encodes what is not in `work` yet."""
    folder = work / name
    pairs = read_set(name)
    if not all((folder / f"{step}.npz").is_file() for step in setting.moments):
        train(name, pairs, folder, setting)
    facts = json.loads((folder / "seconds.json").read_text())
    return Snapshots(folder, pairs, setting, facts["step"], facts["query"], facts["document"])


def read_set(name: str) -> PairSet:
    path = name if name == "sample" else str(SHARED / "retrieval" / name)
    return read_retrieval_sets((path,), "train", group_regex="^(.*)@" if name == "tldr" else "")


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


def mined_pools(arrays: RetrievalArrays, queries_QD: np.ndarray, documents_ND: np.ndarray) -> Pools:
    """What a full refresh chooses by these vectors."""
    vectors = [array.astype(np.float16) for array in (queries_QD, documents_ND)]
    queries, documents = (Embeddings([array], dimension=array.shape[1]) for array in vectors)
    return pools_of_vectors(queries, documents, arrays, SELECTION, searcher=ExactSearcher(memory=MEMORY))


def padding(name: str, pairs: PairSet, number: int) -> list[str]:
    """Texts that are near the set's own: further parts of its passages, then documentation."""
    texts = [
        text[start : start + 160]
        for start in (110, 220, 330)
        for text in document_texts(pairs.data.corpus)
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


def train(name: str, pairs: PairSet, folder: Path, setting: Setting) -> None:
    """Trains to the last moment, and at each writes the vectors of the texts."""
    config = FinetuneConfig(
        model=str(base_model(name, folder)),
        out=folder / "unused",
        data=(name,),
        steps=setting.steps,
        batch_size=setting.batch_size,
        num_negatives=setting.num_negatives,
        max_length=setting.max_length,
        bucket_tokens=1024,
        device="cpu",
    )
    base, accelerator = open_base(config), make_accelerator(config.device, config.precision)
    task = task_of(name, pairs, base, folder, setting)
    objective = EmbeddingObjective(
        config,
        Tasks([task]),
        trained=base.trained,
        model=base.trained.embedder,
        accelerator=accelerator,
    )
    lengths = setting.start_steps, setting.steps - setting.start_steps
    optims = [
        OptimConfig(lr=rate, warmup_steps=min(100, steps // 2))
        for rate, steps in zip(RATES, lengths, strict=True)
    ]
    optimizer = adamw(base.trained, optims[0])
    texts = {
        "query": pairs.data.queries.column("text").to_pylist(),
        "document": [*document_texts(pairs.data.corpus), *padding(name, pairs, setting.padding)],
    }
    seconds: dict[str, list[float]] = {"step": [], "query": [], "document": []}
    for step in range(setting.moments[-1] + 1):
        into = step - setting.start_steps
        is_mined = into >= 0 and into % setting.mine_every == 0
        if step in setting.moments or is_mined:
            encoder = CheckpointEncoder(base.trained.embedder, base.tokenizer)
            vectors = {}
            for kind, of_kind in texts.items():
                start = time.process_time()
                vectors[kind] = encoder.encode(of_kind, kind=kind).astype(np.float16)  # type: ignore[arg-type]
                seconds[kind].append((time.process_time() - start) / len(of_kind))
            if step in setting.moments:
                np.savez(folder / f"{step}.npz", queries=vectors["query"], documents=vectors["document"])
            if is_mined:
                own = vectors["document"][: pairs.arrays.num_documents]
                pools = mined_pools(pairs.arrays, vectors["query"], own)
                task.use(Generation(name="", step=step, row_QP=pools.rows, score_QP=pools.scores))
        start = time.process_time()
        base.trained.embedder.mask.alpha = alpha(step, config)
        phase, of_phase = (0, step) if into < 0 else (1, into)
        set_lr(optimizer, lr_at(of_phase, optims[phase], num_steps=lengths[phase]))
        objective.commit(step, objective.backward(step))
        torch.nn.utils.clip_grad_norm_(base.trained.parameters(), optims[0].grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        if into >= 0:
            seconds["step"].append(time.process_time() - start)
    medians = {kind: float(np.median(taken)) for kind, taken in seconds.items()}
    (folder / "seconds.json").write_text(json.dumps(medians))


def base_model(name: str, folder: Path) -> Path:
    corpus = "sample" if name == "sample" else str(SHARED / "retrieval" / name / "corpus.train.jsonl.gz")
    train_tokenizer(
        TokenizerConfig(
            corpus=(corpus,), vocab_size=8_000, sample_characters=3_000_000, out=folder / "tokenizer"
        )
    )
    shape = ShapeConfig(hidden=128, num_heads=4, num_kv_heads=2, ffn=256)
    init(InitConfig(preset="nano", shape=shape, tokenizer=str(folder / "tokenizer"), out=folder / "init"))
    return folder / "init"


def task_of(name: str, pairs: PairSet, base: Base, folder: Path, setting: Setting) -> Mined:
    task = RetrievalTask.open(
        "retrieval",
        pairs,
        tokenizer=base.tokenizer,
        cache=folder / "tokens",
        max_length=setting.max_length,
        query_prompt="",
        document_prompt="",
        batch_size=setting.batch_size,
        num_negatives=setting.num_negatives,
        seed=0,
    )
    nothing_QN = np.full((pairs.num_queries, setting.num_negatives), EMPTY, np.int32)
    return Mined(
        task, weight=1.0, store=folder / "negatives", rule=RuleConfig(enabled=False), row_QP=nothing_QN
    )
