from pathlib import Path

import numpy as np
import pytest

from conan_data.corpus.dedup.spill import Spill, SpillWriter, bits_for, cuts_path, partition

RECORD = np.dtype([("hash", "u8"), ("number", "i8")])


def records(seed: int, size: int, first: int = 0) -> np.ndarray:
    found = np.empty(size, dtype=RECORD)
    found["hash"] = np.random.default_rng(seed).integers(0, 2**64, size=size, dtype=np.uint64)
    found["number"] = np.arange(first, first + size)
    return found


def spill(folder: Path, parts: list[np.ndarray], bits: int) -> Spill:
    paths = [folder / f"s-{number}" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        with SpillWriter(path, RECORD, bits, buffer_bytes=100 * RECORD.itemsize) as writer:
            for start in range(0, len(part), 30):
                writer.add(part[start : start + 30])
    return Spill(paths, RECORD, bits)


@pytest.mark.parametrize("bits", [0, 1, 5])
def test_partitions_hold_all_records_by_their_hash(tmp_path: Path, bits: int) -> None:
    parts = [records(1, 1000), records(2, 5, first=1000), records(3, 0)]
    spilled = spill(tmp_path, parts, bits)
    read = []
    for number in range(1 << bits):
        (found,) = spilled.chunks(number, 10**6)
        assert (partition(found["hash"], bits) == number).all()
        assert len(found) == spilled.size(number)
        read.append(found)
    assert np.sort(np.concatenate(read), order="number").tolist() == np.concatenate(parts).tolist()


def test_one_hash_for_all_comes_in_chunks_of_bounded_size(tmp_path: Path) -> None:
    parts = [records(1, 1000), records(2, 700, first=1000)]
    for part in parts:
        part["hash"] = 2**63
    spilled = spill(tmp_path, parts, 2)
    chunks = list(spilled.chunks(2, 64))
    assert max(map(len, chunks)) <= 64
    assert np.concatenate(chunks)["number"].tolist() == list(range(1700))
    assert [spilled.size(number) for number in range(4)] == [0, 0, 1700, 0]


def test_a_writer_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), SpillWriter(tmp_path / "s", RECORD, 1, buffer_bytes=1) as writer:
        writer.add(records(1, 10))
        _ = 1 // 0
    assert not (tmp_path / "s").exists() and not cuts_path(tmp_path / "s").exists()


def test_as_many_partitions_as_memory_and_workers_ask_for() -> None:
    assert [bits_for(size, 100) for size in (0, 100, 101, 800, 801)] == [0, 0, 1, 3, 4]
    assert bits_for(1, 100, at_least=6) == 3
