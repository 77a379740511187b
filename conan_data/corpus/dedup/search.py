"""The search for duplicates over a whole corpus, as the list of its passes.

Hashes are spilled by their top bits, so that equal ones meet in one partition; there duplicates are found.
Documents that share a band key are joined to components, which are compared in parallel. Between the passes
one process puts together what the tasks found; its work is a few array operations a document.
"""

from conan_data.corpus.dedup import settle
from conan_data.corpus.passes import FEW_ROWS, Pass, Runner, run_pass
from conan_data.corpus.steps import duplicates as steps
from conan_data.corpus.workspace import Workspace, opened


def find_duplicates(work: Workspace, runner: Runner) -> None:
    """Leaves the survivors, groups and suffixes of all documents in the workspace."""
    few = opened(work).num_numbers <= FEW_ROWS

    def run(step: Pass, num_tasks: int = work.num_partitions) -> None:
        run_pass(step, num_tasks, runner.here if few else runner)

    num_files = work.num_parts + len(work.references)
    run(steps.ScatterHashes(work), num_files)
    settle.gather_facts(work)
    run(steps.RenameIds(work))
    settle.gather_suffixes(work)
    last = ""
    for kind in ("exact", "url") if work.dedup.url else ("exact",):
        run(steps.FindGroups(work, kind, last, num_files))
        settle.gather_survivors(work, kind, after=last)
        last = kind
    run(steps.FindBuckets(work, last, num_files))
    settle.gather_components(work)
    run(steps.ExtractTexts(work), len(work.references))
    run(steps.SplitComponents(work))
    run(steps.CompareNear(work))
    settle.gather_near(work, after=last)
