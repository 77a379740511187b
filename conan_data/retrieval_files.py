"""Which files hold the corpus, the queries and the judgements of a retrieval set.

Layouts: a BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`); the same with a split in the file
names (`corpus.SPLIT.jsonl`, ...); the layout of mteb, whose card, or folders, name configs `corpus`, `queries`
and `default` or `qrels` (`LANGUAGE-corpus`, ... where a set has several). Each may lie in a folder or on the
Hub, where only the files of the split are downloaded.
"""

from dataclasses import dataclass
from pathlib import Path

from conan_data import hub
from conan_data.errors import UserError

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


@dataclass(frozen=True)
class RetrievalFiles:
    """The files of one split, in order."""

    corpus: list[Path]
    queries: list[Path]
    qrels: list[Path]
    translations: list[Path]
    has_own_queries: bool
    """Whether the queries are those of this split alone, rather than of all splits."""


def find_files(path: str, split: str) -> RetrievalFiles:
    """The files of a split of a folder, or of a name on the Hub.

    Raises `UserError` when a part, or the split, is not there.
    """
    if not hub.is_name(path):
        return _find(Path(path), split, "", shown=path)
    name = hub.HUB.pin(hub.parse(path))
    with hub.HUB.tree(name) as root:
        found = _find(root, split, name.config, shown=path)

    def fetch(files: list[Path]) -> list[Path]:
        return hub.HUB.fetch(name, [file.relative_to(root).as_posix() for file in files])

    return RetrievalFiles(
        fetch(found.corpus),
        fetch(found.queries),
        fetch(found.qrels),
        fetch(found.translations),
        found.has_own_queries,
    )


def _find(root: Path, split: str, config: str, *, shown: str) -> RetrievalFiles:
    corpus = _named(root, "corpus", split)
    if corpus is None or config:
        names = hub.config_names(root)
        if (f"{config}-corpus" if config else "corpus") in names:
            return _find_configs(root, split, config, names, shown=shown)
        if config:
            raise UserError(f"{shown}: has no config {config}-corpus; it has {', '.join(names) or 'none'}")
    queries = _named(root, "queries", split)
    for name, file in (("corpus", corpus), ("queries", queries)):
        if file is None:
            raise UserError(
                f"{shown}: has neither {name}.{split}.jsonl[.gz|.zst] nor {name}.jsonl[.gz|.zst], nor a config {name}"
            )
    assert corpus is not None and queries is not None
    translations = _named(root, "translations", split)
    return RetrievalFiles(
        [corpus],
        [queries],
        [_qrels(root, split, shown)],
        [translations] if translations else [],
        has_own_queries=f".{split}." in queries.name,
    )


def _named(root: Path, name: str, split: str) -> Path | None:
    candidates = [root / f"{stem}{ending}" for stem in (f"{name}.{split}", name) for ending in _ENDINGS]
    return next((path for path in candidates if path.is_file()), None)


def _qrels(root: Path, split: str, shown: str) -> Path:
    candidates = [root / f"qrels.{split}.tsv", root / "qrels" / f"{split}.tsv"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        present = sorted(
            {
                *(path.name.split(".")[1] for path in root.glob("qrels.*.tsv")),
                *(path.stem for path in root.glob("qrels/*.tsv")),
            }
        )
        raise UserError(
            f"{shown}: has no judgements for split {split!r}; it has {', '.join(present) or 'none'}"
        )
    return found


def _find_configs(root: Path, split: str, config: str, names: list[str], *, shown: str) -> RetrievalFiles:
    """The layout of mteb: a split of the corpus or the queries that is alone serves all judgements."""
    prefix = f"{config}-" if config else ""
    qrels_config = next(
        (name for name in (config or "default", f"{prefix}qrels") if name in names), f"{prefix}qrels"
    )
    parts = {
        part: hub.config_files(root, name, shown=shown)
        for part, name in (
            ("corpus", f"{prefix}corpus"),
            ("queries", f"{prefix}queries"),
            ("qrels", qrels_config),
        )
    }
    if split not in parts["qrels"]:
        present = ", ".join(sorted(parts["qrels"])) or "none"
        raise UserError(f"{shown}: has no judgements for split {split!r}; it has {present}")
    for part, splits in parts.items():
        if split not in splits and len(splits) != 1:
            raise UserError(
                f"{shown}: config {prefix}{part} has no split {split!r}; it has {', '.join(sorted(splits)) or 'none'}"
            )
    corpus, queries, qrels = (
        splits[split] if split in splits else next(iter(splits.values())) for splits in parts.values()
    )
    return RetrievalFiles(corpus, queries, qrels, [], has_own_queries=split in parts["queries"])
