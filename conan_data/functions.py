"""The functions of a package: one for every command of its program, made from the same registry.

`from conan_data import build_corpus` finds the command `build-corpus` in `conan_data.cli`, so that a new command has
its function at once. Nothing is imported before a name is asked for: `import conan_data` costs nothing, and `--help`
neither. The import system binds each submodule to its name in the package, which would hide the function of a command
that is called like a subpackage (`finetune`). There the function is bound instead, and passes on the attributes of the
subpackage, so that `import conan_train.finetune.train` works as ever.
"""

import importlib.util
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    import inspect

    from conan_data.command import Command

C = TypeVar("C")
R = TypeVar("R")


def expose(package: str, *, hiding: Collection[str] = ()) -> None:
    """Give the package functions and config classes of the commands in its `cli`; `hiding` are the names of functions
    that are also names of subpackages.
    """
    shown = frozenset(hiding)

    class Package(ModuleType):
        """A package with the functions of its commands."""

        def __getattr__(self, name: str) -> Any:
            if name == "__all__":
                return sorted(public_names(package))
            is_submodule = name not in shown and importlib.util.find_spec(f"{package}.{name}") is not None
            # A submodule that is just being imported must not load the commands, which may import it in turn.
            if name.startswith("_") or is_submodule or name not in public_names(package):
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            value = public_names(package)[name]()
            self.__dict__[name] = value
            return value

        def __setattr__(self, name: str, value: object) -> None:
            if name not in shown or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return sorted({*self.__dict__, *public_names(package)})

    sys.modules[package].__class__ = Package


@cache
def public_names(package: str) -> dict[str, Callable[[], Any]]:
    """Return by name what makes each function and config class of the package."""
    commands: tuple[Command, ...] = importlib.import_module(f"{package}.cli").COMMANDS
    functions = {command.function_name: partial(Stage, package, command) for command in commands}
    configs = {command.config.partition(":")[2]: command.config_class for command in commands}
    return {**functions, **configs}


class Stage(Generic[C, R]):
    """The function of a command. It takes the fields of the command's config as keywords, spelled as in a recipe, with
    nested parts as dictionaries; or one such config. It returns what was made, and shows nothing but progress.

    A run that is interrupted or killed goes on when the same call is made again; of one that is done nothing is done
    again. Raises `UserError` for all that a user can mend, from a misspelt keyword to a full disk.
    """

    def __init__(self, package: str, command: "Command") -> None:
        self.command = command
        self.__module__, self.__name__ = package, command.function_name
        self.__qualname__ = self.__name__
        self.__doc__ = _describe(command)
        self.__signature__ = _signature(command.config_class())

    @overload
    def __call__(self, config: C, /) -> R: ...

    @overload
    def __call__(self, config: None = None, /, **values: Any) -> R: ...

    def __call__(self, config: C | None = None, /, **values: Any) -> R:
        with _raising_user_errors(self.__name__):
            return self.command.call(config, values, name=self.__name__)

    def __getattr__(self, name: str) -> Any:
        module = sys.modules.get(f"{self.__module__}.{self.__name__}")
        if module is None or name.startswith("__"):
            raise AttributeError(f"function {self.__name__!r} has no attribute {name!r}")
        return getattr(module, name)

    def __repr__(self) -> str:
        return f"<function {self.__module__}.{self.__name__}>"


@contextmanager
def _raising_user_errors(name: str) -> Iterator[None]:
    """Raise `UserError`, without secrets, for wrong input and for what the machine lacks. Ctrl-C and SIGTERM save
    first, unless the program has its own handlers.
    """
    import multiprocessing

    from conan_data import interruption
    from conan_data.errors import UserError
    from conan_data.redact import redact
    from conan_data.shortage import shortage

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError(
            f"{name}: is called while a worker process starts; put the calls of a script below "
            'if __name__ == "__main__":'
        )
    try:
        with interruption.handled(is_program=False):
            yield
    except UserError as error:
        error.args = (redact(str(error)), *error.args[1:])
        raise
    except Exception as error:
        if lack := shortage(error):
            raise UserError(redact(lack)) from error
        raise


def _signature(config: type) -> "inspect.Signature":
    """Return the fields of a config class as keywords."""
    import inspect
    from typing import get_type_hints

    found, types = inspect.signature(config), get_type_hints(config)
    return found.replace(
        parameters=[one.replace(annotation=types[name]) for name, one in found.parameters.items()],
        return_annotation=inspect.Signature.empty,
    )


def _describe(command: "Command") -> str:
    """Return the docstring: what the command does, and what each field means."""
    from conan_data.help import field_docs

    kind = command.config_class()
    fields = [f"    {name}: {text}".rstrip() for name, text in field_docs(kind).items()]
    return "\n".join([command.help, "", f"Keywords are the fields of {kind.__name__}:", *fields])
