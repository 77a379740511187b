"""`conan-train pretrain`: from a model and a corpus to a language model, with its log and what it predicts of
documents that it never saw.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.rows import pair_inputs
from conan_data.tokens.tokenizer import read_vocabulary
from conan_train import corpus
from conan_train.model.tokenization import load_tokenizer
from conan_train.pretrain import mixture
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.held_out import choose_held_out, measure
from conan_train.pretrain.objective import Grouping
from conan_train.pretrain.stage import Measured, Stage, run_stage
from conan_train.pretrain.tokens import Tokens, check_tokens, read_tokens, split_inputs, tokenize

log = logging.getLogger(__name__)
BY_SOURCE = "by source"
"""Key of the measurements by source; the others are languages."""


def pretrain(config: PretrainConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes; returns the artifact's directory."""

    def inputs() -> list[str | Path]:
        made, others = split_inputs(config.corpus)
        plain = corpus.inputs(others) if others else []
        return [*made, *plain, *pair_inputs(config.pairs)]

    def write(folder: Path, work: Path) -> list[str]:
        return _write(config, folder, work)

    def read(folder: Path, data: list[str]) -> PretrainData:
        return PretrainData(config, read_tokens([Path(path) for path in data]), folder)

    return run_stage(config, Stage("pretrain", inputs, write, read))


class PretrainData:
    """Documents as packed rows, less those that are held out."""

    def __init__(self, config: PretrainConfig, tokens: Tokens, folder: Path) -> None:
        self.config, self.tokens = config, tokens
        self.tokenizer: Tokenizer = load_tokenizer(folder).backend_tokenizer
        self.held_out = choose_held_out(
            tokens.places, tokens.languages, tokens.sources, share=config.held_out
        )
        documents = np.flatnonzero(~self.held_out)
        self.strata = mixture.make_strata(
            tokens, documents, by_source=config.mixture, by_language=config.language_mixture
        )
        self.rows = mixture.make_rows(tokens, self.strata, length=config.sequence_length, seed=config.seed)
        if not self.rows.per_epoch:
            raise UserError(
                f"corpus: {int(tokens.starts[-1]):,} tokens in all are too few for one row of {config.sequence_length}; "
                "lower sequence_length"
            )
        self.used = np.zeros(len(tokens.places), dtype=bool)
        for stratum in self.strata:
            self.used[stratum.documents] = True
        self.groupings = [
            Grouping(field, of, names)
            for field, of, names in (
                ("loss_by_language", tokens.languages, tokens.names),
                ("loss_by_source", tokens.sources, tokens.source_names),
            )
            if len(names) > 1
        ]

    def measure(self, model: torch.nn.Module) -> Measured:
        tokens = self.tokens
        found: Measured = self._measure(model, tokens.languages, tokens.names)
        if len(tokens.source_names) > 1:
            found[BY_SOURCE] = self._measure(model, tokens.sources, tokens.source_names)
        return found

    def _measure(
        self, model: torch.nn.Module, groups: np.ndarray, names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        return measure(
            model,
            self.tokens,
            self.held_out,
            self.tokenizer,
            groups=groups,
            names=names,
            length=self.config.sequence_length,
            batch_rows=self.config.micro_batch_rows,
        )

    def describe(self, measured: Measured, before: Measured) -> None:
        for name, row, was in _pairs(measured, before):
            log.info(
                "%s: held out, %.3f bits a byte (before %.3f), perplexity a character %.3f (before %.3f)",
                *(name, row["bits_per_byte"], was["bits_per_byte"]),
                *(row["perplexity_per_character"], was["perplexity_per_character"]),
            )

    def account(self, num_rows: int) -> dict[str, Any]:
        found = mixture.account(self.rows, self.strata, self.tokens, num_rows)
        mixture.report(found)
        return {"sources": found, **self.tokens.tally.account.to_json()}

    def counts(self) -> artifact.Rows:
        left_out = int((~self.held_out & ~self.used).sum())
        dropped = {**self.tokens.tally.dropped, "held-out": int(self.held_out.sum())}
        return artifact.Rows(
            read=self.tokens.tally.read,
            kept=int(self.used.sum()),
            dropped=dropped | ({"weight-0": left_out} if left_out else {}),
        )


def _pairs(measured: Measured, before: Measured) -> list[tuple[str, dict[str, float], dict[str, float]]]:
    """Name, new and old measurement of every language and source."""
    found = [(name, row, before[name]) for name, row in measured.items() if name != BY_SOURCE]
    found += [
        (f"source {name}", row, before[BY_SOURCE][name]) for name, row in measured.get(BY_SOURCE, {}).items()
    ]
    return found


def _write(config: PretrainConfig, folder: Path, work: Path) -> list[str]:
    """The folders of all tokens: artifacts as they are, and what is tokenised here."""
    vocabulary = read_vocabulary(str(folder), eos_id=load_tokenizer(folder).eos_token_id)
    made, others = split_inputs(config.corpus)
    folders = [check_tokens(path, vocabulary, model=config.model) for path in made]
    if others or config.pairs:
        here = tokenize(
            others, work / "tokens", vocabulary, pairs=config.pairs, workers=config.tokenize_workers
        )
        corpus.require_some(read_tokens([here]).tally, [*others, *config.pairs])
        folders.append(here)
    return [str(path) for path in folders]
