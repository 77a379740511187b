"""`conan-data build-pairs`: make pairs of a query and a document out of texts with structure.

    files -> documents -> candidates -> admitted pairs, on disk -> settled by their keys -> pairs

Of the texts one batch is in memory at a time; of all admitted pairs their keys are, 34 bytes each. The rows that are counted
are candidates and rows that cannot be read: a document gives a candidate for each kind whose parts it has, or none.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import polars as pl

from conan_data import artifact, tables
from conan_data.build_pairs.admit import Admitted, Refusals, admit
from conan_data.build_pairs.aligned import ENDINGS, as_candidates, is_aligned, read_aligned, read_moses
from conan_data.build_pairs.config import BuildPairsConfig
from conan_data.build_pairs.documents import File, as_documents, read_frames
from conan_data.build_pairs.kinds import candidates, direction
from conan_data.build_pairs.parallel import Groups, Passages
from conan_data.build_pairs.settle import REASONS, settle
from conan_data.build_pairs.store import PairStore, ShardWriter
from conan_data.cards.card import default_card
from conan_data.errors import UserError
from conan_data.progress import Meter, counting
from conan_data.public_names import published_name
from conan_data.readers import Broken, quarantine
from conan_data.readers.account import Account
from conan_data.sources import expand

log = logging.getLogger(__name__)
KIND = "pairs"
DROPPED, QUARANTINE = "dropped.jsonl", "quarantine.jsonl"
_MAX_BROKEN = 1000
"""Unreadable rows that are kept to look at; all are counted."""
Work: TypeAlias = Callable[[], Iterator[pl.DataFrame]]
"""Makes frames of candidates."""
_COUNTED = ("kind", "source", "lang_query", "lang_document")


def build_pairs(config: BuildPairsConfig) -> Path:
    """Publish an artifact of kind `pairs`, and return where it is.

    Raises `UserError` for inputs that are not there or cannot be read, aligned files of unequal length, and where no
    pair is left.
    """
    files = _files(config)
    inputs = [name for name in config.input if artifact.is_artifact(name)]
    inputs += [file.path for file in files if not file.is_ours]
    with artifact.building(
        config, kind=KIND, command="conan-data build-pairs", inputs=[*inputs, *config.moses]
    ) as build:
        if build.done:
            return build.out
        if len(config.moses) % 2:
            raise UserError(f"moses: names {len(config.moses)} files; they belong together two and two")
        run = _Run(config, build.work)
        with counting("reading", unit="row") as meter:
            run.read(files, meter)
        kept = run.write(build.dir)
        num_kept = kept.total()
        dropped = Counter(run.num_broken) + Counter(run.refusals.by_reason())
        if not num_kept:
            raise UserError(
                f"{', '.join((*config.input, *config.moses))}: no pair is left ({run.why(dropped)})"
            )
        run.account.say()
        quarantine(run.broken, build.dir / QUARANTINE, below=[*config.input, *config.moses])
        with open(build.dir / DROPPED, "wb") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in run.refusals.examples)
        rows = artifact.Rows(read=num_kept + dropped.total(), kept=num_kept, dropped=dropped)
        return build.publish(rows=rows, extra=run.facts(kept), card=default_card)


class _Run:
    """One building: what is counted on the way, and the pairs that were admitted."""

    def __init__(self, config: BuildPairsConfig, work: Path) -> None:
        self.config, self._work = config, work
        self.account = Account()
        self.refusals = Refusals()
        self.num_broken: Counter[str] = Counter()
        self.broken: list[Broken] = []
        self._groups = Groups()
        self._store = PairStore(work / "admitted.arrow")
        self._num_documents = self._num_cut = 0

    def read(self, files: list[File], meter: Meter) -> None:
        """Read all files, and keep the pairs that are admitted."""
        documents = [file for file in files if not is_aligned(file.path)]
        self._admit_all(self._candidates(documents, meter))
        for file in files:
            if is_aligned(file.path):
                segments = read_aligned(file.path, file.name, source_language=self.config.source_language)
                self._admit_all(self._aligned(as_candidates(segments, file.source), meter))
        for first, second in zip(self.config.moses[::2], self.config.moses[1::2], strict=True):
            segments = read_moses(first, second)
            self._admit_all(self._aligned(as_candidates(segments, _source_name(first)), meter))
        self._admit_all(self._passages(documents))

    def write(self, directory: Path) -> Counter[tuple[str, ...]]:
        """Write the pairs that stay; return how many by kind, source and languages."""
        store = self._store.finish()
        reasons = settle(store.keys, store.sources, store.source_names, self.config)
        kept: Counter[tuple[str, ...]] = Counter()
        with (
            counting("writing", total=len(reasons), unit="pair") as meter,
            ShardWriter(directory / "data", tables.PAIRS, rows_per_file=self.config.shard_pairs) as writer,
        ):
            for start, frame in store.frames():
                codes = pl.Series(reasons[start : start + frame.height])
                refused = frame.with_columns(
                    reason=codes.replace_strict(dict(enumerate(REASONS)), return_dtype=pl.String)
                ).filter(codes != 0)
                self.refusals.add(refused)
                chosen = frame.filter(codes == 0)
                for *names, count in chosen.group_by(_COUNTED, maintain_order=True).len().iter_rows():
                    kept[tuple(names)] += count
                writer.add(chosen.select(tables.PAIRS.names).to_arrow())
                meter.advance(frame.height)
        store.remove()
        return kept

    def facts(self, kept: Counter[tuple[str, ...]]) -> dict[str, Any]:
        """Return what the manifest says beside the row counts."""
        by_kind: dict[str, dict[str, int]] = {}
        for (kind, reason), count in self.refusals.counts.items():
            by_kind.setdefault(kind, {})[reason] = count
        return {
            "rows_are": "candidates + rows that cannot be read",
            "documents": self._num_documents,
            "sides_cut": self._num_cut,
            "pairs_by_kind": _totals(kept, lambda names: names[0]),
            "pairs_by_source": _totals(kept, lambda names: names[1]),
            "pairs_by_language": _totals(kept, lambda names: direction(names[2], names[3])),
            "dropped_by_kind": {kind: dict(sorted(found.items())) for kind, found in sorted(by_kind.items())},
            **self.account.to_json(),
        }

    def why(self, dropped: Counter[str]) -> str:
        """Return why nothing is left, for a message."""
        if dropped:
            return ", ".join(f"{reason} {count:,}" for reason, count in dropped.most_common(5))
        columns = dict.fromkeys(name for file in self.account.files.values() for name in file.unused)
        found = f"; columns that are not read: {', '.join(list(columns)[:10])}" if columns else ""
        return f"no document has the parts of any kind{found}; name its fields with rules.fields"

    def _documents(self, files: list[File], account: Account) -> Iterator[pl.DataFrame | Broken]:
        every = [self.config.rules, *self.config.sources.values()]
        extract = replace(self.config.extract, headings="markdown")
        for file in files:
            frames = read_frames(file, every, account.of(file.name), extract=extract)
            for frame in frames:
                yield frame if isinstance(frame, Broken) else as_documents(frame, self.config, file)

    def _candidates(self, files: list[File], meter: Meter) -> Iterator[Work]:
        for documents in self._documents(files, self.account):
            if isinstance(documents, Broken):
                self._refuse(documents)
                continue
            self._num_documents += documents.height
            for source, part in _by_source(documents):
                rules = self.config.rules_of(source)
                if "parallel" in rules.kinds:
                    self._groups.add(part)
                yield partial(candidates, part, rules)
            meter.advance(documents.height)

    def _passages(self, files: list[File]) -> Iterator[Work]:
        """Candidates of passages of one group, for which the documents are read a second time."""
        wanted = self._groups.with_partners()
        if not len(wanted):
            return
        passages = Passages(self._work / "passages")
        for documents in self._documents(files, Account()):
            for source, part in _by_source(documents) if isinstance(documents, pl.DataFrame) else ():
                if "parallel" in self.config.rules_of(source).kinds:
                    passages.add(part, wanted)
        for frame in passages.pairs(limit=self.config.pairs_per_group):
            yield partial(iter, (frame,))

    def _aligned(self, frames: Iterator[pl.DataFrame | Broken], meter: Meter) -> Iterator[Work]:
        for frame in frames:
            if isinstance(frame, Broken):
                self._refuse(frame)
            elif "translation" in self.config.rules_of(frame.get_column("source")[0]).kinds:
                yield partial(iter, (frame,))
                meter.advance(frame.height)

    def _admit_all(self, work: Iterator[Work]) -> None:
        """Admit the candidates of each piece of work, of which several are done at a time, in their order."""
        threads = pl.thread_pool_size()
        pending: deque[Future[list[Admitted]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for make in work:
                pending.append(pool.submit(self._admit, make))
                if len(pending) > threads:
                    self._take(pending.popleft().result())
            while pending:
                self._take(pending.popleft().result())

    def _admit(self, make: Work) -> list[Admitted]:
        return [admit(frame, self.config) for frame in make()]

    def _take(self, found: list[Admitted]) -> None:
        for admitted in found:
            self._num_cut += admitted.num_cut
            self.refusals.add(admitted.refused)
            if admitted.pairs.height:
                self._store.add(admitted.pairs)

    def _refuse(self, row: Broken) -> None:
        self.num_broken[row.reason] += 1
        if len(self.broken) < _MAX_BROKEN:
            self.broken.append(row)


def _by_source(documents: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    sources = documents.get_column("source")
    if sources.n_unique() == 1:
        yield sources[0], documents
        return
    for (source,), part in documents.group_by("source", maintain_order=True):
        yield str(source), part


def _files(config: BuildPairsConfig) -> list[File]:
    """The files of all inputs, each once."""
    found: dict[str, File] = {}
    for name in config.input:
        is_ours = artifact.is_artifact(name)
        is_folder = Path(name).is_dir()
        for path in expand((name,), also=ENDINGS):
            source = _source_name(name if is_folder or not path.is_file() else str(path))
            found.setdefault(str(path), File(str(path), published_name(path, config.input), source, is_ours))
    return list(found.values())


def _source_name(path: str) -> str:
    name = Path(path).name
    return name.split(".")[0] or name


def _totals(kept: Counter[tuple[str, ...]], key: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    for names, count in kept.items():
        found[key(names)] += count
    return dict(sorted(found.items()))
