"""`conan-data build-corpus`: raw documents in many languages to one clean, deduplicated corpus, every drop on
record.

Tasks filter their rows in parallel (`steps`); what needs all documents at once, unique ids and duplicates,
happens after them, in the order of the input. The output is the same for any number of tasks and workers.
Kept documents lie in `data/<lang>/part-00000.parquet`, drops in `dropped.parquet` (one row each), broken rows
as they were in `quarantine.jsonl`.

Ids: the first row of an id keeps it, each further one gets `<id>~2`, `<id>~3`, ... Rows of two sources that
count from 0 are different documents, so dropping them would lose the second source; a row that is there twice
goes as a duplicate.
"""

import dataclasses
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import artifact, sources, tables
from conan_data.corpus import parts, tokenizer
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.shingles import shingles
from conan_data.corpus.dedup.survivors import exact_survivors, near_survivors, survival_rank
from conan_data.corpus.documents import Dropped
from conan_data.corpus.executor import Executor
from conan_data.corpus.pipeline import pipeline
from conan_data.corpus.report import examples
from conan_data.corpus.report.examples import Example
from conan_data.corpus.report.report import PAGE, CorpusRecord, write_report
from conan_data.errors import UserError
from conan_data.language.identify import LangidIdentifier
from conan_data.progress import progress
from conan_data.readers import Broken, quarantine

log = logging.getLogger(__name__)

DROPPED = pa.schema(
    [
        pa.field(name, pa.int64() if name == "place" else pa.string())
        for name in ("id", "file", "place", "stage", "reason", "lang", "detail")
    ]
)
ROW_GROUP = 5000
CACHED_SHINGLES = 4096
"""Documents whose shingles are held while near duplicates are compared."""


def build_corpus(config: BuildCorpusConfig) -> Path:
    """Builds the corpus and returns its directory.

    Raises `UserError` for a language that cannot be recognised, for input that is not there, and when nothing
    would be kept.
    """
    LangidIdentifier(config.languages)
    files = sources.expand(config.input)
    inputs = [*files, tokenizer.find(config.tokenizer)] if config.tokenizer else files
    with artifact.building(
        config, kind="corpus", command="conan-data build-corpus", inputs=inputs, resume=True
    ) as build:
        if build.done:
            return build.out
        folder = build.dir / f"parts-{config.num_tasks}"
        try:
            _filter(config, files, folder, logging_dir=build.work / "datatrove")
            kept, dropped = (
                parts.Table(folder, "kept", config.num_tasks),
                parts.Table(folder, "dropped", config.num_tasks),
            )
            _check_group(config, kept)
            ids = unique_ids(kept.column("id"))
            duplicates = find_duplicates(kept, ids, config.dedup)
            drops = _all_drops(kept, dropped, ids, duplicates)
            rows = artifact.Rows(
                read=len(kept) + len(dropped),
                kept=len(kept) - len(duplicates),
                dropped=Counter(drop["reason"] for drop in drops),
            )
            _check_not_empty(rows)
            extra = _write_documents(kept, ids, duplicates, build.dir / "data") | {
                "funnel": funnel(drops),
                "other_languages": dict(
                    Counter(drop["detail"] for drop in drops if drop["reason"] == "other-language")
                ),
                "labels": label_report(parts.sum_counts(folder, config.num_tasks)["labels"]),
                "renamed_ids": sum(new != old for new, old in zip(ids, kept.column("id"), strict=True)),
            }
            shown = choose_examples(folder, config.num_tasks, kept, ids, duplicates)
        except UserError:
            _remove_parts(build.dir)
            raise
        pq.write_table(
            pa.Table.from_pylist(drops, schema=DROPPED), build.dir / "dropped.parquet", compression="zstd"
        )
        quarantine(_broken_rows(dropped), build.dir / "quarantine.jsonl")
        examples.write(build.dir / examples.FILE, shown)
        record = CorpusRecord(
            rows=dataclasses.asdict(rows),
            extra=extra,
            config=build.header["config"],
            inputs=build.header["inputs"],
            examples=shown,
        )
        write_report(build.dir / PAGE, record)
        del kept, dropped
        _remove_parts(build.dir)
        return build.publish(rows=rows, extra=extra)


