"""The command line that both programs share: a typed config becomes flags, a recipe gives their defaults, and
errors become exit codes.

Nothing heavy is imported before a command really runs, so that `--help` answers at once; a command names its
config and its stage function as `module:object`. Exit codes: 0 done, 2 the input is wrong (one line on
stderr), 1 our fault (a traceback).
"""

import errno
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.config import Dict

from conan_data import recipe
from conan_data.config import StageConfig
from conan_data.errors import SaidElsewhereError, UserError

log = logging.getLogger(__name__)
FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG}
"""Errors of the operating system that the user can mend."""


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
    """The command's config from a mapping, converted and checked by the same rules as its flags.

    Raises `UserError` naming the source and the nearest right key.
    """
    return _parse(_command_app(command, Dict(dict(values), source=source, use_commands_as_keys=False)), [])


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
    except OSError as error:
        if error.errno in FULL_OR_FORBIDDEN:
            return _refuse(f"{error.filename or 'output'}: {os.strerror(error.errno)}")
        traceback.print_exc()
        return 1
    except Exception:  # noqa: BLE001 (the outermost frame: whatever is left is our fault, and says so by its exit code)
        traceback.print_exc()
        return 1


def configure_logging() -> None:
    """Our own messages as plain lines on stderr; of the libraries only warnings, and their bars on a terminal
    only.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("conan_data", "conan_train"):
        logging.getLogger(package).setLevel(logging.INFO)


def _run(program: str, command: Command, tokens: list[str]) -> int:
    app = _command_app(command, _from_recipe(command), program=program)
    if any(token in ("--help", "-h") for token in tokens):
        from conan_data.help import HelpByPart

        app.help_formatter = HelpByPart(command.config_class())
        app.help_print()
        return 0
    if command.positional and tokens and not tokens[0].startswith("-"):
        tokens = [f"--{command.positional}", *tokens]
    result = command(_parse(app, tokens))
    if result is not None:
        print(result)
    return 0


def _command_app(command: Command, source: Callable[..., None], *, program: str = "") -> App:
    """An app whose default action returns the command's config."""
    config_class = command.config_class()

    def build(
        config: Any, *, recipe_path: Path | None = None, stage: str | None = None, root: str | None = None
    ) -> Any:
        return config

    def build_alone(config: Any) -> Any:
        return config

    build_alone.__annotations__ = {"config": Annotated[config_class, Parameter(name="*")]}
    build.__annotations__ = {
        **build_alone.__annotations__,
        "recipe_path": Annotated[
            Path | None,
            Parameter(name="--config", help="Recipe (YAML) that gives the values; flags go before it."),
        ],
        "stage": Annotated[
            str | None,
            Parameter(
                name="--stage", help="Name of the stage in the recipe, where it has several for this command."
            ),
        ],
        "root": Annotated[
            str | None, Parameter(name="--root", help="Folder that ${root} stands for in the recipe.")
        ],
    }
    app = App(
        name=f"{program} {command.name}".strip(),
        help=command.help,
        version_flags=[],
        config=[source],
        default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
    )
    app.default(build if issubclass(config_class, StageConfig) else build_alone)
    return app


def _from_recipe(command: Command) -> Callable[..., None]:
    """Fills the arguments that no flag set from the stage of the recipe that `--config` names."""

    def apply(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        flags = {name: _flag(arguments, name) for name in ("--config", "--stage", "--root")}
        path = flags["--config"]
        if path is None:
            return
        stages = recipe.load(path, command_names(), root=flags["--root"])
        stage = recipe.pick(stages, command.name, path=path, name=flags["--stage"])
        Dict(stage.values, source=f"{path}: {stage.name}", use_commands_as_keys=False)(
            app, commands, arguments
        )

    return apply


def command_names() -> frozenset[str]:
    """Names of the commands of every installed program: a recipe may hold stages of all."""
    from importlib.metadata import entry_points

    return frozenset(
        command.name for entry in entry_points(group="conan_data.commands") for command in entry.load()
    )


def _flag(arguments: ArgumentCollection, name: str) -> str | None:
    tokens = [token for argument in arguments if name in argument.names for token in argument.tokens]
    return str(tokens[0].value) if tokens else None


def _parse(app: App, tokens: list[str]) -> Any:
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UserError(" ".join(str(error).split())) from error
    return command(*bound.args, **bound.kwargs)


def _listed(command: Command) -> Callable[[], None]:
    """What the list of commands shows; the command itself is run by `_run`."""

    def listed() -> None:
        raise AssertionError(command.name)

    return listed


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _version() -> str:
    try:
        return version("conan-embed")
    except PackageNotFoundError:
        return "not installed"


def _refuse(message: str, *, code: int = 2) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
