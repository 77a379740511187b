"""Tasks as array jobs of Slurm.

datatrove's own Slurm executor sends a pickle, returns at once, and nobody learns what became of the tasks. Here
a task runs `conan_data.corpus.execution.job` on a description in plain JSON, and the command waits: the queue
says which tasks still have a job, the shared folder what those that ended left behind. A task that ended and
left nothing was killed, cancelled, or never began. The others run to their end, then the run fails and names
those tasks; nothing is sent a second time. The jobs are cancelled when the command ends before they do, or, after
it was killed, when it is started again.

Only `sbatch`, `squeue` and `scancel` are needed, no accounting database.
"""

import json
import logging
import shlex
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from conan_data.corpus.execution import remote
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import TaskSet
from conan_data.corpus.execution.failure import Failure
from conan_data.errors import UnfinishedError

log = logging.getLogger(__name__)
ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
        *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
"""States in which the queue still shows a task some minutes after it ended."""
LOG_LINES = 15
SECONDS_WITHOUT_ANSWER = 900.0
"""How long the controller of the cluster may be away."""
SECONDS_BETWEEN_LINES = 300.0
SECONDS_FOR_A_FAILURE = 5.0
"""How long a task that did not end well may take to show why; most leave nothing."""


def run_on_slurm(
    work: TaskSet, ranks: Sequence[int], logging_dir: Path, *, workers: int, config: ExecutorConfig
) -> Generator[int, None, None]:
    """Runs the tasks, up to `workers` at a time, and yields each one that has ended, well or not.

    Raises at the end when tasks failed: the error of the task itself where there is one, and it is the user's
    or the only one; else an `UnfinishedError` that names the tasks and their logs.
    """
    folder = remote.describe(work, logging_dir)
    (folder / "ranks.json").write_text(json.dumps(list(ranks)))
    script = folder / "job.sh"
    failures: dict[int, Failure | str] = {}
    for first in range(0, len(ranks), config.max_array):
        script.write_text(job_script(config, folder, first))
        chosen = ranks[first : first + config.max_array]
        job = _submit(sbatch_command(config, folder, script, len(chosen), workers), logging_dir)
        try:
            for states in _ended(job, len(chosen), config):
                states_by_rank = {chosen[index]: state for index, state in states.items()}
                failures |= _problems(work, folder, states_by_rank)
                yield from states_by_rank
        finally:
            _run(["scancel", job])
            _jobs_file(logging_dir).unlink(missing_ok=True)
    if failures:
        raise _error(work, folder, failures)


def job_script(config: ExecutorConfig, folder: Path, first: int) -> str:
    """What a node runs for a task."""
    command = [
        config.python or sys.executable,
        "-m",
        "conan_data.corpus.execution.job",
        str(folder),
        str(first),
    ]
    return "\n".join(
        ["#!/bin/bash", *([config.setup] if config.setup else []), f"exec {shlex.join(command)}", ""]
    )


def sbatch_command(
    config: ExecutorConfig, folder: Path, script: Path, num_tasks: int, workers: int
) -> list[str]:
    """How the array job is sent; the node's output goes to `log-<index>.txt`, one a task."""
    memory = [f"--mem={-(-config.memory_bytes // 2**20)}M"] if config.memory_bytes else []
    return [
        *("sbatch", "--parsable", f"--job-name=conan-{folder.name}", f"--array=0-{num_tasks - 1}%{workers}"),
        *("--ntasks=1", f"--cpus-per-task={config.cpus_per_task}", *memory, f"--time={config.time}"),
        *([f"--partition={config.partition}"] if config.partition else []),
        *([f"--qos={config.qos}"] if config.qos else []),
        *("--no-requeue", f"--output={folder}/log-%A-%a.txt", *config.sbatch_args, str(script)),
    ]


def read_queue(text: str) -> dict[int, tuple[str, str]]:
    """State and reason of each array index, out of what `squeue --format=%K|%T|%r` prints."""
    found = {}
    for line in text.splitlines():
        index, state, reason = line.strip().split("|", 2)
        if index.isdecimal():
            found[int(index)] = (state, reason)
    return found


def _submit(command: list[str], logging_dir: Path) -> str:
    result = _run(command)
    if result.returncode:
        raise UnfinishedError(f"executor: sbatch refused the job: {_one_line(result.stderr)}")
    job = result.stdout.strip().split(";")[0]
    _jobs_file(logging_dir).write_text(job)
    log.info("slurm: sent job %s", job)
    return job


