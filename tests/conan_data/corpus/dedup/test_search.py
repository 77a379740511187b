"""The passes together against the rule in words, over all pairs."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.reference import Reference
from conan_data.corpus.dedup.search import find_duplicates
from conan_data.corpus.dedup.shingles import exact_hash, jaccard, shingles
from conan_data.corpus.dedup.url import url_hash
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.order import write_order
from conan_data.corpus.output.reasons import REASONS, reasons
from conan_data.corpus.parts import KEPT, Parts, PartWriter, part_path
from conan_data.corpus.passes import Runner
from conan_data.corpus.records import open_records
from conan_data.corpus.steps import duplicates
from conan_data.corpus.workspace import Workspace, opened, survivors

CONFIG = DedupConfig(num_bands=6, rows_per_band=3, ngram=3, threshold=0.6)


@dataclass(frozen=True)
class Page:
    text: str
    id: str
    url: str | None = None
    fluency: float | None = None


def write_pages(folder: Path, rank: int, pages: Sequence[tuple[int, Page]], config: DedupConfig) -> None:
    family = MinHash.from_config(config)
    with PartWriter(folder, rank) as part:
        for number, page in pages:
            keys = family.band_keys_of(page.text)
            values = {
                **{"file_number": 0, "row_number": number, "lang": "en"},
                **{"id": page.id, "text": page.text, "fluency": page.fluency},
                "exact_hash": exact_hash(page.text),
                "url_hash": url_hash(page.url),
                "band_keys": None if keys is None else keys.tobytes(),
            }
            part.add("kept", tuple(values.get(name) for name in KEPT.names))


def search(
    folder: Path,
    pages: list[Page],
    config: DedupConfig = CONFIG,
    *,
    num_parts: int = 1,
    bits: int = 0,
    reference: list[Page] | None = None,
) -> Workspace:
    """Pages in blocks of two, a part after the other."""
    for rank in range(num_parts):
        own = [(number, page) for number, page in enumerate(pages) if number // 2 % num_parts == rank]
        write_pages(folder, rank, own, config)
    references: tuple[Reference, ...] = ()
    if reference is not None:
        write_pages(folder / "reference", 0, list(enumerate(reference)), config)
        references = (Reference("set", part_path(folder / "reference", "kept", 0), None),)
    write_order(Parts(folder, num_parts), folder)
    stamp = (folder / "positions").stat().st_mtime_ns
    work = Workspace(folder, num_parts, config, references, bits, worker_bytes=1 << 20, stamp=stamp)
    find_duplicates(work, Runner(ExecutorConfig(), 1, folder / "log"))
    return work


def outcome(work: Workspace) -> dict[int, tuple[str, int]]:
    """The reason and what stays, for each page that does not."""
    numbers = np.arange(len(opened(work).order))
    stay = survivors(work, "near")
    return {
        number: (REASONS[code], int(stay[number]))
        for number, code in enumerate(reasons(work, numbers).tolist())
        if code
    }


def plain(
    pages: list[Page], config: DedupConfig = CONFIG, reference: Sequence[Page] = ()
) -> dict[int, tuple[str, int]]:
    """Pages are visited in the order of preference after the references, once for each kind of duplicate."""
    everything = [*pages, *reference]
    first = len(pages)
    order = sorted(
        range(len(everything)), key=lambda number: preference(everything[number], number, config, first)
    )
    family = MinHash.from_config(config)
    sets = [shingles(page.text, config.ngram) for page in everything]
    keys = [family.band_keys(found) if len(found) else None for found in sets]
    final, moved_by = list(range(len(everything))), [""] * len(everything)

    def stage(reason: str, is_duplicate) -> None:
        moved = {}
        staying: list[int] = []
        for number in (n for n in order if final[n] == n):
            found = next((other for other in staying if is_duplicate(other, number)), None)
            if found is None or (reason == "near-duplicate" and number >= first):
                staying.append(number)
            else:
                moved[number] = found
        for number, target in enumerate(final):
            if target in moved:
                final[number], moved_by[number] = moved[target], reason

    def near(other: int, number: int) -> bool:
        return (
            keys[other] is not None
            and keys[number] is not None
            and bool((keys[other] == keys[number]).any())
            and jaccard(sets[other], sets[number]) >= config.threshold
        )

    stage("exact-duplicate", lambda a, b: exact_hash(everything[a].text) == exact_hash(everything[b].text))
    if config.url:
        hashes = [url_hash(page.url) for page in everything]
        stage("url-duplicate", lambda a, b: hashes[a] is not None and hashes[a] == hashes[b])
    stage("near-duplicate", near)
    return {
        number: ("in-reference" if final[number] >= first else moved_by[number], final[number])
        for number in range(first)
        if final[number] != number
    }


def preference(page: Page, number: int, config: DedupConfig, first: int) -> tuple:
    if number >= first:
        return (0, number)
    if config.keep == "first":
        return (1, number)
    score = page.fluency if page.fluency is not None else -1e30
    best = (-score,) if config.keep == "best" else ()
    return (1, *best, -len(page.text), page.id, number)


def crawl(seed: int, size: int) -> list[Page]:
    """Pages of which most are versions of a few others, in chains: each changes a little of an earlier one."""
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(12)]
    pages: list[Page] = []
    for _ in range(size):
        if pages and rng.random() < 0.7:
            text = rng.choice(pages).text.split()
            for _change in range(rng.randrange(4)):
                text[rng.randrange(len(text))] = rng.choice(words)
            if rng.random() < 0.3:
                text.append(rng.choice(words))
        else:
            text = rng.choices(words, k=rng.randrange(1, 25))
        url = f"http://site/{rng.randrange(size)}" if rng.random() < 0.5 else None
        fluency = rng.choice([None, 0.1, 0.9])
        pages.append(Page(" ".join(text), f"p{rng.randrange(size)}", url, fluency))
    return pages


CASES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@CASES
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(0, 40),
    num_parts=st.integers(1, 4),
    bits=st.integers(0, 3),
    keep=st.sampled_from(["longest", "first", "best"]),
    url=st.booleans(),
    with_reference=st.booleans(),
)
def test_drops_are_those_of_the_plain_rule(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    size: int,
    num_parts: int,
    bits: int,
    keep: str,
    url: bool,
    with_reference: bool,
) -> None:
    config = DedupConfig(num_bands=6, rows_per_band=3, ngram=3, threshold=0.6, keep=keep, url=url)
    pages = crawl(seed, size + 8)
    pages, reference = pages[8:], pages[:8]
    work = search(
        tmp_path_factory.mktemp("s"),
        pages,
        config,
        num_parts=num_parts,
        bits=bits,
        reference=reference if with_reference else None,
    )
    assert outcome(work) == plain(pages, config, reference if with_reference else ())


def test_the_random_pages_have_duplicates_of_every_kind() -> None:
    config = DedupConfig(num_bands=6, rows_per_band=3, ngram=3, threshold=0.6, url=True)
    pages = crawl(1, 200)
    kinds = [reason for reason, _ in plain(pages[50:], config, pages[:50]).values()]
    assert min(kinds.count(reason) for reason in REASONS[1:]) >= 5


def test_partitions_larger_than_memory_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [*crawl(3, 150), *[Page("the same page", f"c{number}") for number in range(100)]]
    whole = outcome(search(tmp_path / "whole", pages, num_parts=3))
    monkeypatch.setattr(Workspace, "max_records", lambda *_: 16)
    assert outcome(search(tmp_path / "small", pages, num_parts=3)) == whole
    assert len(whole) > 120


def test_near_duplicates_that_stay_share_a_group(tmp_path: Path) -> None:
    pages = crawl(5, 120)
    dropped = outcome(search(tmp_path / "drop", pages))
    grouping = DedupConfig(num_bands=6, rows_per_band=3, ngram=3, threshold=0.6, near="group")
    work = search(tmp_path / "group", pages, grouping)
    near = {n: target for n, (reason, target) in dropped.items() if reason == "near-duplicate"}
    left = outcome(work)
    assert set(dropped) - set(left) and all(reason == "exact-duplicate" for reason, _ in left.values())
    grouped = open_records(work.scratch / "grouped", np.int64)
    for number, target in near.items():
        assert grouped[left.get(number, ("", number))[1]] == target
    assert len(near) > 20


def test_done_passes_are_not_done_again(tmp_path: Path) -> None:
    pages = crawl(7, 100)
    work = search(tmp_path, pages, num_parts=2, bits=1)
    before = {path: path.stat().st_mtime_ns for path in work.scratch.rglob("*") if path.is_file()}
    (work.path("near-pairs", 1)).unlink()
    (work.scratch / "survivors-near").unlink()
    find_duplicates(work, Runner(ExecutorConfig(), 1, tmp_path / "log"))
    after = {path: path.stat().st_mtime_ns for path in work.scratch.rglob("*") if path.is_file()}
    changed = {path.name for path in before if after[path] != before[path]}
    # What one process puts together is made again; of what tasks leave, only what is missing.
    together = {"facts", "langs.json", "suffixes", "labels", "wanted", "grouped"}
    changed -= together | {name for name in changed if name.startswith("survivors-")}
    assert changed <= {"near-pairs-00001", "compare-near-duplicates-near-pairs-00001-00001.json"}
    assert outcome(work) == plain(pages)


def copies(num: int) -> list[Page]:
    """Copies of one template that differ in a word."""
    rng = random.Random(1)
    template = [f"w{rng.randrange(1000)}" for _ in range(150)]
    before, after = " ".join(template[:75]), " ".join(template[75:])
    return [Page(f"{before} n{number} {after}", f"p{number:06d}") for number in range(num)]


def test_a_giant_cluster_is_compared_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy's text is read once, and with each block that of the one that stays."""
    read: list[int] = []
    stock = duplicates.CompareNear._texts

    def counting(self: duplicates.CompareNear, numbers: np.ndarray) -> pa.LargeStringArray:
        read.append(len(numbers))
        return stock(self, numbers)

    monkeypatch.setattr(duplicates.CompareNear, "_texts", counting)
    found = outcome(search(tmp_path, copies(3000), DedupConfig()))
    assert len(found) == 2999 and len({target for _, target in found.values()}) == 1
    assert sum(read) == 3000 + read.count(1)
    assert read.count(1) > 20


@pytest.mark.slow
def test_a_giant_cluster_takes_linear_time(tmp_path: Path) -> None:
    times = []
    for num in (25_000, 100_000):
        folder = tmp_path / str(num)
        write_pages(folder, 0, list(enumerate(copies(num))), DedupConfig())
        write_order(Parts(folder, 1), folder)
        stamp = (folder / "positions").stat().st_mtime_ns
        work = Workspace(folder, 1, DedupConfig(), (), bits=0, worker_bytes=1 << 28, stamp=stamp)
        start = time.process_time()
        find_duplicates(work, Runner(ExecutorConfig(), 1, folder / "log"))
        times.append(time.process_time() - start)
        assert np.unique(survivors(work, "near")).size == 1
    assert times[1] < 6 * times[0]
