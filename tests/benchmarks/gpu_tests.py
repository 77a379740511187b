"""The tests marked `gpu` on a machine without pytest: `python -m tests.benchmarks.gpu_tests`.

A stand-in for `pytest` that knows `parametrize` and `skipif`, which is all that those tests use; every other
mark is let through. A test that asks for a fixture is counted as skipped, by name. The last line is one JSON
object.
"""

import importlib
import inspect
import itertools
import json
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Mark:
    """`pytest.mark.NAME`, with or without arguments, as a decorator."""

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()) -> None:
        self.name, self.arguments = name, arguments

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        if len(arguments) == 1 and inspect.isfunction(arguments[0]):
            test = arguments[0]
            test.marks = [*getattr(test, "marks", []), self]
            return test
        return Mark(self.name, arguments)


class Marks:
    """`pytest.mark`."""

    def __getattr__(self, name: str) -> Mark:
        return Mark(name)


def stand_in() -> types.ModuleType:
    module = types.ModuleType("pytest")
    module.mark = Marks()
    module.fixture = Mark("fixture")
    return module


def test_files() -> list[Path]:
    """Files that mark themselves, or one of their tests, `gpu`."""
    found = (ROOT / "tests" / "conan_train").rglob("test_*.py")
    return sorted(path for path in found if "pytest.mark.gpu" in path.read_text())


def cases(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments of every run of a test: the product of its `parametrize` marks."""
    choices = []
    for mark in getattr(test, "marks", []):
        if mark.name == "parametrize":
            names, values = mark.arguments
            names = (names,) if isinstance(names, str) else names
            choices.append(
                [dict(zip(names, value if len(names) > 1 else (value,), strict=True)) for value in values]
            )
    for chosen in itertools.product(*choices):
        yield {name: value for part in chosen for name, value in part.items()}


def tests_of(module: types.ModuleType) -> list[Callable[..., None]]:
    """Its tests marked `gpu`, and not skipped by condition; all of them where the module is marked."""
    of_all = getattr(module, "pytestmark", [])
    kept = []
    for name, test in vars(module).items():
        marks = [*(of_all if isinstance(of_all, list) else [of_all]), *getattr(test, "marks", [])]
        skipped = any(mark.name == "skipif" and mark.arguments[0] for mark in marks)
        if name.startswith("test_") and any(mark.name == "gpu" for mark in marks) and not skipped:
            kept.append(test)
    return kept


def main() -> None:
    sys.modules["pytest"] = stand_in()
    passed, failed, skipped = 0, [], []
    for path in test_files():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        try:
            tests = tests_of(importlib.import_module(name))
        except (ImportError, AttributeError) as error:
            skipped.append(f"{name}: {error}")
            continue
        for test in tests:
            for case in cases(test):
                if missing := set(inspect.signature(test).parameters) - set(case):
                    skipped.append(f"{test.__name__}: needs {', '.join(sorted(missing))}")
                    break
                start = time.perf_counter()
                try:
                    test(**case)
                except (AssertionError, RuntimeError, TypeError, ValueError):
                    traceback.print_exc()
                    failed.append(f"{test.__name__} {case}")
                else:
                    passed += 1
                    print(f"{time.perf_counter() - start:6.2f} s  {test.__name__} {case}", flush=True)
    print(json.dumps({"passed": passed, "not_passed": failed, "skipped": skipped}))
    sys.exit(bool(failed) or not passed)


if __name__ == "__main__":
    main()
