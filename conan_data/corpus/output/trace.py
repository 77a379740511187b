"""The record of what was dropped: one row each, in the order of the input, with the reason, and for duplicates
the id of the document that stayed. Broken rows are also kept as they were, in a file of their own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conan_data.corpus.output.names import Names
from conan_data.corpus.output.reasons import REASONS, reasons
from conan_data.corpus.records import blocks
from conan_data.corpus.workspace import Workspace, opened, survivors
from conan_data.files import written_aside
from conan_data.readers import Broken

DROPPED = pa.schema(
    [
        pa.field(name, pa.int64() if name == "place" else pa.string())
        for name in ("id", "file", "place", "stage", "reason", "lang", "detail")
    ]
)
BLOCK = 1 << 15
"""Rows of the input looked at together."""
_EARLY = [*DROPPED.names, "raw"]


def write_trace(work: Workspace, trace: Path, quarantine: Path) -> None:
    """Writes both files, `trace` last."""
    with (
        written_aside(trace) as trace_aside,
        written_aside(quarantine) as quarantine_aside,
        open(quarantine_aside, "wb") as broken,
        pq.ParquetWriter(trace_aside, DROPPED, compression="zstd") as writer,
    ):
        for found in _tables(work):
            for row in _broken(found):
                broken.write(row.to_json())
            writer.write_table(found.select(DROPPED.names), row_group_size=BLOCK)


def _tables(work: Workspace) -> Iterator[pa.Table]:
    """The drops of each block of rows, joined to tables of a fair size."""
    waiting: list[pa.Table] = []
    for part in blocks(len(opened(work).order), BLOCK):
        waiting.append(_drops(work, np.arange(part.start, part.stop)))
        if sum(map(len, waiting)) >= BLOCK:
            yield pa.concat_tables(waiting)
            waiting = []
    yield from ([pa.concat_tables(waiting)] if waiting else [])


def _drops(work: Workspace, numbers: np.ndarray) -> pa.Table:
    """The drops among `numbers`, in their order."""
    open_ = opened(work)
    positions = open_.order.positions[numbers]
    early = positions >= open_.parts.num_kept
    codes = np.where(early, 0, reasons(work, numbers))
    schema = DROPPED.append(pa.field("raw", pa.string()))
    found = [schema.empty_table()]
    if early.any():
        found.append(open_.parts.take(positions[early], _EARLY).cast(schema))
    if codes.any():
        found.append(_duplicates(work, numbers[codes > 0], codes[codes > 0]).cast(schema))
    order = np.argsort(np.concatenate([numbers[early], numbers[codes > 0]]))
    return pa.concat_tables(found).combine_chunks().take(pa.array(order))


def _duplicates(work: Workspace, numbers: np.ndarray, codes: np.ndarray) -> pa.Table:
    open_, names = opened(work), Names(work)
    own = open_.parts.take(open_.order.positions[numbers], ["id", "file", "place", "lang"])
    stay = survivors(work, "near")[numbers]
    inside = stay < open_.first_reference
    ids = iter(names.ids(stay[inside]))
    details = [
        next(ids) if is_inside else open_.references.describe(number)
        for number, is_inside in zip(stay.tolist(), inside.tolist())
    ]
    columns = {
        "id": names.ids(numbers, own.column("id").to_pylist()),
        "file": own.column("file"),
        "place": own.column("place"),
        "stage": ["dedup"] * len(numbers),
        "reason": [REASONS[code] for code in codes.tolist()],
        "lang": own.column("lang"),
        "detail": details,
        "raw": pa.nulls(len(numbers), pa.string()),
    }
    return pa.table(columns)


def _broken(drops: pa.Table) -> Iterator[Broken]:
    rows = drops.filter(pc.equal(drops.column("stage"), "read")).select(["file", "place", "reason", "raw"])
    for row in rows.to_pylist():
        yield Broken(row["file"], row["place"], row["reason"].removeprefix("broken-"), row["raw"] or "")
