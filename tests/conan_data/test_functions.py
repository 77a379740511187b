"""The functions of the commands: found lazily, typed, called by keywords or a config, with `UserError` for what is wrong."""

import ast
import importlib
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import conan_data
import conan_train
from conan_data import BuildXlrConfig, build_corpus, build_xlr, interruption
from conan_data.errors import UserError
from conan_data.functions import public_names
from conan_data.results import RetrievalSet

ROOT = Path(__file__).parents[2]
PACKAGES = {"conan_data": conan_data, "conan_train": conan_train}
MIX = {"en": 1, "de": 1}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_has_a_function_that_type_checkers_see(package: str) -> None:
    tree = ast.parse(Path(PACKAGES[package].__file__).read_text(encoding="utf-8"))
    (block,) = (node.body for node in tree.body if isinstance(node, ast.If))
    declared = {
        line.target.id: ast.unparse(line.annotation) for line in block if isinstance(line, ast.AnnAssign)
    }
    imported = {name.asname for line in block if isinstance(line, ast.ImportFrom) for name in line.names}
    commands = importlib.import_module(f"{package}.cli").COMMANDS
    for command in commands:
        config, result = (path.partition(":")[2] for path in (command.config, command.result))
        result = "None" if command.name == "mine-service" else result
        lines = [
            f"from {command.config.partition(':')[0]} import {config} as {config}",
            f"{command.function_name}: Stage[{config}, {result}]",
        ]
        assert declared.get(command.function_name) == f"Stage[{config}, {result}]" and config in imported, (
            f"write in {package}/__init__.py: {lines}"
        )
    assert len(declared) == len(commands)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_function_is_found_although_a_submodule_has_its_name(package: str) -> None:
    for name in public_names(package):
        if importlib.util.find_spec(f"{package}.{name}") is not None:
            importlib.import_module(f"{package}.{name}")
            assert callable(getattr(PACKAGES[package], name)), (
                f"add {name!r} to hiding in {package}/__init__.py"
            )


def test_the_modules_below_a_hidden_name_are_reached_as_ever() -> None:
    import conan_train.finetune.train as train

    assert train is sys.modules["conan_train.finetune.train"] is conan_train.finetune.train
    assert callable(conan_train.finetune)
    with pytest.raises(ImportError):
        from conan_train import finetun  # noqa: F401


def test_importing_a_package_imports_nothing_heavy_and_installs_no_handler() -> None:
    code = (
        "import sys, logging, conan_data, conan_train\n"
        "from conan_data import build_corpus, BuildCorpusConfig, audit\n"
        "from conan_train import finetune, report\n"
        "dir(conan_train); help_text = finetune.__doc__\n"
        "heavy = {'cyclopts', 'yaml', 'torch', 'transformers', 'numpy', 'pyarrow', 'polars', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not any(logging.getLogger(name).handlers for name in (None, 'conan_data', 'conan_train'))\n"
        "assert logging.getLogger('conan_data').level == logging.NOTSET\n"
        "from conan_data import *\n"
        "assert build_corpus is conan_data.build_corpus and callable(mine)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_bare_import_loads_no_command() -> None:
    code = "import sys, conan_data, conan_train; assert 'conan_data.command' not in sys.modules; print(len(sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_the_signature_and_the_docstring_are_those_of_the_config() -> None:
    assert str(inspect.signature(build_xlr).parameters["split"]) == "split: str = 'train'"
    assert (
        "languages_per_query: " in build_xlr.__doc__ and repr(build_xlr) == "<function conan_data.build_xlr>"
    )


def test_keywords_a_config_and_paths_are_one_job(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = build_xlr(data="sample", mix=MIX, out=out)
    assert isinstance(first, RetrievalSet) and first.rows.read == 132
    assert build_xlr(BuildXlrConfig(data="sample", mix=MIX, out=out)) == first
    assert build_xlr(data=Path("sample"), mix=MIX, out=str(out)) == first
    assert BuildXlrConfig(data=first, mix=MIX, out=tmp_path / "other").data == str(out) == os.fspath(first)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": "sample", "mix": MIX}, "build_xlr: out: is missing"),
        (
            {"dat": "sample", "mix": MIX, "out": "out"},
            "build_xlr: dat: is no field of this (did you mean 'data'?)",
        ),
        (
            {"data": "missing", "mix": MIX, "out": "out"},
            "build_xlr: data: missing: no such file or directory",
        ),
        ({"data": "sample", "mix": {"en": "x"}, "out": "out"}, "build_xlr: mix.en: must be a number"),
        ({"data": "https://me:secret@a.example/x", "mix": MIX, "out": "out"}, "***@a.example"),
    ],
)
def test_what_is_wrong_is_a_user_error(values: dict, words: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        build_xlr(**values)
    assert words in str(caught.value) and "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir()) and capsys.readouterr() == ("", "")


def test_a_config_and_keywords_together_are_refused(tmp_path: Path) -> None:
    config = BuildXlrConfig(data="sample", mix=MIX, out=tmp_path / "out")
    with pytest.raises(UserError, match="takes one BuildXlrConfig, or the fields"):
        build_xlr(config, split="dev")
    with pytest.raises(UserError, match="takes one BuildCorpusConfig"):
        build_corpus(config)


def test_a_full_disk_is_a_user_error(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("conan_data.artifact.list_files", full)
    with pytest.raises(UserError, match="No space left on device"):
        build_xlr(data="sample", mix=MIX, out=tmp_path / "out")


def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from conan_data import build_corpus\n"
        f"build_corpus(input=['sample'], languages=['en'], workers=2, tasks=2, out={str(tmp_path / 'out')!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, check=False
    )
    assert (
        result.returncode == 1
        and 'put the calls of a script below if __name__ == "__main__":' in result.stderr
    )


@pytest.fixture
def default_interrupt() -> Iterator[None]:
    """Ctrl-C as a terminal leaves it; in the background it is ignored, and stays so."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.usefixtures("default_interrupt")
def test_an_interrupt_is_deferred_as_in_the_program_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    reached = []
    with pytest.raises(KeyboardInterrupt), interruption.handled(is_program=False), interruption.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        reached.append(interruption.requested())
    assert reached == [signal.SIGINT] and interruption.requested() == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_handlers_of_the_program_around_are_left_alone() -> None:
    seen: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda signum, frame: seen.append(signum))
    try:
        with interruption.handled(is_program=False):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGTERM, old)
    assert seen == [signal.SIGTERM]


@pytest.mark.usefixtures("default_interrupt")
def test_a_second_interrupt_is_heard_while_the_first_is_deferred(monkeypatch) -> None:
    monkeypatch.setattr(interruption, "SAME_REQUEST", 0.1)
    threads = [threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)) for delay in (0.1, 0.4)]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interruption.handled(is_program=False), interruption.deferred():
        for thread in threads:
            thread.start()
        time.sleep(20)
    assert time.monotonic() - start < 10
