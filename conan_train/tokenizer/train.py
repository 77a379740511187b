"""`conan-train tokenizer`: from a corpus to a tokenizer that every library loads.

The same corpus and config give the same bytes: documents are chosen by their hashes, and the trainer breaks
ties by token id. The corpus is read twice (once to count its languages) and never held in memory. What is
held are the distinct words of the sample, so memory is bounded by `sample_characters` (about 1.1 GB for
200 million characters of ten languages), however large the corpus is.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import pre_tokenizers, trainers

from conan_data import artifact
from conan_data.corpus.tokenizer import load
from conan_data.errors import UserError
from conan_data.progress import progress
from conan_train import corpus
from conan_train.tokenizer import bytelevel, fertility, sampling
from conan_train.tokenizer.baseline import baseline_file
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.specials import SPECIALS

log = logging.getLogger(__name__)

FERTILITY, VOCABULARY = "fertility.json", "vocabulary.json"


@dataclass
class Sample:
    """The documents to train on, in order; says afterwards which they were."""

    config: TokenizerConfig
    quotas: dict[str, int]
    characters: Counter[str]
    tally: corpus.Tally = field(default_factory=corpus.Tally)
    taken: Counter[str] = field(default_factory=Counter)
    held_out: fertility.Texts = field(default_factory=fertility.Texts)
    trained_on: fertility.Texts = field(default_factory=fertility.Texts)

    def __iter__(self) -> Iterator[str]:
        shift = corpus.hash_place(str(self.config.seed))
        for document in corpus.documents(self.config.corpus, self.tally):
            lang = document.lang
            if document.place < sampling.HELD_OUT:
                self.held_out.add(lang, document.text)
                self.tally.dropped["held-out"] += 1
            elif self._full(lang) or not sampling.chosen(document.place, self._share(lang), shift=shift):
                self.tally.dropped["not-sampled"] += 1
            else:
                self.taken[lang] += len(document.text)
                self.trained_on.add(lang, document.text)
                yield document.text

    def _share(self, lang: str) -> float:
        return self.quotas[lang] / self.characters[lang]

    def _full(self, lang: str) -> bool:
        return self.taken[lang] >= self.quotas[lang]


def train_tokenizer(config: TokenizerConfig) -> Path:
    """Trains and publishes an artifact of kind `tokenizer`: `tokenizer.json`, `tokenizer_config.json`,
    `fertility.json` (by language), `vocabulary.json`.
    """
    baseline = baseline_file(config.baseline) if config.baseline else None
    inputs = [*corpus.inputs(config.corpus), *([baseline] if baseline else [])]
    with artifact.building(config, kind="tokenizer", command="conan-train tokenizer", inputs=inputs) as build:
        if build.done:
            return build.out
        characters = _count_characters(config)
        quotas = sampling.quotas(characters, total=config.sample_characters, exponent=config.balance)
        sample = Sample(config, quotas, characters)
        tokenizer = bytelevel.untrained()
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocab_size,
            min_frequency=config.min_frequency,
            max_token_length=config.max_token_bytes,
            special_tokens=list(SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(progress(sample, "reading the sample", unit="document"), trainer)
        if not sample.taken:
            raise UserError(
                f"sample_characters: too few to choose even one document of the corpus, got {config.sample_characters}"
            )
        bytelevel.finish(tokenizer)
        size = tokenizer.get_vocab_size()
        if size < config.vocab_size:
            log.warning(
                "the sample has pairs for %s tokens only, not %s; give more text or a lower min_frequency",
                f"{size:,}",
                f"{config.vocab_size:,}",
            )
        tokenizer.save(str(build.dir / "tokenizer.json"))
        _write_json(build.dir / "tokenizer_config.json", bytelevel.settings())
        report = fertility.measure(
            tokenizer,
            sample.held_out,
            sample.trained_on,
            baseline=load(baseline, field="baseline") if baseline else None,
        )
        _write_json(build.dir / FERTILITY, report.languages)
        _write_json(build.dir / VOCABULARY, report.vocabulary)
        for lang, row in report.languages.items():
            log.info("%s, %s characters trained on", fertility.describe(lang, row), f"{sample.taken[lang]:,}")
        rows = artifact.Rows(read=sample.tally.read, kept=sample.tally.kept, dropped=sample.tally.dropped)
        return build.publish(
            rows=rows, extra={"vocab_size": size, "sample_characters": dict(sorted(sample.taken.items()))}
        )


def _count_characters(config: TokenizerConfig) -> Counter[str]:
    """Characters of each language that may be trained on."""
    tally, characters = corpus.Tally(), Counter[str]()
    for document in progress(corpus.documents(config.corpus, tally), "counting languages", unit="document"):
        if document.place >= sampling.HELD_OUT:
            characters[document.lang] += len(document.text)
    corpus.require_some(tally, config.corpus)
    return characters


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
