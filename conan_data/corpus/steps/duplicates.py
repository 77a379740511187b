"""The search for duplicates as passes over parts and partitions; what is compared is in `dedup`."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.corpus.dedup.arrays import Sets, mix
from conan_data.corpus.dedup.buckets import BAND, MEMBER, band_records, members
from conan_data.corpus.dedup.groups import HASHED, REFERENCE, Ids, duplicates, hash_pairs, preferences
from conan_data.corpus.dedup.ids import ID, id_records, renamed, text_tags
from conan_data.corpus.dedup.shingles import hasher
from conan_data.corpus.dedup.spill import Spill, SpillWriter, cuts_path, repeated
from conan_data.corpus.dedup.survivors import near_survivors
from conan_data.corpus.passes import Pass
from conan_data.corpus.records import blocks, open_records, records_file, write_records
from conan_data.corpus.workspace import FACTS, PAIR, Workspace, facts, opened, survivors

MEMBERSHIP = np.dtype([("hash", "u8"), ("number", "i8"), ("bucket", "u8")])
"""A document of a bucket, under the hash of its component."""
BLOCK = 1 << 18
MOST_TEXT = 1 << 22
"""Bytes of text that are compared at a time."""


class ScatterHashes(Pass):
    """For each part, then each reference: spills ids, hashes and band keys, and leaves the facts."""

    name = "scatter hashes"

    def result(self, rank: int) -> Path:
        return self.workspace.path("facts", rank)

    def made(self, rank: int) -> list[Path]:
        names = ["exact", "url", "bands", *(["ids"] if rank < self.workspace.num_parts else [])]
        spilled = [self.workspace.path(name, rank) for name in names]
        return [self.result(rank), self.workspace.path("langs", rank), *spilled, *map(cuts_path, spilled)]

    def work(self, rank: int) -> None:
        work, open_ = self.workspace, opened(self.workspace)
        num_parts = work.num_parts
        is_part = rank < num_parts
        spills = {"exact": HASHED, "url": HASHED, "bands": BAND}
        if is_part:
            table, spills["ids"] = open_.parts.table(rank), ID
            numbers = open_.order.numbers[open_.parts.offsets[rank] : open_.parts.offsets[rank + 1]]
        else:
            table = open_.references.tables[rank - num_parts]
            numbers = np.arange(*open_.references.starts[rank - num_parts : rank - num_parts + 2])
        near = is_part or open_.references.references[rank - num_parts].near
        langs: dict[str, int] = {}
        with ExitStack() as stack:
            # Left last, so that the facts are there when everything is.
            add_facts = stack.enter_context(records_file(self.result(rank)))
            add = {
                name: stack.enter_context(self._writer(name, rank, kind)).add for name, kind in spills.items()
            }
            for start, batch in zip(table.starts.tolist(), table.batches):
                rows = self._scatter(
                    batch, numbers[start : start + batch.num_rows], add, is_part=is_part, near=near
                )
                if is_part:
                    rows["lang"] = _codes(batch.column("lang"), langs)
                    add_facts(rows)
            self.workspace.path("langs", rank).write_text(json.dumps(list(langs)), encoding="utf-8")

    def _writer(self, name: str, rank: int, kind: np.dtype) -> SpillWriter:
        work = self.workspace
        return SpillWriter(work.path(name, rank), kind, work.bits, buffer_bytes=work.buffer_bytes // 4)

    def _scatter(
        self,
        batch: pa.RecordBatch,
        numbers: np.ndarray,
        add: Mapping[str, Callable[[np.ndarray], None]],
        *,
        is_part: bool,
        near: bool,
    ) -> np.ndarray:
        """Spills the records of a batch; returns its facts, but for the language."""
        rows = np.zeros(batch.num_rows, dtype=FACTS)
        if is_part:
            add["ids"](id_records(batch.column("id"), numbers, text_tags(batch.column("exact_hash"))))
            rows["characters"] = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
            rows["preference"] = preferences(batch, rows["characters"], self.workspace.dedup)
            rows["bytes"] = pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        else:
            rows["preference"] = REFERENCE
        add["exact"](_hashed(batch.column("exact_hash"), numbers, rows["preference"]))
        if self.workspace.dedup.url:
            add["url"](_hashed(batch.column("url_hash"), numbers, rows["preference"]))
        keys = batch.column("band_keys")
        with_keys = keys.is_valid().to_numpy(zero_copy_only=False)
        if near and with_keys.any():
            bands = np.frombuffer(b"".join(keys.drop_null().to_pylist()), dtype=np.uint64)
            add["bands"](band_records(bands.reshape(-1, self.workspace.dedup.num_bands), numbers[with_keys]))
        return rows


class FindGroups(Pass):
    """For each partition: the duplicates by one kind of hash, of the documents that an earlier stage left."""

    name = "find groups"

    def __init__(self, workspace: Workspace, kind: str, after: str, num_files: int) -> None:
        super().__init__(workspace)
        self.kind, self.after, self.num_files = kind, after, num_files

    def result(self, rank: int) -> Path:
        return self.workspace.path(f"{self.kind}-pairs", rank)

    def work(self, rank: int) -> None:
        work = self.workspace
        spill = work.spill(self.kind, self.num_files, HASHED)
        chunks = _alive(work, spill, rank, after=self.after, max_records=work.max_records(HASHED))
        ids: Ids | None = None if work.dedup.keep == "first" else opened(work).ids
        write_records(self.result(rank), duplicates(repeated(chunks), ids))


class RenameIds(Pass):
    """For each partition of the ids: the rows that get another one."""

    name = "rename ids"

    def result(self, rank: int) -> Path:
        return self.workspace.path("renamed", rank)

    def work(self, rank: int) -> None:
        work = self.workspace
        spill = work.spill("ids", work.num_parts, ID)
        # A row is filed under its own id and at most one other.
        limit = work.max_records(ID)
        chunks = repeated(lambda: spill.chunks(rank, limit, records_a_number=2))
        write_records(self.result(rank), renamed(chunks))


class FindBuckets(Pass):
    """For each partition of the band keys: the members of its buckets."""

    name = "find buckets"

    def __init__(self, workspace: Workspace, after: str, num_files: int) -> None:
        super().__init__(workspace)
        self.after, self.num_files = after, num_files

    def result(self, rank: int) -> Path:
        return self.workspace.path("members", rank)

    def work(self, rank: int) -> None:
        work = self.workspace
        spill = work.spill("bands", self.num_files, BAND)
        chunks = _alive(
            work,
            spill,
            rank,
            after=self.after,
            max_records=work.max_records(BAND),
            records_a_number=work.dedup.num_bands,
        )
        with records_file(self.result(rank)) as add:
            members(chunks, opened(work).first_reference, add)


class SplitComponents(Pass):
    """For each partition of the buckets: spills its members by component."""

    name = "split components"

    def result(self, rank: int) -> Path:
        return self.workspace.path("components", rank)

    def made(self, rank: int) -> list[Path]:
        return [self.result(rank), cuts_path(self.result(rank))]

    def work(self, rank: int) -> None:
        work = self.workspace
        found = open_records(work.path("members", rank), MEMBER)
        labels = open_records(work.scratch / "labels", np.int64)
        path = work.path("components", rank)
        with SpillWriter(path, MEMBERSHIP, work.bits, buffer_bytes=work.buffer_bytes) as spill:
            for part in blocks(len(found), BLOCK):
                block = found[part]
                records = np.empty(len(block), dtype=MEMBERSHIP)
                records["hash"] = mix(labels[block["first"]].astype(np.uint64))
                records["number"], records["bucket"] = block["number"], block["hash"]
                spill.add(records)


class ExtractTexts(Pass):
    """For each reference: copies the texts that will be compared with."""

    name = "extract texts"

    def result(self, rank: int) -> Path:
        return self.workspace.scratch / "texts" / f"rows-{rank:05d}"

    def made(self, rank: int) -> list[Path]:
        texts = self.result(rank).with_name(f"texts-{rank:05d}.arrow")
        has_texts = opened(self.workspace).references.references[rank].shard is not None
        return [self.result(rank), *([texts] if has_texts else [])]

    def work(self, rank: int) -> None:
        references = opened(self.workspace).references
        wanted = open_records(self.workspace.scratch / "wanted", np.bool_)
        start, stop = (references.starts[rank : rank + 2] - references.starts[0]).tolist()
        if references.references[rank].shard is not None:
            references.extract(rank, np.flatnonzero(wanted[start:stop]), self.result(rank).parent)
        else:
            write_records(self.result(rank), np.zeros(0, dtype=np.int64))


class CompareNear(Pass):
    """For each partition of the components: the near duplicates, and what stays in their stead."""

    name = "compare near duplicates"

    def result(self, rank: int) -> Path:
        return self.workspace.path("near-pairs", rank)

    def work(self, rank: int) -> None:
        work, open_ = self.workspace, opened(self.workspace)
        spill = work.spill("components", work.num_partitions, MEMBERSHIP)
        numbers, buckets = _memberships(spill, rank)
        documents = np.unique(numbers)
        documents, places = self._visits(documents, np.searchsorted(documents, numbers))
        del numbers

        num_references = int((documents >= open_.first_reference).sum())

        def load(chosen: np.ndarray) -> Sets:
            texts = self._texts(documents[chosen])
            offsets, data = (
                np.frombuffer(buffer, kind) for buffer, kind in zip(texts.buffers()[1:], ("i8", "u1"))
            )
            return hasher().shingle_sets(data, offsets, work.dedup.ngram)

        stay = near_survivors(
            places,
            buckets,
            num_references,
            load,
            work.dedup.threshold,
            sizes=self._sizes(documents),
            # Texts, and shingles of at most four times their bytes.
            max_size=min(work.worker_bytes // 32, MOST_TEXT),
        )
        dropped = np.flatnonzero(stay != np.arange(len(stay)))
        pairs = np.empty(len(dropped), dtype=PAIR)
        pairs["number"], pairs["target"] = documents[dropped], documents[stay[dropped]]
        write_records(self.result(rank), pairs)

    def _texts(self, numbers: np.ndarray) -> pa.LargeStringArray:
        """Texts of documents in the order of visits."""
        work, open_ = self.workspace, opened(self.workspace)
        num_references = int((numbers >= open_.first_reference).sum())
        positions = open_.order.positions[numbers[num_references:]]
        found = open_.references.texts(numbers[:num_references], work.scratch / "texts")
        if len(positions):
            own = open_.parts.take(positions, ["text"]).column("text").combine_chunks()
            found = pa.concat_arrays([found, own]) if num_references else own
        return found

    def _sizes(self, numbers: np.ndarray) -> np.ndarray:
        """int64: bytes of texts of documents in the order of visits."""
        work, open_ = self.workspace, opened(self.workspace)
        num_references = int((numbers >= open_.first_reference).sum())
        own = facts(work)["bytes"][open_.order.positions[numbers[num_references:]]]
        theirs = open_.references.sizes(numbers[:num_references], work.scratch / "texts")
        return np.concatenate([theirs, own])

    def _visits(self, documents: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The documents (ascending numbers) in the order of visits, and `members` (places in `documents`) as
        places there: references, then component by component in the order of preference.
        """
        work, open_ = self.workspace, opened(self.workspace)
        own = documents[documents < open_.first_reference]
        labels = open_records(work.scratch / "labels", np.int64)[own] if len(own) else own
        preference = facts(work)["preference"][open_.order.positions[own]] if len(own) else own.astype("u8")
        order = np.lexsort((own, ~preference, labels))
        if work.dedup.keep != "first":
            order = _by_id(order, np.stack([labels, preference.view(np.int64)], axis=1), own, open_.ids)
        visits = np.concatenate([documents[len(own) :], own[order]])
        places = np.empty(len(documents), dtype=np.int32)
        places[np.searchsorted(documents, visits)] = np.arange(len(visits))
        return visits, places[members]


