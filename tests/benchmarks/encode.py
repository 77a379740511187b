"""Encoding a corpus: our checkpoint encoder against `SentenceTransformer.encode` of the same model, exported.

Both take the same texts, on the same device and threads, and tokenise them themselves; sentence-transformers
sorts by length already and takes 32 texts at a time, its default. The vectors of both must be equal. Where
sentence-transformers is missing, its loop stands here in a few lines (`plain_loop`). Three laws of length:
questions, passages, and a mix with a long tail.

    python -m tests.benchmarks.encode
    python -m tests.benchmarks.encode --device cuda --dtype bfloat16 --preset 150m --texts 20000

Figures: `ratio_st`, the smallest ratio of the three laws, each law's, and `ratio_wrapped`: any
sentence-transformers model through our `Encoder` against its own `encode`, the smallest again.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from conan_data.public_names import SAMPLE_DIR

ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Without it the time on a CPU is that of the page faults of large allocations; for all sides alike."""
MAX_LENGTH = 512
TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2}
HAS_ST = importlib.util.find_spec("sentence_transformers") is not None


def main() -> None:
    arguments = parse()
    if any(name not in os.environ for name in ALLOCATOR):
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.benchmarks.encode", *sys.argv[1:]],
            {**os.environ, **ALLOCATOR},
        )
    import torch

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as work:
        sides = make_sides(Path(work), arguments)
        words = sample_words()
        ratios: dict[str, dict[str, float]] = {}
        print(f"{'law':10} {'texts':>7} {'tokens/s':>9}  " + "  ".join(f"{name:>8}" for name in sides))
        for law, lengths in laws(arguments.texts, arguments.seed).items():
            texts = make_texts(words, lengths, seed=arguments.seed)
            seconds = measure(sides, texts, runs=arguments.runs, tolerance=TOLERANCE[arguments.dtype])
            ratios[law] = {name: seconds["peer"] / seconds[name] for name in sides}
            speed = lengths.sum() / seconds["ours"]
            shown = "  ".join(f"{ratio:8.2f}" for ratio in ratios[law].values())
            print(f"{law:10} {len(texts):7} {speed:9.0f}  {shown}", flush=True)
    figures = {"ratio_st": min(law["ours"] for law in ratios.values())}
    figures |= {f"ratio_{name}": law["ours"] for name, law in ratios.items()}
    if "wrapped" in sides:
        figures["ratio_wrapped"] = min(law["wrapped"] for law in ratios.values())
    settings = {
        "peer": "sentence-transformers" if HAS_ST else "plain loop",
        **{name: getattr(arguments, name) for name in ("device", "dtype", "preset", "threads", "texts")},
    }
    print(json.dumps({**{name: round(value, 3) for name, value in figures.items()}, **settings}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.encode")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), default="float32")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--texts", type=int, default=400, help="passages; questions are four times as many")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def laws(num_texts: int, seed: int) -> dict[str, np.ndarray]:
    """Words of each text."""
    rng = np.random.default_rng(seed)
    return {
        "questions": rng.integers(4, 24, 4 * num_texts),
        "passages": np.clip(rng.lognormal(np.log(70), 0.5, num_texts), 5, 400).astype(int),
        "tail": np.clip(rng.lognormal(np.log(40), 1.1, num_texts), 2, 400).astype(int),
    }


def sample_words() -> list[str]:
    """Of the texts that come with the package, in several languages; read without our readers, which a GPU
    machine may lack the packages for.
    """
    lines = (SAMPLE_DIR / "retrieval" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return " ".join(json.loads(line)["text"] for line in lines).split()


def make_texts(words: list[str], lengths: np.ndarray, *, seed: int) -> list[str]:
    """Distinct for all that matters: the words of each are drawn anew."""
    rng = np.random.default_rng(seed)
    return [" ".join(words[place] for place in rng.integers(0, len(words), length)) for length in lengths]


def measure(sides: dict[str, Callable], texts: list[str], *, runs: int, tolerance: float) -> dict[str, float]:
    """Median seconds of each side over interleaved runs, after one that is not counted and is compared."""
    first = {name: side(texts) for name, side in sides.items()}
    for name, vectors in first.items():
        difference = float(np.abs(vectors - first["peer"]).max())
        assert difference <= tolerance, f"{name} is {difference:.2g} away from the peer"
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs):
        order = list(sides) if run % 2 == 0 else list(sides)[::-1]
        for name in order:
            start = time.perf_counter()
            sides[name](texts)
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def make_sides(work: Path, arguments: argparse.Namespace) -> dict[str, Callable]:
    import torch
    from transformers import LlamaModel

    from conan_train.model.contract import EncodingContract
    from conan_train.model.embedder import Embedder
    from conan_train.model.encoder import load_checkpoint
    from conan_train.model.presets import llama_config

    tokenizer = make_tokenizer()
    torch.manual_seed(arguments.seed)
    config = llama_config(
        arguments.preset,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = LlamaModel(config).to(getattr(torch, arguments.dtype))
    embedder = Embedder(model, EncodingContract(max_length=MAX_LENGTH), alpha=1.0)
    embedder.backbone.config.is_causal = False
    embedder.save(work / "checkpoint", tokenizer=tokenizer)
    ours = load_checkpoint(work / "checkpoint", device=arguments.device)
    if not HAS_ST:
        peer = plain_loop(work / "checkpoint", arguments.device)
        return {"peer": peer, "ours": lambda texts: ours.encode(texts, kind="document")}
    from sentence_transformers import SentenceTransformer

    from conan_data.mining.sentence_transformer import load_sentence_transformer
    from conan_train.export.folder import write_folder

    write_folder(embedder, tokenizer, work / "exported", work=work / "scratch")
    options = {"model_kwargs": {"dtype": getattr(torch, arguments.dtype)}}
    exported = SentenceTransformer(str(work / "exported"), device=arguments.device, **options)
    wrapped = load_sentence_transformer(
        str(work / "exported"),
        max_length=None,
        batch_tokens=16384,
        device=arguments.device,
        prompts={},
        dtype=arguments.dtype,
    )
    return {
        "peer": lambda texts: exported.encode(texts, show_progress_bar=False),
        "ours": lambda texts: ours.encode(texts, kind="document"),
        "wrapped": lambda texts: wrapped.encode(texts, kind="document"),
    }


def make_tokenizer():
    """A byte-level BPE of 8,000 words on the sample that comes with the package."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample_words(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


def plain_loop(folder: Path, device: str) -> Callable:
    """What sentence-transformers does: sort by length, 32 texts a batch, pad, stock model, mean, length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype="auto", attn_implementation="sdpa").to(device).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> np.ndarray:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts = []
        for start in range(0, len(texts), 32):
            batch = tokenizer(
                [texts[row] for row in order[start : start + 32]],
                padding=True,
                truncation=True,
                max_length=MAX_LENGTH,
                return_tensors="pt",
            ).to(device)
            states = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            parts.append(torch.nn.functional.normalize(mean, dim=1).float().cpu())
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        vectors[order] = torch.cat(parts).numpy()
        return vectors

    return encode


if __name__ == "__main__":
    main()
