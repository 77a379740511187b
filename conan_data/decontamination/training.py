"""The training set: what it is, and how it is written without what leaks.

The copy has the layout of the original, file by file, so that whatever command read the set reads the copy. A query is
removed with its judgements, translations and negatives; a document with its judgements and from all pools; of files of
rows the row.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conan_data import artifact, hub, tables
from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.filtering import copy_without
from conan_data.decontamination.findings import TRANSLATION
from conan_data.decontamination.rows import Key, Text
from conan_data.decontamination.text_sets import RetrievalTexts, RowSet, TextSet, open_retrieval, part_rows
from conan_data.errors import UserError
from conan_data.manifest import Rows
from conan_data.pairs.rows import is_retrieval_set
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row
from conan_data.retrieval_files import folder_and_config
from conan_data.retrieval_rows import CORPUS, QRELS, QUERIES, TRANSLATIONS, Part, identifier
from conan_data.sources import SUFFIXES, expand_named, resolve

RETRIEVAL, ROWS = "retrieval", "training-files"
"""Kinds of the artifacts that hold a cleaned set which was no artifact."""
NO_POSITIVE, NO_NEGATIVE = "no-positive-left", "no-negative-left"
OTHER_SPLIT = "other-split"
"""A query of another split in the same file is not written, and not counted."""
_CARD = "README.md"
NEGATIVES_FILE = "negatives.parquet"
"""As `mine` writes it, whose module imports torch."""
_QUERIES_A_BATCH = 4096
_NO_DATA = {"removed.jsonl", "reported.jsonl", "quarantine.jsonl", "dropped.jsonl"}


@dataclass
class Outcome:
    """What became of a set: the rows by part, and which texts were removed beside those that were found."""

    parts: dict[str, Rows] = field(default_factory=dict)
    others: list[tuple[Text, str]] = field(default_factory=list)
    """With their reasons."""
    num_pool_entries: int = 0
    """Negatives that were removed from pools that stay."""


class TrainingSet(Protocol):
    """A set that is cleaned."""

    kind: str

    @property
    def texts(self) -> TextSet: ...

    @property
    def main_part(self) -> str:
        """The part whose rows are the rows of the artifact."""
        ...

    def inputs(self) -> list[str | Path]: ...

    def roles(self, keys: Collection[Key]) -> dict[Key, str]:
        """Return what documents are to their queries: `positive` or `negative`; nothing for one that no query names."""
        ...

    def name(self, text: Text) -> str:
        """Return the published name of a text's file."""
        ...

    def write(
        self, directory: Path, removed: Mapping[Key, str], broken: Collection[Broken], *, versions: bool
    ) -> Outcome:
        """Write the set without the texts in `removed` (with their reasons); with `versions`, a query goes with all
        versions of its source in other languages.
        """
        ...


def open_training(config: DecontaminateConfig) -> TrainingSet:
    """Return the set of a config. Raises `UserError` for what is none, and for a split that is not there."""
    root = Path(config.set)
    is_artifact = artifact.is_artifact(root)
    kind = artifact.open_artifact(root).manifest["kind"] if is_artifact else ""
    if is_artifact and (root / NEGATIVES_FILE).is_file() and not _holds_set(root):
        from conan_data.audit.pairs import mined_set  # It imports torch, which takes a second.

        data = config.data or mined_set(root, artifact.open_artifact(root).manifest)
        return RetrievalTraining(_open(data, config.split, root), data, root, kind, writes_set=False)
    if is_retrieval_set(config.set):
        texts = _open(config.set, config.split, root if (root / NEGATIVES_FILE).is_file() else None)
        return RetrievalTraining(texts, config.set, root, kind or RETRIEVAL)
    if is_artifact:
        listed = [root / entry["path"] for entry in artifact.open_artifact(root).manifest["files"]]
        files = [path for path in listed if path.name.endswith(SUFFIXES) and path.name not in _NO_DATA]
        # Beside its data an artifact holds reports.
        files = [path for path in files if path.is_relative_to(root / "data")] or files
        if not files:
            raise UserError(f"set: {config.set} holds a {kind}, in which there are no rows of texts")
        return RowTraining(RowSet({path: path.relative_to(root).as_posix() for path in files}), root, kind)
    names = {path: f"data/{name}" for path, name in expand_named([config.set]).items()}
    return RowTraining(RowSet(names), Path(config.set), ROWS)


