"""`conan-train sft`: from a language model and examples to one that answers.

Examples are encoded once, by the main process, into arrays beside the checkpoints; what does not fit into a
row is counted by its reason, never cut.
"""

import logging
import math
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conan_data import artifact, sources
from conan_data.corpus import tokenizer as tokenizer_files
from conan_data.errors import UserError
from conan_data.pairs.rows import pair_inputs
from conan_data.plain_text import Tally
from conan_data.progress import progress
from conan_data.readers.account import Account
from conan_data.sealed import read_mark, read_sealed, write_mark
from conan_train.model.tokenization import load_tokenizer
from conan_train.pretrain.held_out import MOST, choose_held_out
from conan_train.pretrain.losses import batch_losses
from conan_train.pretrain.objective import Grouping
from conan_train.pretrain.packing import stack
from conan_train.pretrain.stage import Measured, Stage, run_stage
from conan_train.sft.chat import Chat
from conan_train.sft.config import SftConfig
from conan_train.sft.examples import Example, read_examples
from conan_train.sft.packing import EncodedExamples, ExampleRows, best_fit, join

log = logging.getLogger(__name__)
BATCH = 512
_META = "examples.json"
ARRAYS = ("ids", "starts", "prompts", "places", "languages", "sources", "output_bytes")


def sft(config: SftConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes a language model; returns its directory."""

    def inputs() -> list[str | Path]:
        files = sources.expand(list(config.data)) if config.data else []
        return [*files, *pair_inputs(config.pairs)]

    def write(folder: Path, work: Path) -> list[str]:
        return [str(write_examples(config, folder, work / "examples"))]

    def read(folder: Path, data: list[str]) -> SftData:
        return SftData(config, Path(data[0]), folder)

    return run_stage(config, Stage("sft", inputs, write, read))


class SftData:
    """Encoded examples as rows, less those that are held out."""

    def __init__(self, config: SftConfig, written: Path, folder: Path) -> None:
        self.config = config
        meta = read_sealed(written / _META)
        arrays = {name: np.load(written / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        self.tally = Tally(read=meta["read"], account=Account.from_json(meta["account"]))
        self.tally.dropped.update(meta["dropped"])
        self.languages, self.sources = arrays["languages"], arrays["sources"]
        self.names, self.source_names = meta["languages"], meta["sources"]
        self.places, self.output_bytes = arrays["places"], arrays["output_bytes"]
        self.examples = EncodedExamples(arrays["ids"], arrays["starts"], arrays["prompts"])
        self.held_out = choose_held_out(self.places, self.languages, self.sources, share=config.held_out)
        tokenizer = load_tokenizer(folder)
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        chosen = np.flatnonzero(~self.held_out)
        self.rows = ExampleRows(
            self.examples, chosen, length=config.sequence_length, seed=config.seed, pad_id=self.pad_id
        )
        if not self.rows.per_epoch:
            raise UserError("data: all examples are held out; give more of them")
        self.groupings = [
            Grouping(field, np.asarray(of), names)
            for field, of, names in (
                ("loss_by_language", self.languages, self.names),
                ("loss_by_source", self.sources, self.source_names),
            )
            if len(names) > 1
        ]

    def measure(self, model: torch.nn.Module) -> Measured:
        was_training = model.training
        model.eval()
        found = {
            name: self._measure_one(model, members)
            for number, name in enumerate(self.source_names)
            if len(members := np.flatnonzero(self.held_out & (self.sources == number)))
        }
        model.train(was_training)
        return found

    @torch.no_grad()
    def _measure_one(self, model: torch.nn.Module, members: np.ndarray) -> dict[str, float]:
        """Loss of the outputs of `members`, in rows like those of training."""
        members = members[np.argsort(self.places[members], kind="stable")[:MOST]]
        length, size = self.config.sequence_length, self.config.micro_batch_rows
        bins = best_fit(self.examples.lengths, members, length=length)
        device = next(model.parameters()).device
        loss, num_labels = 0.0, 0
        for first in range(0, len(bins), size):
            rows = [
                join(self.examples, numbers, length=length, pad_id=self.pad_id)
                for numbers in bins[first : first + size]
            ]
            batch = stack(rows)
            loss += float(batch_losses(model, batch, device).total.double())
            num_labels += batch.num_labels
        return {
            "examples": len(members),
            "loss_per_token": loss / num_labels,
            "perplexity_per_token": math.exp(min(loss / num_labels, 700)),
            "bits_per_byte": loss / math.log(2) / max(int(self.output_bytes[members].sum()), 1),
        }

    def describe(self, measured: Measured, before: Measured) -> None:
        for name, row in measured.items():
            log.info(
                "%s: held-out answers, %.3f bits a byte (before %.3f)",
                *(name, row["bits_per_byte"], before[name]["bits_per_byte"]),
            )

    def account(self, num_rows: int) -> dict[str, Any]:
        tokens = int(self.examples.lengths[~self.held_out].sum())
        filled = tokens / (self.rows.per_epoch * self.config.sequence_length)
        log.info(
            "%s examples in %s rows, %.1f%% of them filled",
            f"{int((~self.held_out).sum()):,}",
            f"{self.rows.per_epoch:,}",
            100 * filled,
        )
        return {"epochs": num_rows / self.rows.per_epoch, "filled": filled, **self.tally.account.to_json()}

    def counts(self) -> artifact.Rows:
        dropped = {**self.tally.dropped, "held-out": int(self.held_out.sum())}
        return artifact.Rows(read=self.tally.read, kept=int((~self.held_out).sum()), dropped=dropped)


def write_examples(config: SftConfig, model: Path, folder: Path) -> Path:
    """Encodes all examples into `folder`; what is there is used again where it is whole."""
    if read_mark(folder / _META) is not None:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    chat, tally = Chat.of(tokenizer_files.load(model / tokenizer_files.FILE)), Tally()
    columns: dict[str, list[Any]] = {name: [] for name in ARRAYS if name not in ("ids", "starts")}
    languages: dict[str, int] = {}
    names: dict[str, int] = {}
    lengths: list[int] = []
    with open(partial / "ids.raw", "wb") as file:
        for example, prompt, output in _fitting(config, chat, tally):
            file.write(np.asarray([*prompt, *output], dtype=np.uint32).tobytes())
            lengths.append(len(prompt) + len(output))
            columns["prompts"].append(len(prompt))
            columns["places"].append(example.place)
            columns["languages"].append(languages.setdefault(example.lang, len(languages)))
            columns["sources"].append(names.setdefault(example.source, len(names)))
            columns["output_bytes"].append(len(example.output.encode()))
    if not lengths:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common(3))
        raise UserError(
            f"data: no usable example ({reasons or 'no rows'}){tally.account.found()}; rows need 'instruction' or 'input', and 'output',"
            " or 'messages' of role and content, or 'conversations' of from and value"
        )
    tally.account.say()
    ids = np.memmap(partial / "ids.raw", dtype=np.uint32, mode="r")
    np.save(partial / "ids.npy", ids)
    del ids
    (partial / "ids.raw").unlink()
    np.save(partial / "starts.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    for name, values in columns.items():
        np.save(partial / f"{name}.npy", np.asarray(values, np.float64 if name == "places" else np.int64))
    meta = {
        "read": tally.read,
        "dropped": tally.dropped,
        "account": tally.account.to_json(),
        "languages": list(languages),
        "sources": list(names),
    }
    write_mark(partial / _META, sorted(partial.iterdir()), meta)
    partial.rename(folder)
    return folder


def _fitting(config: SftConfig, chat: Chat, tally: Tally) -> Iterator[tuple[Example, list[int], list[int]]]:
    """Examples with the tokens of prompt and output, as far as they fit into a row."""
    examples = progress(read_examples(config, tally), "encoding", unit="example")
    while batch := list(islice(examples, BATCH)):
        for example, (prompt, output) in zip(batch, chat.render(batch), strict=True):
            if len(output) > config.sequence_length:
                tally.dropped["output-too-long"] += 1
            elif len(prompt) + len(output) > config.sequence_length:
                tally.dropped["prompt-and-output-too-long"] += 1
            else:
                yield example, prompt, output
