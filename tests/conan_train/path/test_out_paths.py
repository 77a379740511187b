"""Where the commands may write: every command against a table of outs, and every field that names a path or a name.

What is refused is refused before any work: the inputs here are no data at all.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import Command, main
from conan_data.config import StageConfig
from conan_data.fields import FILE_NAME, WORD, hints
from conan_data.inputs import Cache, path_marks
from conan_data.places import RESERVED
from conan_train.cli import COMMANDS as TRAIN_COMMANDS

PROGRAMS = {"conan-data": DATA_COMMANDS, "conan-train": TRAIN_COMMANDS}
FLAGS = {
    "conan-data build-corpus": {"input": "in", "languages": "en"},
    "conan-data report": {"corpus": "in"},
    "conan-data tokenize": {"tokenizer": "in", "corpus": "in"},
    "conan-data build-pairs": {"input": "in"},
    "conan-data score-pairs": {"pairs": "in", "model": "in"},
    "conan-data build-xlr": {"data": "in", "mix": '{"en":1}'},
    "conan-data mine": {"data": "in", "model": "in"},
    "conan-data audit": {"negatives": "in"},
    "conan-data decontaminate": {"set": "in", "against": "in"},
    "conan-data export-negatives": {"negatives": "in"},
    "conan-data import-negatives": {"input": "in"},
    "conan-data train-classifier": {"positive": "in", "negative": "in"},
    "conan-data card": {"artifact": "in"},
    "conan-train tokenizer": {"corpus": "in", "vocab-size": "500"},
    "conan-train init": {"preset": "nano", "tokenizer": "in"},
    "conan-train pretrain": {"model": "in", "corpus": "in", "steps": "1"},
    "conan-train sft": {"model": "in", "data": "in", "steps": "1"},
    "conan-train weak": {"model": "in", "data": "in", "steps": "1"},
    "conan-train finetune": {"model": "in", "data": "in", "steps": "1"},
    "conan-train encode": {"model": "in", "inputs": "in"},
    "conan-train evaluate": {"model": "in", "data": "in"},
    "conan-train export": {"model": "in"},
    "conan-train report": {"inputs": "in"},
    "conan-train compare": {"evaluations": "in"},
}
WITH = {
    "dev": {"evaluate-every": "1"},
    "classification.train": {"classification.test": "x"},
    "classification.test": {"classification.train": "x"},
}
"""Fields that do not stand alone."""
WITHOUT = {"encode data": "inputs", "train-classifier input": ("positive", "negative")}
"""Fields that do not stand beside others."""

OUTS = {
    "": "must not be empty",
    ".": "current folder",
    "./": "current folder",
    "..": "current folder",
    "/": "a folder of its own",
    "{here}": "current folder",
    "{here}/..": "current folder",
    "in/../..": "current folder",
    "in": "is the same as",
    "{here}/in": "is the same as",
    "in/": "is the same as",
    "nowhere/../in": "is the same as",
    "link": "is the same as",
    "in/out": "lies in",
    "in/a/b/c": "lies in",
    "link/out": "lies in",
    "data.jsonl/out": "Not a directory",
    "data.jsonl/a/b": "Not a directory",
    "out.partial": "unfinished artifacts",
    "out.replaced": "unfinished artifacts",
    "out.mining": "unfinished artifacts",
    "artifact/out": "inside the artifact",
    "artifact/a/b": "inside the artifact",
    "other.partial/out": "inside the artifact",
    "loop": "symbolic link",
    "~nobody-of-this-name/out": "unknown user",
    "n" * 300: "name too long",
    "n" * 250: "name too long",
    "a/" + "n" * 300 + "/b": "name too long",
    "a\0b": "NUL",
    "a\udcffb": "Unicode",
}


def stages() -> dict[str, tuple[str, Command]]:
    """Every command that publishes an artifact."""
    return {
        f"{program} {command.name}": (program, command)
        for program, commands in PROGRAMS.items()
        for command in commands
        if issubclass(command.config_class(), StageConfig)
    }


def all_fields(kind: type, within: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a config, and of its parts, with their types."""
    for name, hint in hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from all_fields(hint, f"{within}{name}.")
        else:
            yield f"{within}{name}", hint


def fields_of_all() -> list[tuple[str, str, Any]]:
    return [
        (name, field, hint)
        for name, (_, command) in stages().items()
        for field, hint in all_fields(command.config_class())
    ]


def limits(hint: Any) -> Iterator[Any]:
    for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
        yield part
        yield from limits(part)