def unique_ids(ids: list[str]) -> list[str]:
    """`ids` in their order, each further holder of one with `~2`, `~3`, ... behind it, passing over ids that
    are taken.
    """
    taken = set(ids)
    seen: Counter[str] = Counter()
    unique = []
    for name in ids:
        seen[name] += 1
        chosen = name
        while seen[name] > 1 and chosen in taken:
            chosen = f"{name}~{seen[name]}"
            seen[name] += chosen in taken
        taken.add(chosen)
        unique.append(chosen)
    return unique


def find_duplicates(kept: parts.Table, ids: list[str], config: DedupConfig) -> dict[int, Dropped]:
    """The documents (by index) that another one stands for; `detail` is the id of that one, which is kept.

    The copy of a document that is itself dropped as a near duplicate counts as a near duplicate of the same
    one.
    """
    log.info("looking for duplicates among %s documents", f"{len(kept):,}")
    rank = survival_rank(np.array([len(kept.text(index)) for index in range(len(kept))], dtype=np.int64), ids)
    hashes = np.frombuffer(b"".join(kept.column("exact_hash")), dtype=np.uint64).reshape(-1, 2)
    exact = exact_survivors(hashes, rank)
    keys = kept.column("band_keys")
    compared = np.array(
        [index for index in range(len(kept)) if exact[index] == index and keys[index] is not None],
        dtype=np.int64,
    )
    key_matrix = np.frombuffer(b"".join(keys[index] for index in compared), dtype=np.uint64).reshape(
        -1, config.num_bands
    )

    @lru_cache(maxsize=CACHED_SHINGLES)
    def shingles_of(index: int) -> np.ndarray:
        return shingles(kept.text(int(compared[index])), config.ngram)

    near = np.arange(len(kept))
    near[compared] = compared[near_survivors(key_matrix, rank[compared], shingles_of, config.threshold)]
    return {
        index: Dropped(
            "dedup", "exact-duplicate" if survivor == exact[index] else "near-duplicate", ids[survivor]
        )
        for index, survivor in enumerate(near[exact].tolist())
        if survivor != index
    }


def choose_examples(
    folder: Path, num_parts: int, kept: parts.Table, ids: list[str], duplicates: dict[int, Dropped]
) -> list[Example]:
    """Examples of the drops of all parts, of duplicates with the text that stays, and of what is kept."""
    chosen = examples.merge(parts.part_path(folder, "examples", rank) for rank in range(num_parts))
    index_of = {name: index for index, name in enumerate(ids)}
    columns = zip(ids, *(kept.column(name) for name in ("lang", "file", "place")), strict=True)
    for index, (name, lang, file, place) in enumerate(columns):
        drop = duplicates.get(index)
        stage, reason = (drop.stage, drop.reason) if drop else (examples.KEPT, "")
        if chosen.wants(stage, reason, lang, file, place):
            chosen.offer(
                stage,
                reason,
                lang=lang,
                file=file,
                place=place,
                id=name,
                detail=drop.detail if drop else "",
                text=kept.text(index),
                other_text=kept.text(index_of[drop.detail]) if drop else "",
            )
    return chosen.sorted()


