"""The two sides of the step benchmark: the same model, texts, batches, loss and optimiser in each.

The peer is the trainer of sentence-transformers as its users run it, a dataset of text columns in: its step
is from the end of one to the end of the next, data loading, tokenising and padding included. Ours has its
tokens ready, as in training; planning, padding, loss, clipping and the update are in its step.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from conan_train.device import make_accelerator
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.tokenization import encode_texts
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw
from conan_train.step.contrastive import Contrastive, QueryBatch
from conan_train.step.task import take_step

NUM_QUERIES, NUM_NEGATIVES = 16, 7
TEMPERATURE = 0.05
MAX_LENGTH = 512
VOCABULARY = 8192
LR, CLIP = 1e-4, 1.0

MEAN_LENGTH = 110
QUANTILES = {
    "jaquad": (35, 117, 143, 164, 181, 198, 213, 228, 242, 257, 273, 289, 308, 325, 349, 372, 396, 426, 471, 535, 690),
    "pydocs": (28, 194, 205, 213, 220, 225, 231, 236, 241, 246, 252, 258, 265, 272, 280, 289, 301, 316, 336, 378, 634),
    "tldr": (11, 19, 22, 26, 29, 31, 34, 40, 53, 70, 89, 118, 148, 173, 199, 224, 255, 288, 338, 422, 660),
}  # fmt: skip
"""Tokens of real documents in steps of 5%, under a BPE of 8,192 tokens that was trained on them: passages of
Japanese Wikipedia (JaQuAD), paragraphs of Python's documentation, and tldr pages in all languages. The last one
is that of 99%, in the place of the longest, which is kind to the side that pads most.
"""
LAWS = tuple(QUANTILES)
Texts = list[list[str]]
"""Rows of a query, its positive and its negatives."""


def document_lengths(law: str, num: int, random: np.random.Generator, *, mean: float) -> np.ndarray:
    """Words of documents: the shape is that of `law`, scaled to `mean`."""
    table = np.array(QUANTILES[law])
    lengths = np.interp(random.random(num), np.linspace(0, 1, len(table)), table)
    return (lengths * mean / np.convolve(table, [0.5, 0.5], "valid").mean()).astype(int)


def make_rows(law: str, num_rows: int, *, seed: int = 0, mean: float = MEAN_LENGTH) -> Texts:
    """Random words; queries have a mean of 12 of them, a tenth of the documents, as questions of JaQuAD have."""
    random = np.random.default_rng(seed)
    columns = 2 + NUM_NEGATIVES
    lengths = document_lengths(law, num_rows * columns, random, mean=mean).reshape(num_rows, columns)
    lengths[:, 0] = np.clip(random.lognormal(np.log(12) - 0.125, 0.5, size=num_rows), 2, 60)
    return [
        [" ".join(f"w{word}" for word in random.integers(VOCABULARY - 3, size=length)) for length in row]
        for row in lengths
    ]


def write_model(folder: Path, *, layers: int = 4, width: int = 256) -> None:
    """A fresh decoder that any side loads, bidirectional, with a tokenizer of words."""
    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, **{f"w{n}": n + 3 for n in range(VOCABULARY - 3)}}
    backend = Tokenizer(WordLevel(words, unk_token="<bos>"))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=0,
        eos_token_id=2,
    )
    config.is_causal = False
    Embedder(LlamaModel(config), EncodingContract(max_length=MAX_LENGTH)).save(folder, tokenizer=tokenizer)


@dataclass
class Ours:
    """Steps of ours, over batches that are made ahead."""

    folder: Path
    device: str
    budget: int
    grad_cache: bool = False
    alpha: float = 1.0

    def steps(self, batches: list[QueryBatch]) -> Iterator[tuple[float, float]]:
        """Seconds and loss of each."""
        accelerator: Accelerator = make_accelerator(self.device, "no")
        embedder = Embedder.load(self.folder)
        embedder.mask.alpha = self.alpha
        embedder, optimizer = accelerator.prepare(embedder, adamw(embedder, OptimConfig(lr=LR)))
        embedder.train()
        for batch in batches:
            start = now(self.device)
            done = take_step(
                embedder,
                [Contrastive(batch=batch, temperature=TEMPERATURE)],
                accelerator=accelerator,
                budget=self.budget,
                grad_cache=self.grad_cache,
            )
            accelerator.clip_grad_norm_(embedder.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            yield now(self.device) - start, float(done.loss)


def make_batches(rows: Texts, folder: Path, *, num_queries: int = NUM_QUERIES) -> list[QueryBatch]:
    """One batch for every `num_queries` rows, tokenised."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    batches = []
    for first in range(0, len(rows), num_queries):
        some = rows[first : first + num_queries]
        documents = [text for row in some for text in row[1:]]
        place_BC = np.arange(len(documents)).reshape(len(some), -1)
        batches.append(
            QueryBatch(
                query_tokens=_arrays(encode_texts(tokenizer, [row[0] for row in some], MAX_LENGTH)),
                document_tokens=_arrays(encode_texts(tokenizer, documents, MAX_LENGTH)),
                document_rows=np.arange(len(documents)),
                document_groups=np.full(len(documents), -1),
                positives=place_BC[:, 0],
                negatives=place_BC[:, 1:],
                known_rows=place_BC[:, :1],
                known_groups=[[] for _ in some],
            )
        )
    return batches


def peer_steps(
    rows: Texts, folder: Path, *, device: str, work: Path, between: Callable[[], None]
) -> list[tuple[float, float]]:
    """Seconds and loss of each step of sentence-transformers; the seconds of the first are NaN. `between` is
    called after each step, and does not count.
    """
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    starts, ends, losses = [math.nan], [], []

    class Clock(TrainerCallback):
        def on_step_end(self, *given: object, **kwargs: object) -> None:
            ends.append(now(device))
            between()
            starts.append(now(device))

    class Loss(MultipleNegativesRankingLoss):
        def forward(self, *given: object) -> torch.Tensor:
            loss = super().forward(*given)
            losses.append(loss.detach())
            return loss

    model = SentenceTransformer(
        modules=[
            Transformer(str(folder), max_seq_length=MAX_LENGTH),
            Pooling(256, "mean"),
            Normalize(),
        ],
        device=device,
    )
    names = ["query", "positive", *(f"negative_{n}" for n in range(NUM_NEGATIVES))]
    SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(work),
            num_train_epochs=1,
            per_device_train_batch_size=NUM_QUERIES,
            learning_rate=LR,
            lr_scheduler_type="constant",
            max_grad_norm=CLIP,
            batch_sampler=lambda dataset, **given: DefaultBatchSampler(SequentialSampler(dataset), **given),
            use_cpu=device == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(
            {name: list(column) for name, column in zip(names, zip(*rows), strict=True)}
        ),
        loss=Loss(model, scale=1 / TEMPERATURE),
        callbacks=[Clock()],
    ).train()
    seconds = (end - start for start, end in zip(starts, ends))
    return list(zip(seconds, map(float, losses), strict=True))


def now(device: str) -> float:
    """Seconds: of this processor's work on a CPU with one thread, else of the clock, with the device idle."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


def _arrays(token_lists: list[list[int]]) -> list[np.ndarray]:
    return [np.array(tokens, dtype=np.int32) for tokens in token_lists]
