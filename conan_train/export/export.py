"""Writes a trained model as a folder that the world can load, and refuses to publish one that is not the
model that was trained.

Only a model whose mask has arrived at bidirectional has a plain form: the masks before that exist in no other
tool, and a folder saved on the way would silently load as something else.
"""

import dataclasses
from pathlib import Path

import torch

from conan_data import artifact, checkpoint_names
from conan_data.errors import UserError
from conan_data.models.checkpoint import job_of
from conan_data.models.locate import EMBEDDER, find_model
from conan_train.export.card import model_card
from conan_train.export.config import ExportConfig
from conan_train.export.folder import write_contract_file, write_folder
from conan_train.export.golden import TEXTS, golden_record, golden_vectors
from conan_train.export.selftest import check_folder
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder
from conan_train.model.opening import open_embedder

KIND = "sentence-transformers"


def export(config: ExportConfig) -> Path:
    """Writes an artifact of kind "sentence-transformers", its rows being the golden texts.

    Raises `UserError` for a model that is no embedder, has no plain form, or does not give the same vectors
    after loading.
    """
    checkpoint = checkpoint_names.parse(config.model)
    trained = (
        job_of(checkpoint) if checkpoint else artifact.open_artifact(config.model, kind=EMBEDDER).manifest
    )
    if trained["kind"] != EMBEDDER:
        raise UserError(f"{config.model}: holds a {trained['kind']}, not an {EMBEDDER}")
    folder = find_model(config.model).folder
    with artifact.building(config, kind=KIND, command="conan-train export", inputs=[config.model]) as build:
        if build.done:
            return build.out
        embedder, tokenizer = open_embedder(folder)
        _check(embedder, config)
        write_folder(embedder, tokenizer, build.dir, work=build.work)
        # In float32, whatever the weights are stored in: the comparison is about the model, not about
        # rounding.
        golden_ND = golden_vectors(CheckpointEncoder(Embedder.load(folder, dtype=torch.float32), tokenizer))
        check_folder(build.dir, golden_ND)
        write_contract_file(embedder, build.dir, golden=golden_record(golden_ND), dims=config.dims)
        name = config.name or build.out.name
        facts = {
            "dimension": embedder.dimension,
            "num_parameters": sum(parameter.numel() for parameter in embedder.parameters()),
        }
        step = checkpoint.step if checkpoint else None
        card = model_card(name, config, embedder.contract, trained=trained, step=step, **facts)
        (build.dir / "README.md").write_text(card, encoding="utf-8")
        extra = {
            **facts,
            "name": name,
            "contract": dataclasses.asdict(embedder.contract),
            "dims": sorted(config.dims, reverse=True),
        }
        return build.publish(rows=artifact.Rows(read=len(TEXTS), kept=len(TEXTS)), extra=extra)


def _check(embedder: Embedder, config: ExportConfig) -> None:
    if embedder.mask.alpha != 1:
        raise UserError(
            f"model: {config.model} is at alpha {embedder.mask.alpha:g} of its soft mask, and only alpha 1 (bidirectional) has a plain "
            "form; train it until the mask's schedule ends, or shorten the schedule"
        )
    if too_large := [size for size in config.dims if size >= embedder.dimension]:
        raise UserError(
            f"dims: must be smaller than the model's {embedder.dimension} dimensions, got {too_large[0]}"
        )
