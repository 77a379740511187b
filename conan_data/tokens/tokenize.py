"""`conan-data tokenize`: a corpus becomes token ids once, in parallel, for every training that reads it.

An interrupted run goes on with the parts that it has not done, with any number of workers. The artifact has
the kind `tokens`; what lies in it is said in `shards`.
"""

import logging
import os
import shutil
from collections import Counter
from pathlib import Path

from conan_data import artifact, plain_text
from conan_data.errors import UserError
from conan_data.pairs.rows import pair_inputs
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.shards import Index, write_shards
from conan_data.tokens.tokenizer import read_vocabulary

log = logging.getLogger(__name__)
KIND = "tokens"


def tokenize(config: TokenizeConfig) -> Path:
    """Tokenises and publishes; returns the artifact's directory.

    Raises `UserError` for inputs that are not there and when not one document can be used; `UnfinishedError`
    when a worker was killed.
    """
    vocabulary = read_vocabulary(config.tokenizer)
    inputs: list[str | Path] = [
        config.tokenizer if artifact.is_artifact(config.tokenizer) else vocabulary.file,
        *(plain_text.inputs(config.corpus) if config.corpus else []),
        *pair_inputs(config.pairs),
    ]
    with artifact.building(
        config, kind=KIND, command="conan-data tokenize", inputs=inputs, resume=True
    ) as build:
        if build.done:
            return build.out
        # Beside the scratch, so that parts stay when the run ends early.
        work = build.dir / "parts"
        work.mkdir(exist_ok=True)
        index = write_shards(config, vocabulary, build.dir, work, workers=config.workers)
        if not index.shards:
            reasons = ", ".join(f"{reason} {count}" for reason, count in index.tally.dropped.most_common(3))
            raise UserError(f"corpus: no usable document ({reasons or 'no rows'}); documents need a 'text'")
        shutil.rmtree(build.work / "parts", ignore_errors=True)
        os.rename(work, build.work / "parts")
        rows = artifact.Rows(index.tally.read, index.tally.kept, index.tally.dropped)
        return build.publish(rows=rows, extra=summary(index))


def summary(index: Index) -> dict[str, object]:
    """What the manifest says of the shards."""
    by_source, by_language = Counter[str](), Counter[str]()
    for shard in index.shards:
        by_source[shard.source] += shard.tokens
        by_language[shard.language] += shard.tokens
    log.info(
        "%s tokens of %d sources and %d languages",
        f"{by_source.total():,}",
        len(by_source),
        len(by_language),
    )
    return {
        "tokenizer": {"fingerprint": index.fingerprint, "eos_id": index.eos_id, "size": index.vocab_size},
        "tokens": by_source.total(),
        "tokens_by_source": dict(sorted(by_source.items())),
        "tokens_by_language": dict(sorted(by_language.items())),
        **index.tally.account.to_json(),
    }
