"""`conan-data build-corpus`: raw documents in many languages to one clean, deduplicated corpus, every drop on
record.

Tasks filter their rows in parallel (`pipeline`); what needs all documents at once, unique ids and duplicates,
is found after them out of core (`dedup.search`); then the files are written in parallel (`output`). All passes
go by the order of the input, so the output is the same for any number of tasks and workers, and none needs
memory that grows with the corpus. Kept documents lie in `data/<lang>/part-00000.parquet`, ..., their hashes in
`index/` for later runs, drops in `dropped.parquet` (one row each), broken rows as they were in
`quarantine.jsonl`.

Ids: a row keeps the id that it brings, and one without is called by the path of its file below the input, and its
place. Where several texts have one id, each of them gets `<id>~<hash of its text>` (see `dedup.ids`), so that more
input never gives an id to another text. Rows of two sources that count from 0 are different documents, so dropping
them would lose the second source; a row that is there twice goes as a duplicate.

A run that ended early goes on where it was, with the number of tasks that it began with.
"""

import dataclasses
import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conan_data import artifact, sources
from conan_data.cards.card import CARD, default_card
from conan_data.config import parse_memory
from conan_data.corpus import parts, tokenizer
from conan_data.corpus.config import GROUP_FIELDS, BuildCorpusConfig
from conan_data.corpus.dedup.against import find_references, inputs
from conan_data.corpus.dedup.buckets import BAND
from conan_data.corpus.dedup.index import write_settings
from conan_data.corpus.dedup.search import find_duplicates
from conan_data.corpus.dedup.spill import bits_for
from conan_data.corpus.order import write_order
from conan_data.corpus.output.account import extraction_report, funnel, label_report
from conan_data.corpus.output.examples import choose_examples
from conan_data.corpus.output.names import Names
from conan_data.corpus.output.plan import Plan, is_planned, make_plan
from conan_data.corpus.passes import Runner, run_pass
from conan_data.corpus.pipeline import pipeline
from conan_data.corpus.report import examples
from conan_data.corpus.report.counts import listed
from conan_data.corpus.report.report import PAGE, CorpusRecord, write_report
from conan_data.corpus.rules.boilerplate import lines_within, merge_counts, missing_counts
from conan_data.corpus.steps.boilerplate import CountLines
from conan_data.corpus.steps.output import QUARANTINE, WriteOutput
from conan_data.corpus.steps.read import ReadRows
from conan_data.corpus.workspace import Workspace, opened
from conan_data.errors import UnfinishedError, UserError
from conan_data.language.identify import load_identifier, model_file
from conan_data.manifest import Job
from conan_data.readers.fields import check_text_field

log = logging.getLogger(__name__)


def build_corpus(config: BuildCorpusConfig) -> Path:
    """Builds the corpus and returns its directory.

    Raises `UserError` for a language that cannot be recognised, for input that is not there, and when nothing
    would be kept; `UnfinishedError` when the disk is full, memory runs out or a worker was killed.
    """
    load_identifier(config.identifier, config.languages)
    files = sources.expand_named(config.input)
    check_text_field(files, config.text_field)
    with artifact.building(
        config,
        kind="corpus",
        command="conan-data build-corpus",
        inputs=[*files, *_tools(config)],
        resume=True,
    ) as build:
        if build.done:
            return build.out
        try:
            run = Runner(config.executor, config.workers, build.work / "tasks")
            rows, extra = _build(config, files, build.dir, build.header, run)
        except UnfinishedError:
            raise
        except UserError:
            _clear(build.dir)
            raise
        # In one step, so that parts that are half removed are never taken for whole ones.
        os.rename(_parts_folder(build.dir, config), build.work / "parts")
        return build.publish(rows=rows, extra=extra, card=default_card)


def _build(
    config: BuildCorpusConfig, files: Mapping[Path, str], out: Path, header: Job, run: Runner
) -> tuple[artifact.Rows, dict[str, Any]]:
    """All passes; returns what becomes of the rows and what the manifest says beside it."""
    folder = _parts_folder(out, config)
    work = _filter(config, files, folder, run)
    find_duplicates(work, run)
    if not is_planned(work):
        _clear_output(out)
    plan = make_plan(work, config.shard_documents)
    counts = parts.sum_counts(folder, work.num_parts)
    drops = funnel(counts["drops"], plan)
    rows = _rows(work, plan, drops)
    shown, tokens = choose_examples(work)
    _warn_of_shared_ids(work)
    output = WriteOutput(work, plan, out)
    run_pass(output, output.num_tasks, run)
    write_settings(out / "index", config.dedup)
    extra = {
        "kept": plan.documents,
        "characters": plan.characters,
        "tokens": tokens,
        "funnel": drops,
        "labels": label_report(counts["labels"]),
        "masked": dict(sorted(counts["masked"].items())),
        "other_languages": dict(sorted(counts["other_languages"].items())),
        "extraction": extraction_report(counts["parts"]),
        "renamed_ids": Names(work).num_renamed,
    }
    examples.write(out / examples.FILE, shown)
    record = CorpusRecord(
        rows=dataclasses.asdict(rows),
        extra=extra,
        config=header["config"],
        inputs=header["inputs"],
        examples=shown,
    )
    write_report(out / PAGE, record)
    _tell_broken(drops, rows.read)
    return rows, extra


