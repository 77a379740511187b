import dataclasses
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import TaskSet, working_directory
from conan_data.corpus.pipeline import pipeline
from conan_data.errors import UserError


class Holder(PipelineStep):
    name, type = "holder", "test"

    def __init__(self, held: object) -> None:
        super().__init__()
        self.held, self.folder = held, Path("a b")

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        return data


def described(*steps: PipelineStep) -> TaskSet:
    return TaskSet.from_json(TaskSet(name="filtering 1", tasks=7, steps=steps).to_json())


def test_the_steps_of_a_corpus_come_back_from_their_description(tmp_path: Path) -> None:
    config = BuildCorpusConfig(
        out=tmp_path / "with space",
        input=("a b.jsonl", "中.jsonl"),
        languages=("no", "zh"),
        group_field="metadata.passage",
        dedup=DedupConfig(ngram=4),
    )
    steps = pipeline(config, {Path("a b.jsonl"): "a b.jsonl", Path("中.jsonl"): "中.jsonl"}, tmp_path)
    found = described(*steps)
    assert (found.name, found.slug, found.tasks) == ("filtering 1", "filtering-1", 7)
    for old, new in zip(steps, found.steps, strict=True):
        assert type(old) is type(new)
        assert {**vars(old), "stats": 0} == {**vars(new), "stats": 0}
        assert type(new.stats) is type(old.stats)


@pytest.mark.parametrize(
    "held",
    [
        (1, 2.5, None, True, "text"),
        {"a": {1: (Path("p"), [frozenset({"x", "y"})])}, ("k", 2): set()},
        ExecutorConfig(kind="slurm", sbatch_args=("--account=a", "--comment=x y"), setup="a\nb"),
        {"class": "not a class", "path": 1},
    ],
)
def test_plain_values_come_back_as_they_were(held: object) -> None:
    [step] = described(Holder(held)).steps
    assert isinstance(step, Holder)
    assert (step.held, step.folder) == (held, Path("a b"))
    assert type(step.held) is type(held)


def test_the_working_directory_goes_along() -> None:
    text = TaskSet(name="a", tasks=1, steps=()).to_json()
    assert working_directory(text) == Path(os.getcwd())


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(
        AssertionError, match="Lock .*cannot be sent to another machine|lock .*cannot be sent"
    ):
        described(Holder(threading.Lock()))


def test_where_it_runs_is_no_part_of_the_job() -> None:
    from conan_data.config import identity

    config = BuildCorpusConfig(out=Path("out"), input=("a.jsonl",), languages=("en",))
    other = dataclasses.replace(config, workers=8, executor=ExecutorConfig(kind="ray", cpus_per_task=2))
    assert identity(config) == identity(other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpus_per_task": 0}, "cpus_per_task: must be at least 1, got 0"),
        ({"memory_per_task": "-1"}, "memory_per_task: must be an amount such as 2GB"),
        # What YAML makes of 24:00:00 without quotes.
        ({"time": "86400"}, "time: must be hours:minutes:seconds, in a recipe between quotes"),
        ({"max_array": 0}, "max_array"),
        ({"sbatch_args": ("account=x",)}, "sbatch_args: write each as --name=value"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExecutorConfig(**fields)  # type: ignore[arg-type]
