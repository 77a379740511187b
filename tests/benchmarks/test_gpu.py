"""The runner of the GPU parts, on parts that need none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.gpu import figures, run_part, test_counts
from tests.benchmarks.gpu_tests import test_files

test_counts.__test__ = test_files.__test__ = False
ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(False, reason="here")]

@pytest.mark.parametrize("one", [1, 2])
@pytest.mark.parametrize(("two", "three"), [(3, 4), (5, 6)])
def test_product(one, two, three):
    assert (one, two) != (2, 5) and three == two + 1

@pytest.mark.skipif(True, reason="elsewhere")
def test_never():
    raise AssertionError

def test_fixture(tmp_path):
    raise AssertionError
"""


def test_a_missing_a_failing_and_a_slow_part_are_named() -> None:
    assert "no module tests.benchmarks.nothing" in run_part("nothing", [], 60.0)["failed"]
    script = """print('{"a": 1}'); raise SystemExit('cause')"""
    failing = run_part("gpu", [sys.executable, "-c", script], 60.0)
    assert failing["failed"] == "exit 1: cause" and failing["a"] == 1
    slow = run_part("gpu", [sys.executable, "-c", "import time; time.sleep(60)"], 10.0)
    assert "not done after" in slow["failed"]


def test_figures_are_the_last_line() -> None:
    assert figures('table\n{"ratio": 1.5}\n') == {"ratio": 1.5}
    assert figures("table\n") is None and figures("") is None and figures("3") is None


def test_counts_are_read_from_dots() -> None:
    output = "..s.F                 [100%]\nFAILED tests/a.py::test_x - assert 1\n"
    assert test_counts(output) == {"passed": 3, "skipped": 1, "not_passed": ["tests/a.py::test_x"]}
    assert test_counts("no tests ran") is None


def test_the_files_of_gpu_tests_are_found() -> None:
    assert ROOT / "tests/conan_train/model/softmask/test_cuda.py" in test_files()


def test_tests_run_without_pytest(tmp_path: Path) -> None:
    """In a process where pytest is the stand-in, on files elsewhere."""
    folder = tmp_path / "tests" / "conan_train"
    folder.mkdir(parents=True)
    (folder / "test_some.py").write_text(TESTS)
    script = f"""
import sys; from pathlib import Path
import tests.benchmarks.gpu_tests as runner
import tests; tests.__path__.insert(0, {str(tmp_path / "tests")!r})
runner.ROOT = Path({str(tmp_path)!r})
runner.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["passed"] == 3
    assert found["not_passed"] == ["test_product {'two': 5, 'three': 6, 'one': 2}"]
    assert found["skipped"] == ["test_fixture: needs tmp_path"]


@pytest.mark.parametrize("text", ["", "nothing of the kind"])
def test_no_dots_are_no_result(text: str) -> None:
    assert test_counts(text) is None