def _memberships(spill: Spill, partition: int) -> tuple[np.ndarray, np.ndarray]:
    """int64, int32 [M]: the documents of a partition, and their buckets counted from 0."""
    size = spill.size(partition)
    numbers, keys = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.uint64)
    done = 0
    for segment in spill.segments(partition):
        numbers[done : done + len(segment)] = segment["number"]
        keys[done : done + len(segment)] = segment["bucket"]
        done += len(segment)
    return numbers, hasher().codes(keys)


def _by_id(order: np.ndarray, keys: np.ndarray, numbers: np.ndarray, ids_of: Ids) -> np.ndarray:
    """`order` with runs of equal `keys` sorted by the ids of their `numbers`."""
    ordered = keys[order]
    new = (
        np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)) if len(order) else np.zeros(0, dtype=bool)
    )
    run = np.cumsum(new) - 1
    tied = np.flatnonzero(np.bincount(run, minlength=1)[run] > 1) if len(order) else run
    names = ids_of(numbers[order[tied]])
    owners = run[tied].tolist()
    ranked = sorted(range(len(tied)), key=lambda place: (owners[place], names[place]))
    order = order.copy()
    order[tied] = order[tied[ranked]]
    return order


def _hashed(column: pa.Array, numbers: np.ndarray, preference: np.ndarray) -> np.ndarray:
    """`HASHED` of the rows that have a hash."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    records = np.empty(len(rows), dtype=HASHED)
    if len(rows):
        pairs = hash_pairs(column)[rows]
        records["hash"], records["check"] = pairs[:, 0], pairs[:, 1]
        records["number"], records["preference"] = numbers[rows], preference[rows]
    return records


def _alive(
    workspace: Workspace,
    spill: Spill,
    number: int,
    *,
    after: str,
    max_records: int,
    records_a_number: int = 1,
) -> Callable[[], Iterator[np.ndarray]]:
    """The chunks of a partition, without documents for which `after` (where there is one) has another stay; a
    single one is read once.
    """
    stay = survivors(workspace, after) if after else None

    def chunks() -> Iterator[np.ndarray]:
        for chunk in spill.chunks(number, max_records, records_a_number=records_a_number):
            yield chunk if stay is None else chunk[stay[chunk["number"]] == chunk["number"]]

    if spill.size(number) > max_records:
        return chunks
    whole = list(chunks())
    return lambda: iter(whole)


def _codes(langs: pa.Array, known: dict[str, int]) -> np.ndarray:
    """The places of languages in `known`, to which new ones are added."""
    encoded = langs.dictionary_encode()
    codes = [known.setdefault(name, len(known)) for name in encoded.dictionary.to_pylist()]
    return np.array(codes, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