@dataclass
class RowTraining:
    """Files of rows."""

    texts: RowSet
    root: Path
    kind: str
    main_part: str = "rows"

    def inputs(self) -> list[str | Path]:
        """See `TrainingSet`."""
        return [self.root] if artifact.is_artifact(self.root) else list(self.texts.names)

    def roles(self, keys: Collection[Key]) -> dict[Key, str]:
        """See `TrainingSet`: columns say it already."""
        return {}

    def name(self, text: Text) -> str:
        """See `TrainingSet`."""
        return self.texts.names[text.file]

    def write(
        self, directory: Path, removed: Mapping[Key, str], broken: Collection[Broken], *, versions: bool
    ) -> Outcome:
        """See `TrainingSet`."""
        reasons: dict[tuple[int, int], str] = {}
        for key, reason in removed.items():
            reasons.setdefault((int(key[0]), int(key[1])), reason)
        dropped = Counter(reasons.values()) + Counter(row.reason for row in broken)
        for number, (path, name) in enumerate(self.texts.names.items()):
            places = {place for file, place in reasons if file == number}
            places |= {row.place for row in broken if row.file == public_name(path)}
            copy_without(path, directory / name, places, has_header=self.texts.columns[path].has_header)
        num_read = self.texts.num_rows + len(broken)
        return Outcome({self.main_part: Rows(num_read, num_read - dropped.total(), dict(dropped))})