def _tools(config: BuildCorpusConfig) -> list[Path]:
    """What the result depends on beside the files: references, models, lists and a tokenizer."""
    model = model_file(config.identifier)
    return [
        *([model] if model else []),
        *config.classify.inputs,
        *config.safety.inputs,
        *inputs(config.dedup),
        *([tokenizer.find(config.tokenizer)] if config.tokenizer else []),
    ]


def _filter(config: BuildCorpusConfig, files: Mapping[Path, str], folder: Path, run: Runner) -> Workspace:
    """The first pass, over the input and over what it is held against; then all rows in one order."""
    num_parts = int(folder.name.rpartition("-")[2])
    if missing := parts.missing_parts(folder, num_parts):
        boilerplate = _count_lines(config, files, folder / "lines", num_parts, run)
        run(pipeline(config, files, folder, boilerplate), missing, num_parts, label="filtering")
    _check_group(config, parts.sum_counts(folder, num_parts))
    references = find_references(config.dedup, folder / "reference", run)
    found = parts.Parts(folder, num_parts)
    if found.num_rows == 0:
        raise UserError("input: the files hold no rows")
    write_order(found, folder)
    worker_bytes = parse_memory(config.memory) // config.workers
    num_documents = found.num_kept + sum(reference.num_documents for reference in references)
    num_bytes = num_documents * config.dedup.num_bands * BAND.itemsize
    return Workspace(
        folder,
        num_parts,
        config.dedup,
        references,
        # Grouping a partition takes some six times its records.
        bits=bits_for(num_bytes, worker_bytes // 8, at_least=config.workers),
        worker_bytes=worker_bytes,
        stamp=(folder / "positions").stat().st_mtime_ns,
    )


def _count_lines(
    config: BuildCorpusConfig, files: Mapping[Path, str], folder: Path, num_parts: int, run: Runner
) -> Path | None:
    """Where the lines lie that many documents of a host share; None where they are not asked for."""
    if not config.rules.boilerplate_documents:
        return None
    run_lines = lines_within(parse_memory(config.memory) // config.workers)
    steps = [ReadRows.from_config(config, files), CountLines(folder, run_lines=run_lines)]
    run(steps, missing_counts(folder, num_parts), num_parts, label="counting lines")
    return merge_counts(folder, num_parts, config.rules.boilerplate_documents, run=run_lines)


def _rows(work: Workspace, plan: Plan, drops: list[dict[str, Any]]) -> artifact.Rows:
    dropped: Counter[str] = Counter()
    for entry in drops:
        dropped[entry["reason"]] += entry["rows"]
    rows = artifact.Rows(read=opened(work).parts.num_rows, kept=sum(plan.documents.values()), dropped=dropped)
    if rows.kept == 0:
        raise UserError(
            f"input: no document is left ({artifact.describe(rows)}); add languages, or loosen the rules"
        )
    return rows


def _tell_broken(drops: list[dict[str, Any]], num_read: int) -> None:
    """Warn of the rows that nobody can read: they lie in a file that nobody looks at unasked."""
    broken: Counter[str] = Counter()
    for entry in drops:
        if entry["stage"] == "read":
            broken[entry["reason"]] += entry["rows"]
    if broken:
        log.warning(
            "%s of %s rows could not be read and are in %s, as they were (%s)",
            *(f"{broken.total():,}", f"{num_read:,}", QUARANTINE, listed(broken, most=4)),
        )


def _warn_of_shared_ids(work: Workspace) -> None:
    names = Names(work)
    if names.num_renamed:
        log.warning(
            "%s documents share an id with one of another text, and are called by it and a hash of their text, such as %s",
            f"{names.num_renamed:,}",
            names.first_renamed,
        )


def _check_group(config: BuildCorpusConfig, counts: dict[str, Counter[str]]) -> None:
    name = next((name for name in GROUP_FIELDS if getattr(config, name)), "")
    if name and counts["rows"]["kept"] and not counts["fields"]["group"]:
        wanted = f"has a field {config.group_field!r}"
        if not config.group_field:
            searched = "id" if config.group_regex else "path"
            wanted = f"has an {searched}" if searched == "id" else "has a path"
            wanted += f" in which {getattr(config, name)!r} is found"
        raise UserError(f"{name}: no document {wanted}")


def _parts_folder(out: Path, config: BuildCorpusConfig) -> Path:
    """Where the parts lie: those of the run that was interrupted, so that two cuts are never mixed."""
    folder = next(iter(sorted(out.glob("parts-*"))), out / f"parts-{config.num_tasks}")
    if folder.name != f"parts-{config.num_tasks}":
        log.info("%s: going on with the tasks of the interrupted run (%s)", out, folder.name)
    return folder


def _clear(out: Path) -> None:
    _clear_output(out)
    for folder in out.glob("parts-*"):
        shutil.rmtree(folder)


def _clear_output(out: Path) -> None:
    for path in (
        out / "data",
        out / "index",
        out / "dropped.parquet",
        out / "quarantine.jsonl",
        out / PAGE,
        out / CARD,
        out / examples.FILE,
    ):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