PATHS = [
    (name, field, any(isinstance(mark, Cache) for mark in path_marks(hint)))
    for name, field, hint in fields_of_all()
    if any(path_marks(hint))
]
NAMES = [(name, field) for name, field, hint in fields_of_all() if {FILE_NAME, WORD} & set(limits(hint))]


def run(name: str, out: str, changed: dict[str, str] | None = None, *more: str) -> int:
    program, command = stages()[name]
    flags = {field: "else" if changed and value == "in" else value for field, value in FLAGS[name].items()}
    for field, value in (changed or {}).items():
        for other in WITHOUT.get(f"{command.name} {field}", ()) if value else ():
            flags.pop(other, None)
        flags.pop("inputs", None) if f"{command.name} {field}" == "encode data" else None
        flags |= {field.replace("_", "-"): value, **WITH.get(field, {})}
        if f"{command.name} {field}" == "train-classifier input":
            flags["positive-labels"] = "x"
    tokens = [
        token
        for field, value in flags.items()
        for token in (f"--{field}", value, *(["else"] if field == "evaluations" else []))
    ]
    return main(program, "Summary.", PROGRAMS[program], [command.name, *tokens, "--out", out, *more])


def tree(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file()
        else os.readlink(path)
        if path.is_symlink()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user, with inputs, an artifact that is finished, and one in the making."""
    here = tmp_path / "a" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / "in" / "deep").mkdir(parents=True)
    (here / "else").mkdir()
    for file in ("else/data.jsonl", "in/data.jsonl", "in/deep/data.jsonl", "data.jsonl"):
        (here / file).write_text("{}\n")
    (here / "link").symlink_to("in")
    (here / "loop").symlink_to("loop")
    mark = {"kind": "corpus", "schema_version": 1, "files": [], "rows": {}, "job_hash": "0"}
    for folder, name in (("artifact", "manifest.json"), ("other.partial", "job.json")):
        (here / folder).mkdir()
        (here / folder / name).write_text(json.dumps(mark))
    return here


def test_every_command_is_in_the_table() -> None:
    assert FLAGS.keys() == stages().keys()


@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("name", FLAGS)
def test_an_out_that_would_do_damage_is_refused_by_every_command(
    name: str, out: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(here.parent)
    assert run(name, out.format(here=here), {}, "--overwrite") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and OUTS[out].lower() in error.lower()
    assert tree(here.parent) == before


@pytest.mark.parametrize(("name", "field", "is_cache"), PATHS)
def test_an_out_that_is_holds_or_lies_in_what_a_field_names_is_refused(
    name: str, field: str, is_cache: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = "fasttext:" if field == "identifier" else ""
    before = tree(here.parent)
    for value, out in (
        ("in/deep", "in/deep"),
        ("in/deep", "in"),
        ("in/deep", "in/deep/out"),
        ("in/deep", "link/deep"),
        ("link/deep", "in"),
        ("out.partial/x", "out"),
        ("new/cache", "new"),
    ):
        if not is_cache and value.startswith(("out", "new")):
            Path(value).mkdir(parents=True)
            before = tree(here.parent)
        assert run(name, out, {field: prefix + value}, "--overwrite") == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --out: ") and f" {field} (" in error and error.count("\n") == 1
    assert tree(here.parent) == before


@pytest.mark.parametrize(("name", "field", "is_cache"), PATHS)
def test_an_empty_path_is_never_the_current_folder(
    name: str, field: str, is_cache: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = dict(all_fields(stages()[name][1].config_class()))[field]
    is_list = any(get_origin(part) is tuple for part in (hint, *limits(hint)))
    # Alone and empty is how an optional path is left out; then the command does not read the folder it is in.
    for value in ("", " ") if is_list else (" ",):
        assert run(name, "out", {field: value}) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --{field.replace('_', '-')}: must ") and error.count("\n") == 1
    assert not Path("out").exists() and not Path("out.partial").exists()


@pytest.mark.parametrize(("name", "field"), NAMES)
def test_no_name_leads_out_of_the_folder(
    name: str, field: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(here.parent)
    for value in ("../x", "..", "/tmp/x", "a/b", "a\\b", ".hidden", "a\nb", "x" * 300, "a\0"):
        assert run(name, "out", {field: value}) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and field in error.replace("-", "_")
    assert tree(here.parent) == before


def test_a_glob_may_stand_beside_the_out_but_not_reach_into_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pattern in ("in/**/*.jsonl", "**/*.jsonl", "in/*/*.jsonl"):
        assert run("conan-data import-negatives", "in/out", {"input": pattern}) == 2
        assert "would hold files that input" in capsys.readouterr().err
    for pattern in ("in/*.jsonl", "in/*", "in/deep/*.jsonl"):
        assert run("conan-data import-negatives", "in/out", {"input": pattern}) == 2
        assert "error: --out:" not in capsys.readouterr().err


PAIRS = '{"query": "what is it", "pos": ["a bridge"], "neg": ["a river"]}\n'


@pytest.fixture
def pairs(here: Path) -> Path:
    (here / "pairs.jsonl").write_text(PAIRS)
    return here / "pairs.jsonl"


def imports(pairs: Path, out: str, *more: str, split: str = "train") -> int:
    flags = {"input": str(pairs), "split": split}
    return run("conan-data import-negatives", out, flags, *more)


@pytest.mark.parametrize(
    "out", ["out", "a/b/out", "./out", "in/../out", "{here}/out", "~/out", "out with space", "öffentlich", "-out"]
)  # fmt: skip
def test_an_out_that_is_fine_is_written_and_found_done(
    out: str, here: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    caplog.set_level("INFO")
    out = f"./{out}" if out.startswith("-") else out.format(here=here)
    assert imports(pairs, out) == 0 and imports(pairs, out) == 0
    assert "done already" in caplog.text
    place = Path(out.replace("~", str(here / "home")))
    assert (place / "manifest.json").is_file() and not (here / "~").exists()
    assert not any(place.with_name(place.name + ending).exists() for ending in RESERVED)


def test_the_home_folder_is_meant_by_inputs_too(
    here: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert run("conan-data import-negatives", "out", {"input": "~/pairs.jsonl"}) == 0
    Path("r.yaml").write_text("import-negatives: {input: [~/pairs.jsonl], out: ~/second}\n")
    assert main("conan-data", "", DATA_COMMANDS, ["import-negatives", "--config", "r.yaml"]) == 0
    assert tree(here / "out") == tree(here / "second")


@pytest.mark.parametrize("target", ["there", "there/deep", "empty"])
def test_a_link_is_followed_and_never_breaks(target: str, here: Path, pairs: Path) -> None:
    (here / "empty").mkdir()
    Path("out").symlink_to(target)
    assert imports(pairs, "out") == 0
    assert imports(pairs, "out") == 0
    for split in ("one", "two"):
        assert imports(pairs, "out", "--overwrite", split=split) == 0
        assert Path("out").is_symlink() and Path(target, "qrels", f"{split}.parquet").is_file()
        assert os.readlink("out") == target
    assert not any(path.name.endswith(RESERVED) for path in here.rglob("*") if path.name != "other.partial")


def test_a_link_that_was_replaced_by_an_older_version_goes_away(here: Path, pairs: Path) -> None:
    assert imports(pairs, "real") == 0
    Path("out.replaced").symlink_to("real")
    assert imports(pairs, "out") == 0
    assert not os.path.lexists("out.replaced") and Path("real", "manifest.json").is_file()


@pytest.mark.parametrize("name", ["out.partial", "out.replaced"])
def test_a_folder_of_the_user_that_has_such_a_name_is_left_alone(
    name: str, here: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).mkdir()
    Path(name, "thesis.txt").write_text("years of work")
    for more in ((), ("--overwrite",)):
        assert imports(pairs, "out", *more) == 2
        assert "in the way" in capsys.readouterr().err
    assert Path(name, "thesis.txt").read_text() == "years of work"


def test_a_manifest_of_another_tool_is_no_artifact(here: Path, pairs: Path) -> None:
    Path("manifest.json").write_text('{"name": "a web application"}')
    assert imports(pairs, "out") == 0


@contextlib.contextmanager
def mounted(*arguments: str) -> Iterator[Path]:
    """A mount for as long as the block; the test is skipped where mounting is not allowed."""
    folder = Path(arguments[-1])
    folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"no mounting here (needs root): {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_mount_point_is_refused_before_any_work_and_a_folder_in_it_works(
    here: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mounted("-t", "tmpfs", "tmpfs", str(here / "volume")) as volume:
        for more in ((), ("--overwrite",)):
            assert imports(pairs, str(volume), *more) == 2
            assert "a mount point; name a folder in it" in capsys.readouterr().err
        assert list(volume.iterdir()) == [] and not (here / "volume.partial").exists()
        assert imports(pairs, f"{volume}/out") == 0
        Path("elsewhere").symlink_to(volume / "second")
        assert imports(pairs, "elsewhere") == 0 and (volume / "second" / "manifest.json").is_file()


def test_a_bind_mount_is_the_same_folder(here: Path, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    with mounted("--bind", str(here / "in"), str(here / "again")):
        for out, relation in (("again", "is the same as"), ("again/out", "lies in")):
            assert run("conan-data import-negatives", out, {"input": "in"}, "--overwrite") == 2
            assert relation in capsys.readouterr().err
    with mounted("--bind", str(here / "empty"), str(here / "volume")):
        assert imports(pairs, "volume") == 2
        assert "a mount point" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(
    here: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mounted("-t", "tmpfs", "tmpfs", str(here / "volume")) as volume:
        assert imports(pairs, f"{volume}/done") == 0
        subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
        capsys.readouterr()
        assert imports(pairs, f"{volume}/out") == 2
        error = capsys.readouterr().err
        assert "Read-only file system" in error and error.count("\n") == 1
        # What is there already needs no writing.
        assert imports(pairs, f"{volume}/done") == 0


RECIPE = "import-negatives: {{input: [pairs.jsonl], out: {out}}}\nsecond: {{command: import-negatives, input: [pairs.jsonl], out: {second}}}\n"


@pytest.mark.parametrize(
    ("head", "out", "second", "message"),
    [
        ("root:", "${root}/a", "${root}/b", "root: must be the path of a folder, got None"),
        ("root: ''", "${root}/a", "${root}/b", "root: must be the path of a folder"),
        ("root: ~", "${root}/a", "${root}/b", "root: must be the path of a folder"),
        ("root: [a]", "${root}/a", "${root}/b", "root: must be the path of a folder"),
        ("root: x", "${root}/a", "${root}/a", "is the same as out of"),
        ("root: x", "${root}/a", "${root}/a/b", "lies in out of"),
        ("root: x", "${root}/a/b", "${root}/a", "holds out of"),
        ("root: x", "${root}", "${root}/a", "lies in out of"),
        ("root: x", "${root}/a", "${root}/../../here", "current folder"),
        ("root: /", "${root}", "${root}/b", "a folder of its own"),
    ],
)
def test_outs_of_a_recipe_are_refused_before_its_first_stage(
    head: str, out: str, second: str, message: str, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("r.yaml").write_text(f"{head}\n" + RECIPE.format(out=f'"{out}"', second=f'"{second}"'))
    before = tree(Path.cwd())
    assert main("conan-train", "", TRAIN_COMMANDS, ["run", "--recipe", "r.yaml"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert tree(Path.cwd()) == before


def test_outs_side_by_side_below_the_root_are_fine(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.yaml").write_text("root: x\n" + RECIPE.format(out='"${root}/a"', second='"${root}/ab"'))
    assert main("conan-train", "", TRAIN_COMMANDS, ["run", "--recipe", "r.yaml"]) == 0
    assert main("conan-train", "", TRAIN_COMMANDS, ["run", "--recipe", "r.yaml", "--root", ""]) == 2
    assert "--root: must not be blank" in capsys.readouterr().err


@pytest.mark.parametrize("run_folder", ["", "."])
def test_a_mining_service_needs_the_name_of_its_run(
    run_folder: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("conan-train", "", TRAIN_COMMANDS, ["mine-service", "--run", run_folder, "--wait", "0"]) == 2
    assert "--run: must" in capsys.readouterr().err


WHOLE = [
    ("conan-train finetune", "steps"),
    ("conan-train finetune", "select.pool-size"),
    ("conan-train evaluate", "dims"),
    ("conan-train encode", "max-length"),
    ("conan-data mine", "search.code-bits"),
    ("conan-data train-classifier", "fasttext.epochs"),
]


@pytest.mark.parametrize("value", ["1.5", "4.0", "8.0", "1e1", ".5", "nan", "inf", "-2.5"])
@pytest.mark.parametrize(("name", "field"), WHOLE)
def test_a_fraction_is_no_whole_number(
    name: str, field: str, value: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, command = stages()[name]
    flags = [
        token
        for key, item in {**FLAGS[name], "out": "o"}.items()
        if key != field
        for token in (f"--{key}", item)
    ]
    part, _, key = field.replace("-", "_").rpartition(".")
    values = {key: [float(value)] if key == "dims" else float(value)}
    Path("r.yaml").write_text(yaml.safe_dump({command.name: {part: values} if part else values}))
    for more in ([f"--{field}={value}"], ["--config", "r.yaml"]):
        assert main(program, "", PROGRAMS[program], [command.name, *flags, *more]) == 2
        error = capsys.readouterr().err
        assert (
            key in error.replace("-", "_")
            and ("must be a whole number" in error or "must be one of 8, 16" in error)
            and error.count("\n") == 1
        )
