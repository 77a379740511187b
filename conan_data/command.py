"""The command line that both programs share: a typed config becomes flags, a recipe gives their defaults, and
errors become exit codes.

Nothing heavy is imported before a command really runs, so that `--help` answers at once; a command names its
config and its stage function as `module:object`. Exit codes: 0 done, 2 the input is wrong (one line on
stderr), 1 our fault (a traceback).
"""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from conan_data import recipe
from conan_data.config import Config, StageConfig
from conan_data.errors import SaidElsewhereError, UserError
from conan_data.fields import FieldError, build
from conan_data.flags import FieldPath, Flag, as_written, flags_of, parse, print_help
from conan_data.inputs import OptionalFolder, check_inputs
from conan_data.places import check
from conan_data.shortage import shortage
from conan_data.visible import VisibleFormatter, visible

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecipeFlags(Config):
    """Flags of every command that makes an artifact, beside those of its config."""

    config: Path | None = None
    """Recipe (YAML) that gives the values; flags go before it."""
    stage: str | None = None
    """Name of the stage in the recipe, where it has several for this command."""
    root: OptionalFolder = None
    """Folder that ${root} stands for in the recipe."""


@dataclass(frozen=True)
class Command:
    """A stage on the command line; `config` and `run` are `module:object`."""

    name: str
    config: str
    run: str
    help: str
    positional: str = ""
    """Flag that words before the first flag belong to: `compare A B` is `compare --evaluations A B`."""

    def config_class(self) -> type:
        """The dataclass whose fields are the flags."""
        return _load(self.config)

    def __call__(self, config: Any) -> Any:
        """Runs the stage."""
        return _load(self.run)(config)


def bind(command: Command, values: Mapping[str, Any], *, source: str) -> Any:
    """Return the command's config from the values of a recipe. Raises `UserError` naming `source` and the field."""
    try:
        return build(command.config_class(), values)
    except FieldError as error:
        raise UserError(f"{source}: {error}") from error


def main(program: str, summary: str, commands: Sequence[Command], tokens: Sequence[str] | None = None) -> int:
    """Runs the program on `tokens` (default: those of the process); returns its exit code."""
    by_name = {command.name: command for command in commands}
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    configure_logging()
    try:
        if tokens and tokens[0] in by_name:
            return _run(program, by_name[tokens[0]], tokens[1:])
        app = App(
            name=program,
            help=summary,
            version=_version,
            help_epilogue=f"{program} COMMAND --help lists a command's fields.",
        )
        for command in commands:
            app.command(_listed(command), name=command.name, help=command.help)
        app(tokens or ["--help"], exit_on_error=False, print_error=False)
        return 0
    except SaidElsewhereError:
        return 2
    except (UserError, CycloptsError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return _refuse("interrupted; run the same command again to go on", code=130)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (the outermost frame; a panic of a library in Rust is no Exception)
        if lack := shortage(error):
            return _refuse(lack)
        traceback.print_exc()
        return 1


def configure_logging() -> None:
    """Our own messages as plain lines on stderr; of the libraries only warnings, and their bars on a terminal
    only.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("conan_data", "conan_train"):
        logging.getLogger(package).setLevel(logging.INFO)
    logging.getLogger("transformers.tokenization_utils_base").addFilter(_is_no_length_warning)


def _is_no_length_warning(record: logging.LogRecord) -> bool:
    """Return False for the warning of transformers that a text is longer than the model reads: we cut it."""
    return not str(record.msg).startswith("Token indices sequence length is longer")


def _run(program: str, command: Command, tokens: list[str]) -> int:
    kind = command.config_class()
    flags = [*flags_of(kind), *(flags_of(RecipeFlags) if issubclass(kind, StageConfig) else ())]
    if any(token in ("--help", "-h") for token in tokens):
        print_help(f"{program} {command.name}", command.help, flags)
        return 0
    if command.positional and tokens and not tokens[0].startswith("-"):
        tokens = [f"--{command.positional}", *tokens]
    result = command(_config(command, flags, parse(command.name, flags, tokens)))
    if result is not None:
        print(visible(str(result)), flush=True)
    return 0


def _config(command: Command, flags: Sequence[Flag], given: dict[FieldPath, Any]) -> Any:
    """Return the config of what the flags set, and of what the recipe says besides."""
    values, source = {}, ""
    try:
        named = {field: given.pop((field,)) for field in ("config", "stage", "root") if (field,) in given}
        where = build(RecipeFlags, named)
        if where.config is not None:
            stages = recipe.load(where.config, command_names(), root=where.root)
            stage = recipe.pick(stages, command.name, path=where.config, name=where.stage)
            values, source = stage.values, f"{where.config}: {stage.name}: "
        config: Any = build(command.config_class(), _over(values, given))
        check(config)
        check_inputs(config)
        return config
    except FieldError as error:
        is_flag = not source or any(error.path[: len(path)] == path for path in given)
        raise UserError(
            f"{as_written(error.path, flags)}: {error.rule}" if is_flag else f"{source}{error}"
        ) from error


def _over(values: Mapping[str, Any], given: Mapping[FieldPath, Any]) -> dict[str, Any]:
    """Return the values of a recipe with those of the flags in their place."""
    merged = dict(values)
    for (first, *rest), value in given.items():
        if not rest:
            merged[first] = value
        elif isinstance(inner := merged.get(first, {}), Mapping):
            merged[first] = _over(inner, {tuple(rest): value})
    return merged


def command_names() -> frozenset[str]:
    """Names of the commands of every installed program: a recipe may hold stages of all."""
    from importlib.metadata import entry_points

    return frozenset(
        command.name for entry in entry_points(group="conan_data.commands") for command in entry.load()
    )


def _listed(command: Command) -> Callable[[], None]:
    """What the list of commands shows; the command itself is run by `_run`."""

    def listed() -> None:
        raise AssertionError(command.name)

    return listed


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("conan-embed")
    except PackageNotFoundError:
        return "not installed"


def _refuse(message: str, *, code: int = 2) -> int:
    print(f"error: {visible(' '.join(message.split()))}", file=sys.stderr)
    return code
