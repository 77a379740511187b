"""`conan-data export-negatives`: our table of negatives in the formats of other trainers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from conan_data import artifact
from conan_data.artifact import Build
from conan_data.mining.mine import KIND as NEGATIVES
from conan_data.mining.mine import NEGATIVES_FILE
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_data.sources import resolve
from conan_data.training_files.config import ExportNegativesConfig
from conan_data.training_files.examples import Example, read_examples
from conan_data.training_files.write import (
    copy_negatives,
    write_beir,
    write_columns,
    write_flag,
    write_triplets,
)

KIND = "training-files"
_FILES = {"columns": "train.parquet", "triplets": "train.parquet", "flag": "train.jsonl"}


def export_negatives(config: ExportNegativesConfig) -> Path:
    """Writes an artifact of kind "training-files", or of kind "negatives" for BEIR, which our commands read as
    both set and negatives. Raises `UserError` for negatives of another set.
    """
    inputs = [config.negatives, *([resolve(config.data, "retrieval")] if config.data else [])]
    kind = NEGATIVES if config.format == "beir" else KIND
    with artifact.building(config, kind=kind, command="conan-data export-negatives", inputs=inputs) as build:
        if build.done:
            return build.out
        source = artifact.open_artifact(config.negatives, kind=NEGATIVES).dir / NEGATIVES_FILE
        data = read_retrieval(config.data or config.negatives, config.split)
        if config.format == "beir":
            write_beir(build.dir, data, split=config.split)
            num_rows = copy_negatives(source, build.dir / NEGATIVES_FILE)
            return build.publish(rows=artifact.Rows(read=num_rows, kept=num_rows))
        return _export(config, build, source, data)


def _export(config: ExportNegativesConfig, build: Build, source: Path, data: RetrievalSplit) -> Path:
    name = _FILES[config.format]
    examples: Iterator[Example] = read_examples(source, data, num_negatives=config.num_negatives)
    counts: Counter[str]
    if config.format == "columns":
        counts = write_columns(
            build.dir / name,
            examples,
            num_negatives=config.num_negatives,
            every_positive=config.every_positive,
        )
    elif config.format == "triplets":
        counts = write_triplets(build.dir / name, examples, every_positive=config.every_positive)
    else:
        counts = write_flag(build.dir / name, examples)
    front = {"configs": [{"config_name": "default", "data_files": [{"split": config.split, "path": name}]}]}
    (build.dir / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n", encoding="utf-8")
    few = counts["too-few-negatives"]
    return build.publish(
        rows=artifact.Rows(
            read=counts["kept"] + few,
            kept=counts["kept"],
            dropped={"too-few-negatives": few} if few else {},
        ),
        extra={"written": counts["written"], "without_scores": counts["without-scores"]},
    )
