"""`conan-train finetune`: from a decoder and a retrieval set to an embedding model, published with the log
and the negatives it was trained on.
"""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerFast

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.arrays import retrieval_arrays
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_data.sources import resolve
from conan_train.device import make_accelerator
from conan_train.finetune.batch import Batcher
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.objective import RetrievalObjective
from conan_train.model.contract import FILE, EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.folder import model_folder, model_input
from conan_train.model.softmask import alpha_at
from conan_train.model.tokenization import load_tokenizer
from conan_train.training.loop import Loop
from conan_train.training.parallel import distribute

KIND = "embedder"


def finetune(config: FinetuneConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes `model/`, `negatives/` and the log; returns
    the artifact's directory.
    """
    data_path = resolve(config.data, "retrieval")
    inputs = [model_input(config.model), data_path, *([config.negatives] if config.negatives else [])]
    with artifact.building(
        config, kind=KIND, command="conan-train finetune", inputs=inputs, resume=True
    ) as build:
        if build.done:
            return build.out
        base = _open_model(config)
        data = read_retrieval(config.data, config.split, group_regex=config.group_regex)
        set_seed(config.seed)
        accelerator = make_accelerator(config.device, config.precision)
        if accelerator.num_processes > 1:
            raise UserError(
                f"finetune runs in one process, not in {accelerator.num_processes}; start it without torchrun"
            )
        batcher = Batcher(
            data=data,
            arrays=retrieval_arrays(data),
            tokenizer=base.tokenizer,
            contract=base.embedder.contract,
            same_language=config.same_language,
            seed=config.seed,
        )
        objective = RetrievalObjective(
            config,
            model=distribute(base.embedder, accelerator, parallel=config.parallel),
            batcher=batcher,
            accelerator=accelerator,
            directory=build.dir,
        )
        loop = Loop(
            config,
            objective,
            model=base.embedder,
            accelerator=accelerator,
            num_steps=config.steps,
            directory=build.dir,
        )
        loop.resume()
        loop.train("fine-tuning")
        base.embedder.mask.alpha = alpha_at(config.steps, config.soft_mask_steps)
        base.embedder.save(build.dir / "model", tokenizer=base.tokenizer)
        shutil.rmtree(build.dir / "checkpoints", ignore_errors=True)
        return build.publish(rows=_rows(data), extra=_account(objective))


@dataclass(frozen=True)
class _Base:
    embedder: Embedder
    tokenizer: PreTrainedTokenizerFast


def _open_model(config: FinetuneConfig) -> _Base:
    """The decoder under its soft mask, on the device, after it was shown that the mask does what it says on
    this family of models.
    """
    folder = model_folder(config.model)
    tokenizer = load_tokenizer(folder)
    contract = EncodingContract(
        max_length=config.max_length, query_prompt=config.query_prompt, document_prompt=config.document_prompt
    )
    embedder = Embedder.from_language_model(
        folder, contract, alpha=alpha_at(0, config.soft_mask_steps), dtype=torch.float32
    )
    limit = getattr(embedder.backbone.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and config.max_length > limit:
        raise UserError(
            f"max_length: {config.max_length} is more than the {limit} positions of {config.model}"
        )
    if (folder / FILE).is_file():
        alpha = json.loads((folder / FILE).read_text(encoding="utf-8"))["alpha"]
        if config.soft_mask_steps and alpha > 0:
            raise UserError(
                f"soft_mask_steps: {config.model} was trained to alpha {alpha} already; use 0 to stay bidirectional"
            )
    check_directions(embedder.backbone, embedder.mask)
    return _Base(embedder, tokenizer)


def _rows(data: RetrievalSplit) -> artifact.Rows:
    """Queries of the split, by what became of them."""
    kept = data.queries.num_rows
    refused = Counter(row.reason for row in data.broken)
    num_refused = data.num_query_rows - kept
    return artifact.Rows(
        read=data.num_query_rows,
        kept=kept,
        dropped={"refused-by-reader": num_refused} if refused and num_refused else {},
    )


def _account(objective: RetrievalObjective) -> dict[str, object]:
    """What the run did, for the manifest; times are in the log, for they differ between runs of the same job."""
    return {
        "steps": objective.config.steps,
        "documents": objective.data.corpus.num_rows,
        "refreshes": objective.num_refreshes,
        "generation": objective.generation.name,
        "parameters": sum(parameter.numel() for parameter in objective.embedder.parameters()),
    }