@dataclass
class RetrievalTraining:
    """A split of a retrieval set, with mined negatives or without; or negatives alone (`writes_set` False)."""

    texts: RetrievalTexts
    source: str
    root: Path
    kind: str
    writes_set: bool = True

    @property
    def main_part(self) -> str:
        """See `TrainingSet`."""
        return "queries" if self.writes_set else "negatives"

    @property
    def pools(self) -> Path | None:
        """The table of negatives, where there is one."""
        path = self.root / NEGATIVES_FILE
        return path if path.is_file() else None

    def inputs(self) -> list[str | Path]:
        """See `TrainingSet`; the set that negatives were mined for is first, as in their own manifest."""
        return [resolve(self.source, "retrieval"), *([] if self.writes_set else [self.root])]

    def name(self, text: Text) -> str:
        """See `TrainingSet`."""
        return self._name(text.file)

    def roles(self, keys: Collection[Key]) -> dict[Key, str]:
        """See `TrainingSet`."""
        documents = {key[1] for key in keys if key[0] == "document"}
        found: dict[Key, str] = {}
        if documents and self.pools:
            for table in self._pool_tables():
                named = pc.unique(table.column("pool").combine_chunks().flatten().field("corpus_id"))
                found |= {("document", name): "negative" for name in named.to_pylist() if name in documents}
        own = self.texts.only
        for query, document in self.texts.positives() if documents else ():
            if document in documents and (own is None or query in own):
                found["document", document] = "positive"
        return found

    def write(
        self, directory: Path, removed: Mapping[Key, str], broken: Collection[Broken], *, versions: bool
    ) -> Outcome:
        """See `TrainingSet`."""
        queries = {key[1]: reason for key, reason in removed.items() if key[0] == "query"}
        documents = {key[1]: reason for key, reason in removed.items() if key[0] == "document"}
        outcome = Outcome()
        translations = {
            (key[1], key[2]): reason for key, reason in removed.items() if key[0] == "translation"
        }
        found = set(queries)
        if versions:
            self._add_versions(queries, {query for query, _ in translations})
        self._add_without_positive(queries, documents)
        outcome.others += self._listed({query: queries[query] for query in queries.keys() - found})
        if self.writes_set:
            self._write_files(directory, queries, documents, translations, outcome)
        if self.pools:
            self._write_pools(directory / NEGATIVES_FILE, queries, documents, outcome)
        return outcome

    def _add_versions(self, queries: dict[str, str], translated: Collection[str]) -> None:
        """Add the queries of which a translation was removed, and the other versions of a removed one's source."""
        leaking = {*queries, *translated}
        sources = (
            {source for own, source in self._sources() if own in leaking} | leaking if leaking else set()
        )
        for own, source in self._sources() if sources else ():
            if not sources.isdisjoint((own, source)) and self.texts.is_own(own):
                queries.setdefault(own, TRANSLATION)

    def _sources(self) -> Iterator[tuple[str, str]]:
        """Yield the id of each query and of the query that it is a version of."""
        for _, row in part_rows(QUERIES, self.texts.files.queries):
            if isinstance(row, Row):
                own = identifier(row.values.get("_id"))
                yield own, identifier(row.values.get("source_id")) or own

    def _add_without_positive(self, queries: dict[str, str], documents: Collection[str]) -> None:
        """Add the queries that lose their last positive."""
        if documents:
            losing = {query for query, document in self.texts.positives() if document in documents}
            losing -= {query for query, document in self.texts.positives() if document not in documents}
            for query in sorted(losing):
                if self.texts.is_own(query):
                    queries.setdefault(query, NO_POSITIVE)

    def _listed(self, queries: Mapping[str, str]) -> Iterator[tuple[Text, str]]:
        """Yield the texts of some queries with their reasons, in the order of the set."""
        for text in self.texts.texts() if queries else ():
            if isinstance(text, Text) and text.part == "document":
                return
            if isinstance(text, Text) and text.part == "query" and text.key[1] in queries:
                yield text, queries[text.key[1]]

    def _write_files(
        self,
        directory: Path,
        queries: Mapping[str, str],
        documents: Mapping[str, str],
        translations: Mapping[tuple[str, str], str],
        outcome: Outcome,
    ) -> None:
        def of_query(values: Mapping[str, Any], field: str) -> str | None:
            own = identifier(values.get(field))
            return queries.get(own) or (None if self.texts.is_own(own) else OTHER_SPLIT)

        def of_judgement(values: Mapping[str, Any]) -> str | None:
            own, document = (identifier(values.get(name)) for name in QRELS.ids)
            return queries.get(own) or documents.get(document)

        def of_translation(values: Mapping[str, Any]) -> str | None:
            own = identifier(values.get("query_id")), str(values.get("lang"))
            return translations.get(own) or of_query(values, "query_id")

        files = self.texts.files
        self._write_part(directory, QUERIES, files.queries, lambda values: of_query(values, "_id"), outcome)
        self._write_part(
            directory,
            CORPUS,
            files.corpus,
            lambda values: documents.get(identifier(values.get("_id"))),
            outcome,
        )
        self._write_part(directory, TRANSLATIONS, files.translations, of_translation, outcome)
        self._write_part(directory, QRELS, files.qrels, of_judgement, outcome)
        card = self._root() / _CARD
        if card.is_file():
            shutil.copyfile(card, directory / _CARD)

    def _write_part(
        self,
        directory: Path,
        part: Part,
        files: list[Path],
        reason_of: Callable[[Mapping[str, Any]], str | None],
        outcome: Outcome,
    ) -> None:
        """Write the files of a part without the rows that have a reason; a row that cannot be read is dropped, too."""
        num_read, dropped = 0, Counter[str]()
        for path in files:
            places: set[int] = set()
            for _, row in part_rows(part, [path]):
                reason = row.reason if isinstance(row, Broken) else reason_of(row.values)
                if reason is not None:
                    places.add(row.place)
                num_read += reason != OTHER_SPLIT
                dropped.update([reason] if reason not in (None, OTHER_SPLIT) else [])
            copy_without(path, directory / self._name(path), places)
        if files:
            outcome.parts[part.name] = Rows(num_read, num_read - dropped.total(), dict(dropped))

    def _write_pools(
        self, path: Path, queries: Mapping[str, str], documents: Mapping[str, str], outcome: Outcome
    ) -> None:
        """Write the table of negatives without the pools of removed queries and without removed documents."""
        num_read, num_items, dropped = 0, 0, Counter[str]()
        with pq.ParquetWriter(path, tables.NEGATIVES, compression="zstd") as writer:
            for table in self._pool_tables():
                rows = []
                for row in table.to_pylist():
                    num_read += 1
                    if reason := queries.get(row["query_id"]):
                        dropped[reason] += 1
                        continue
                    size = len(row["pool"])
                    row["pool"] = [item for item in row["pool"] if item["corpus_id"] not in documents]
                    num_items += size - len(row["pool"])
                    if size and not row["pool"]:
                        dropped[NO_NEGATIVE] += 1
                    else:
                        rows.append(row)
                writer.write_table(pa.Table.from_pylist(rows, schema=tables.NEGATIVES))
        outcome.parts["negatives"] = Rows(num_read, num_read - dropped.total(), dict(dropped))
        outcome.num_pool_entries = num_items

    def _pool_tables(self) -> Iterator[pa.Table]:
        assert self.pools is not None
        with pq.ParquetFile(self.pools) as file:
            for batch in file.iter_batches(_QUERIES_A_BATCH):
                yield tables.check(pa.Table.from_batches([batch]), tables.NEGATIVES, self.pools)

    def _root(self) -> Path:
        """Return the folder of the set; of a name on the Hub that of its commit in the cache."""
        if not hub.is_name(resolve(self.source, "retrieval")):
            return folder_and_config(resolve(self.source, "retrieval"))[0]
        first = self.texts.files.queries[0]
        depth = len(Path(hub.path_in_repository(first)).parts) - 2
        return first.parents[depth - 1]

    def _name(self, path: Path) -> str:
        return path.absolute().relative_to(self._root().absolute()).as_posix()


def _open(source: str, split: str, negatives: Path | None) -> RetrievalTexts:
    texts = open_retrieval(source, (split,), field="--split")
    if negatives is None:
        return texts
    path = negatives / NEGATIVES_FILE
    if _holds_set(negatives):
        return texts
    ids = pq.read_table(path, columns=["query_id"]).column("query_id").to_pylist()
    return RetrievalTexts(texts.files, frozenset(ids))


def _holds_set(root: Path) -> bool:
    return (root / "corpus").is_dir() or (root / "corpus.jsonl").is_file()
