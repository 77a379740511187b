import dataclasses
import os
from pathlib import Path

import pytest

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import Pass, working_directory
from conan_data.corpus.pipeline import pipeline
from conan_data.errors import UserError
from tests.conan_data.corpus.execution.touch import touch_pass


def test_a_pass_comes_back_from_its_description(tmp_path: Path) -> None:
    stage = Pass(
        name="filter",
        tasks=7,
        steps=pipeline,
        config=BuildCorpusConfig(
            out=tmp_path / "with space",
            input=("a b.jsonl", "中.jsonl"),
            languages=("no", "zh"),
            group_field="metadata.passage",
            dedup=DedupConfig(ngram=4),
            executor=ExecutorConfig(kind="slurm", sbatch_args=("--account=a", "--comment=x y"), setup="a\nb"),
        ),
        arguments={"files": ["a b.jsonl", "中.jsonl"], "folder": str(tmp_path)},
    )
    found = Pass.from_json(stage.to_json())
    assert found == stage
    assert [type(step) for step in found.build()] == [type(step) for step in stage.build()]
    assert working_directory(stage.to_json()) == Path(os.getcwd())


def test_a_pass_that_cannot_be_described_is_refused(tmp_path: Path) -> None:
    def local_steps(config: BuildCorpusConfig) -> list[object]:
        return []

    with pytest.raises(AttributeError):
        dataclasses.replace(touch_pass(tmp_path), steps=local_steps).to_json()


def test_where_it_runs_is_no_part_of_the_job() -> None:
    from conan_data.config import identity_hash

    config = BuildCorpusConfig(out=Path("out"), input=("a.jsonl",), languages=("en",))
    other = dataclasses.replace(config, workers=8, executor=ExecutorConfig(kind="ray", cpus_per_task=2))
    assert identity_hash(config) == identity_hash(other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpus_per_task": 0}, "executor.cpus_per_task: must be at least 1, got 0"),
        ({"memory_gb_per_task": -1.0}, "executor.memory_gb_per_task: must not be negative"),
        # What YAML makes of 24:00:00 without quotes.
        ({"time": "86400"}, "executor.time: must be hours:minutes:seconds, in a recipe between quotes"),
        ({"max_array": 0}, "executor.max_array"),
        ({"sbatch_args": ("account=x",)}, "executor.sbatch_args: write each as --name=value"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExecutorConfig(**fields)  # type: ignore[arg-type]
