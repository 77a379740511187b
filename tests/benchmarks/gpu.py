"""Everything that needs a GPU, in one call: `python -m tests.benchmarks.gpu`.

The tests marked `gpu`, the soft mask's benchmark, the utilisation of the presets, then `step`, `encode` and
`pretrain` with `--device cuda`, each in a process of its own and within the seconds that are left. A part that
is missing, fails or runs out of time is named in the result and does not stop the others. The machine needs
torch, transformers, accelerate, pyarrow, numpy and safetensors; parts that need more say so themselves, and
without pytest the tests run through `gpu_tests`.

The last line is one JSON object: part -> its own figures, or {"failed": reason}.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu_tests import test_files

ROOT = Path(__file__).parents[2]


def parts() -> dict[str, list[str]]:
    """The command of each part, in the order of what matters most."""
    benchmarks = {
        "softmask": ["--device", "cuda"],
        "mfu": ["--device", "cuda"],
        "step": ["--device", "cuda"],
        "pretrain": ["--device", "cuda"],
        "encode": ["--device", "cuda"],
    }
    has_pytest = importlib.util.find_spec("pytest") is not None
    with_pytest = ["pytest", "-m", "gpu", "-rfE", *map(str, test_files())]
    commands = {
        "tests": [sys.executable, "-m", *(with_pytest if has_pytest else ["tests.benchmarks.gpu_tests"])]
    }
    return commands | {
        name: [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
        for name, arguments in benchmarks.items()
    }


def run_part(name: str, command: list[str], limit: float) -> dict[str, Any]:
    """Its figures, or why there are none."""
    module = f"tests.benchmarks.{'gpu_tests' if name == 'tests' else name}"
    if importlib.util.find_spec(module) is None:
        return {"failed": f"no module {module} here"}
    if limit < 10:
        return {"failed": "no time left"}
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit:.0f} s"}
    print(done.stdout, flush=True)
    result = test_counts(done.stdout) if "pytest" in command else figures(done.stdout)
    if done.returncode or not result:
        print(done.stderr[-4_000:], file=sys.stderr, flush=True)
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        result = {**(result or {}), "failed": f"exit {done.returncode}: {last[:300]}"}
    return {**result, "seconds": round(time.monotonic() - start, 1)}


def figures(output: str) -> dict[str, Any] | None:
    """The JSON object in the last line, if there is one."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def test_counts(output: str) -> dict[str, Any] | None:
    """Passed, failed and skipped tests, from pytest's dots and the names of the failed."""
    dots = "".join(
        line.split(" ")[0] for line in output.splitlines() if line.strip("[]0123456789%. sFExX") == ""
    )
    failed = [line.split(" ")[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if not dots:
        return None
    return {"passed": dots.count("."), "skipped": dots.count("s"), "not_passed": failed}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=570, help="for all parts together")
    options.add_argument("--only", nargs="*", choices=parts(), default=list(parts()))
    given = options.parse_args()
    end = time.monotonic() + given.seconds
    results: dict[str, Any] = {}
    for name in given.only:
        # A part that hangs may take half of what is left, so those after it have their turn.
        limit = (end - time.monotonic()) / (1 if name == given.only[-1] else 2)
        print(f"--- {name} (at most {limit:.0f} s)", flush=True)
        results[name] = run_part(name, parts()[name], limit)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