def funnel(drops: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops counted by stage, reason and language."""
    counts = Counter((drop["stage"], drop["reason"], drop["lang"] or "") for drop in drops)
    return [
        {"stage": stage, "reason": reason, "lang": lang, "rows": rows}
        for (stage, reason, lang), rows in sorted(counts.items())
    ]


def label_report(counts: Counter[str]) -> dict[str, Any]:
    """Declared languages against sure guesses: how many were right or wrong, and which was taken for which
    (`declared>found`).
    """
    wrong = {label: count for label, count in sorted(counts.items()) if ">" in label}
    others = {label: counts[label] for label in ("right", "missing", "unknown", "unchecked")}
    return {**others, "wrong": sum(wrong.values()), "confusion": wrong}


def _filter(config: BuildCorpusConfig, files: list[Path], folder: Path, *, logging_dir: Path) -> None:
    """Runs the tasks whose parts are missing."""
    executor = Executor(
        pipeline(config, files, folder),
        tasks=config.num_tasks,
        workers=config.workers,
        logging_dir=logging_dir,
    )
    executor.run_ranks(parts.missing_parts(folder, config.num_tasks))


def _all_drops(
    kept: parts.Table, dropped: parts.Table, ids: list[str], duplicates: dict[int, Dropped]
) -> list[dict[str, Any]]:
    """Drops of the tasks, then the duplicates, each in the order of the input."""
    early = {name: dropped.column(name) for name in DROPPED.names}
    rows = [dict(zip(early, values, strict=True)) for values in zip(*early.values(), strict=True)]
    files, places, langs = (kept.column(name) for name in ("file", "place", "lang"))
    for index, drop in duplicates.items():
        place = {"id": ids[index], "file": files[index], "place": places[index], "lang": langs[index]}
        rows.append(place | {"stage": drop.stage, "reason": drop.reason, "detail": drop.detail})
    return rows


def _write_documents(
    kept: parts.Table, ids: list[str], duplicates: dict[int, Dropped], folder: Path
) -> dict[str, Any]:
    """Writes one file a language; returns documents and characters by language."""
    shutil.rmtree(folder, ignore_errors=True)
    columns = {
        name: kept.column(name)
        for name in ("lang", "lang_score", "title", "url", "source", "group", "tokens")
    }
    by_lang: dict[str, list[int]] = {}
    for index, lang in enumerate(columns["lang"]):
        if index not in duplicates:
            by_lang.setdefault(lang, []).append(index)
    characters: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for lang, indices in progress(sorted(by_lang.items()), "writing", unit="language"):
        path = folder / lang / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        characters[lang] = 0
        tokens[lang] = sum(columns["tokens"][index] or 0 for index in indices)
        with pq.ParquetWriter(path, tables.DOCUMENT, compression="zstd") as writer:
            for start in range(0, len(indices), ROW_GROUP):
                batch = indices[start : start + ROW_GROUP]
                texts = [kept.text(index) for index in batch]
                characters[lang] += sum(map(len, texts))
                values = {name: [column[index] for index in batch] for name, column in columns.items()}
                values |= {"id": [ids[index] for index in batch], "text": texts}
                values["group"] = [
                    group or own for group, own in zip(values["group"], values["id"], strict=True)
                ]
                writer.write_table(tables.check(pa.table(values), tables.DOCUMENT, path))
    return {
        "kept": {lang: len(indices) for lang, indices in sorted(by_lang.items())},
        "characters": characters,
        "tokens": tokens if any(tokens.values()) else {},
    }


def _broken_rows(dropped: parts.Table) -> Iterator[Broken]:
    names = ("file", "place", "reason", "raw", "stage")
    for file, place, reason, raw, stage in zip(*(dropped.column(name) for name in names), strict=True):
        if stage == "read":
            yield Broken(file, place, reason.removeprefix("broken-"), raw or "")


def _check_not_empty(rows: artifact.Rows) -> None:
    if rows.read == 0:
        raise UserError("input: the files hold no rows")
    if rows.kept == 0:
        raise UserError(
            f"input: no document is left ({artifact.describe(rows)}); add languages, or loosen the rules"
        )


def _check_group(config: BuildCorpusConfig, kept: parts.Table) -> None:
    if config.group_field and len(kept) and not any(kept.column("group")):
        raise UserError(f"group_field: no document has a field {config.group_field!r}")


def _remove_parts(directory: Path) -> None:
    for folder in directory.glob("parts-*"):
        shutil.rmtree(folder)
