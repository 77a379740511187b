"""`python -m conan_data.corpus.execution.job FOLDER FIRST`: the task of a Slurm array job. FOLDER describes the
pass, FIRST is the place in its `ranks.json` that array index 0 stands for.
"""

import json
import os
import sys
from pathlib import Path

from conan_data.command import configure_logging
from conan_data.corpus.execution.remote import failure_of, run_described


def main(folder: Path, index: int) -> int:
    """Runs the task and returns the exit code; its error, if any, goes to the log of the job too."""
    configure_logging()
    rank = json.loads((folder / "ranks.json").read_text(encoding="utf-8"))[index]
    run_described(folder, rank)
    failure = failure_of(folder, rank)
    if failure is not None:
        print(failure.message if failure.user else failure.traceback, file=sys.stderr)
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) + int(os.environ["SLURM_ARRAY_TASK_ID"])))