def _ended(job: str, num_tasks: int, config: ExecutorConfig) -> Generator[dict[int, str], None, None]:
    """Array indices whose job has ended since the last look, with the state it ended in, until there is no
    other.
    """
    waiting = set(range(num_tasks))
    said = answered = time.monotonic()
    while True:
        queue = _queue(job)
        now = time.monotonic()
        if queue is not None:
            answered = now
            states = {index: queue.get(index, ("gone", ""))[0] for index in sorted(waiting)}
            over = {index: state for index, state in states.items() if state in ENDED | {"gone"}}
            if over:
                yield over
            waiting -= over.keys()
            if not waiting:
                return
            if now - said > SECONDS_BETWEEN_LINES:
                said = now
                log.info("slurm: job %s: %s", job, _summary(queue))
        elif now - answered > SECONDS_WITHOUT_ANSWER:
            raise UnfinishedError(
                f"executor: squeue has given no answer for {SECONDS_WITHOUT_ANSWER:.0f} s; run again when Slurm is back"
            )
        time.sleep(config.poll_seconds)


def _queue(job: str) -> dict[int, tuple[str, str]] | None:
    """What the queue says of the job's tasks; None where it gives no answer."""
    result = _run(["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%K|%T|%r"])
    if result.returncode == 0:
        return read_queue(result.stdout)
    # A job that ended some minutes ago is forgotten.
    return {} if "Invalid job id" in result.stderr else None


def _summary(queue: dict[int, tuple[str, str]]) -> str:
    active = [state for state, _ in queue.values() if state not in ENDED]
    reasons = sorted({reason for state, reason in queue.values() if state == "PENDING"})
    counts = ", ".join(f"{active.count(state)} {state.lower()}" for state in sorted(set(active)))
    return counts + (f" (waiting for: {', '.join(reasons)})" if reasons else "")


def _problems(work: TaskSet, folder: Path, states: dict[int, str]) -> dict[int, Failure | str]:
    """Why tasks whose jobs have ended are not done; said in the log at once."""
    done = [rank for rank, state in states.items() if state == "COMPLETED"]
    if missing := remote.wait_until_ended(folder, done):
        raise remote.not_shared(folder, work.task(min(missing)))
    missing = remote.wait_until_ended(folder, states, seconds=SECONDS_FOR_A_FAILURE)
    problems: dict[int, Failure | str] = {}
    for rank, state in states.items():
        where = work.task(rank)
        if rank in missing:
            problems[rank] = state
            log.warning("%s ended without a result (%s)%s", where, state, _log_tail(folder, rank))
        elif failure := remote.failure_of(folder, rank):
            problems[rank] = failure
            log.warning("%s failed: %s: %s", where, failure.type, failure.message)
    return problems


def _log_tail(folder: Path, rank: int) -> str:
    ranks = json.loads((folder / "ranks.json").read_text())
    index = ranks.index(rank)
    logs = [path for path in folder.glob("log-*.txt") if path.stem.endswith(f"-{index}")]
    lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
    return "; the end of its log:\n" + "\n".join(lines[-LOG_LINES:]) if lines else "; it left no log"


def _error(work: TaskSet, folder: Path, failures: dict[int, Failure | str]) -> Exception:
    for rank, problem in failures.items():
        if isinstance(problem, Failure) and (problem.user or problem.errno is not None or len(failures) == 1):
            return problem.error(work.task(rank))
    names = ", ".join(
        f"task {rank} ({problem.type if isinstance(problem, Failure) else problem})"
        for rank, problem in sorted(failures.items())[:10]
    )
    more = f" and {len(failures) - 10} more" if len(failures) > 10 else ""
    return UnfinishedError(
        f"executor: {len(failures)} of {work.tasks} tasks ({work.name}) failed: {names}{more}; logs are in {folder}; "
        "the same command runs only those that are missing"
    )


def has_left_over(logging_dir: Path) -> bool:
    """Whether a run that was killed left jobs behind."""
    return _jobs_file(logging_dir).exists()


def cancel_left_over(logging_dir: Path) -> None:
    """Ends the jobs of a run that was killed: they would write where this one writes."""
    path = _jobs_file(logging_dir)
    job = path.read_text()
    log.info("slurm: cancelling job %s of an earlier run", job)
    _run(["scancel", job])
    until = time.monotonic() + remote.SECONDS_TO_APPEAR
    while (queue := _queue(job)) is None or any(state not in ENDED for state, _ in queue.values()):
        if time.monotonic() > until:
            raise UnfinishedError(
                f"executor: job {job} of an earlier run cannot be cancelled; end it by `scancel {job}`"
            )
        time.sleep(0.5)
    path.unlink()


def _jobs_file(logging_dir: Path) -> Path:
    return logging_dir / "slurm-job.txt"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UnfinishedError(
            f"executor: kind slurm needs the command {command[0]}, which is not on this machine's PATH"
        ) from None


def _one_line(text: str) -> str:
    return " ".join(text.split())
