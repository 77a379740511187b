"""The search for duplicates over a whole corpus, as the list of its passes.

Hashes are spilled by their top bits, so that equal ones meet in one partition; there duplicates are found.
Documents that share a band key are joined to components, which are compared in parallel. Between the passes
one process puts together what the tasks found; its work is a few array operations a document.
"""

from collections.abc import Callable
from functools import partial

from conan_data.corpus.dedup import settle
from conan_data.corpus.passes import FEW_ROWS, Pass, Runner, run_pass
from conan_data.corpus.steps import duplicates as steps
from conan_data.corpus.workspace import Workspace, opened


def find_duplicates(work: Workspace, runner: Runner) -> None:
    """Leaves the survivors, groups and suffixes of all documents in the workspace."""
    find_components(work, runner)
    compare_components(work, runner)


def find_components(work: Workspace, runner: Runner) -> None:
    """What hashes tell: suffixes, exact duplicates and pages of one address, and who is to be compared."""
    run, num_files = _run(work, runner), work.num_parts + len(work.references)
    run(steps.ScatterHashes(work), num_files)
    settle.gather_facts(work)
    run(steps.RenameIds(work), work.num_partitions)
    settle.gather_suffixes(work)
    last = ""
    for kind in work.stages:
        run(steps.FindGroups(work, kind, last, num_files), work.num_partitions)
        settle.gather_survivors(work, kind, after=last)
        last = kind
    run(steps.FindBuckets(work, last, num_files), work.num_partitions)
    settle.gather_components(work)


def compare_components(work: Workspace, runner: Runner) -> None:
    """What texts tell: the near duplicates."""
    run = _run(work, runner)
    run(steps.ExtractTexts(work), len(work.references))
    run(steps.SplitComponents(work), work.num_partitions)
    run(steps.CompareNear(work), work.num_partitions)
    settle.gather_near(work, after=work.stages[-1])


def _run(work: Workspace, runner: Runner) -> Callable[[Pass, int], None]:
    few = opened(work).num_numbers <= FEW_ROWS
    return partial(run_pass, run=runner.here if few else runner)
