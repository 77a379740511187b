"""Find the files that hold the corpus, the queries and the judgements of one split of a retrieval set.

Public tools name these files in many ways: BEIR (`corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`), MS MARCO
(`collection.tsv`, `queries.SPLIT.tsv`, `qrels.SPLIT.tsv`), MIRACL (`topics/topics.NAME-SPLIT.tsv`,
`qrels/qrels.NAME-SPLIT.tsv`, `docs-0.jsonl.gz`), TREC (`qrels.SPLIT.txt`), and folders of shards
(`corpus/SPLIT-00000-of-00003.parquet`). One rule reads all of them: a word of the file's name, or of its folder's,
says which part the file belongs to, and what is left of the name is its split; nothing left means all splits. The
layout of mteb names its parts in the data card instead, as configs (`corpus`, `queries`, `default` or `qrels`, or
`de-corpus`, ... where one folder holds several sets).

Only names are read here, so the same rule serves a folder and a listing of the Hub.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conan_data import hub
from conan_data.errors import UserError
from conan_data.readers.streams import unpacked_name

_PART_OF = {
    "corpus": "corpus",
    "collection": "corpus",
    "documents": "corpus",
    "docs": "corpus",
    "passages": "corpus",
    "queries": "queries",
    "query": "queries",
    "topics": "queries",
    "qrels": "qrels",
    "translations": "translations",
}
"""Word of a file's or folder's name to the part that it names; of two words the first one here is preferred."""
_ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".tsv", ".csv")
_QRELS_ENDINGS = (".tsv", ".txt", ".qrels", ".trec", *_ENDINGS)
_WORD = re.compile(rf"(?:^|[._-]|(?<=\d))({'|'.join(_PART_OF)})(?=$|[._-])")
_SHARD = re.compile(r"[._-]?\d{4,}[._-]of[._-]\d{4,}$|(?:^|[._-])(?:part[._-]?)?\d+$")
_COUNTED_SHARD = re.compile(r"[._-]?\d{4,}[._-]of[._-]\d{4,}$|^\d+$")
"""Split names may end in a number (`dl-2019`), so of judgements and queries only these are shards."""
_MAX_DEPTH = 3
_NEEDED = (
    "corpus[.SPLIT].jsonl, queries[.SPLIT].jsonl and qrels/SPLIT.tsv (BEIR), collection.tsv, queries.SPLIT.tsv and"
    " qrels.SPLIT.tsv (MS MARCO), or a data card with the configs corpus, queries and qrels (mteb)"
)


@dataclass(frozen=True)
class RetrievalFiles:
    """The files of one split, in order."""

    corpus: list[Path]
    queries: list[Path]
    qrels: list[Path]
    translations: list[Path]
    has_own_queries: bool
    """Whether the queries are those of this split alone, rather than of all splits."""
    has_own_translations: bool = False
    """Whether the translations are those of this split's queries alone."""
    unused: list[str] = field(default_factory=list)
    """Files, or configs, of the same split that are not read."""


@dataclass(frozen=True)
class _Named:
    """A file and what its name says: the set it belongs to (`de` of `de-corpus/`) and its split, each "" for none."""

    path: Path
    part: str
    word: str
    config: str
    label: str
    ending: str


def find_files(path: str, split: str) -> RetrievalFiles:
    """Return the files of a split of a folder (or `FOLDER/CONFIG`), or of a name on the Hub.

    Raises `UserError` when a part, or the split, is not there; the message lists what is.
    """
    if not hub.is_name(path):
        root, config = folder_and_config(path)
        return _find(root, split, config, shown=path)
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
        found.has_own_translations,
        found.unused,
    )


def folder_and_config(path: str | Path) -> tuple[Path, str]:
    """Return the folder of a set and the config in it: `set/de` is config `de` of `set` where there is no folder
    `set/de`, but `set` has the parts `de-corpus`, `de-queries` and `de-qrels`.
    """
    folder = Path(path)
    root, config = folder.parent, folder.name
    if folder.exists() or not root.is_dir() or not config:
        return folder, ""
    names = [f"{config}{mark}corpus" for mark in "-_"] + [f"corpus{mark}{config}" for mark in "-_"]
    # Most paths that are not there are typing errors: nothing is searched for them.
    card = root / "README.md"
    if any((root / name).is_dir() for name in names) or (
        card.is_file() and any(name in card.read_text(encoding="utf-8", errors="replace") for name in names)
    ):
        return root, config
    return folder, ""


def holds_set(root: Path) -> bool:
    """Return whether the names of the files below `root` are those of a retrieval set."""
    return {"corpus", "queries"} <= {file.part for file in _named(root)} or bool(
        (root / "README.md").is_file() and _card_configs(hub.config_names(root))
    )


def _find(root: Path, split: str, config: str, *, shown: str) -> RetrievalFiles:
    files = _named(root)
    at_root = any(file.part == "corpus" and file.path.parent == root for file in files)
    if not at_root or config:
        names = hub.config_names(root) if (root / "README.md").is_file() else []
        sets = _card_configs(names)
        if config in sets:
            return _find_configs(root, split, config, names, shown=shown)
        if not config and len(sets) == 1:
            return _find_configs(root, split, sets[0], names, shown=shown)
        if sets or (config and config not in _configs(files)):
            known = sets or _configs(files)
            _refuse_config(shown, config, known)
    return _find_named(root, files, split, config, shown=shown)


def _refuse_config(shown: str, config: str, known: Sequence[str]) -> None:
    if config:
        raise UserError(
            f"{shown}: has no config {config}-corpus; it has {', '.join(f'{name}-corpus' for name in known if name) or 'none'}"
        )
    raise UserError(
        f"{shown}: holds several sets ({', '.join(known)}); name one, such as {shown.rstrip('/')}/{known[0]}"
    )


def _named(root: Path) -> list[_Named]:
    """The files below `root` whose names say which part of a set they belong to, in the order of their paths."""
    return [
        named for path in _walk(root) if (named := _of_name(path, path.relative_to(root).parts)) is not None
    ]


def _walk(root: Path) -> list[Path]:
    """The files at most `_MAX_DEPTH` levels below `root`, sorted; hidden ones are left out."""
    found = []
    for folder, folders, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts) + 1
        folders[:] = [name for name in folders if not name.startswith(".") and depth < _MAX_DEPTH]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _of_name(path: Path, parts: tuple[str, ...]) -> _Named | None:
    unpacked = unpacked_name(parts[-1])
    ending = next((end for end in _QRELS_ENDINGS if unpacked.lower().endswith(end)), "")
    stem = unpacked[: len(unpacked) - len(ending)]
    names = [*parts[:-1], stem]
    words = [_WORD.search(name) for name in names]
    place = next((place for place in reversed(range(len(names))) if words[place]), None)
    if place is None:
        return None
    match = words[place]
    assert match is not None
    word = match.group(1)
    part = _PART_OF[word]
    if not ending and part == "qrels" and unpacked == parts[-1]:
        # TREC names its judgements qrels.SPLIT, without an ending.
        stem, names[-1] = unpacked, unpacked
    elif not ending or (ending not in _ENDINGS and part != "qrels"):
        return None
    shard = _SHARD if part == "corpus" else _COUNTED_SHARD
    labels = [_without_word(name) for name in names]
    labels[-1] = _without_word(shard.sub("", names[-1]))
    # A folder that names the part (`de-corpus/`) may name the set too.
    folder = next((i for i in range(len(names) - 1) if words[i]), None)
    config = labels[folder] if folder is not None else ""
    inner = [label for i, label in enumerate(labels) if label and i != folder]
    return _Named(path, part, word, config, inner[-1] if inner else "", ending + parts[-1][len(unpacked) :])


def _without_word(name: str) -> str:
    return _WORD.sub("", name).strip("._-")


def _configs(files: Sequence[_Named]) -> list[str]:
    """Names of the sets that folders such as `de-corpus/`, `de-queries/` and `de-qrels/` hold."""
    of_part = {
        part: {file.config for file in files if file.part == part} for part in ("corpus", "queries", "qrels")
    }
    return sorted(name for name in of_part["queries"] & of_part["qrels"] if name)


def _find_named(
    root: Path, files: Sequence[_Named], split: str, config: str, *, shown: str
) -> RetrievalFiles:
    configs = _configs(files)
    if not config and configs and not any(file.part == "queries" and not file.config for file in files):
        if len(configs) > 1:
            _refuse_config(shown, "", configs)
        config = configs[0]
    by_part = {
        part: _of_set([file for file in files if file.part == part], config)
        for part in set(_PART_OF.values())
    }
    for part in ("corpus", "queries", "qrels"):
        if not by_part[part]:
            there = ", ".join(path.relative_to(root).as_posix() for path in _walk(root)[:10]) or "nothing"
            raise UserError(f"{shown}: has no {part}; it holds {there}; needed: {_NEEDED}")
    qrels = _of_split(by_part["qrels"], split)
    if not qrels:
        present = ", ".join(sorted({file.label or file.path.name for file in by_part["qrels"]}))
        raise UserError(f"{shown}: has no judgements for split {split!r}; it has {present}")
    queries = _of_split(by_part["queries"], split)
    has_own_queries = bool(queries)
    queries = queries or [file for file in by_part["queries"] if not file.label]
    if not queries:
        raise UserError(f"{shown}: has no queries for split {split!r}; it has {_labels(by_part['queries'])}")
    corpus = _of_split(by_part["corpus"], split) or [file for file in by_part["corpus"] if not file.label]
    if not corpus and len({file.label for file in by_part["corpus"]}) == 1:
        corpus = by_part["corpus"]
    if not corpus:
        raise UserError(f"{shown}: has no corpus for split {split!r}; it has {_labels(by_part['corpus'])}")
    translations = _of_split(by_part["translations"], split)
    has_own_translations = bool(translations)
    translations = translations or [file for file in by_part["translations"] if not file.label]
    unused: list[str] = []
    return RetrievalFiles(
        _of_one_form(corpus, root, unused),
        _of_one_form(queries, root, unused),
        _of_one_form(qrels, root, unused),
        _of_one_form(translations, root, unused),
        has_own_queries=has_own_queries,
        has_own_translations=has_own_translations,
        unused=unused,
    )


def _of_set(files: list[_Named], config: str) -> list[_Named]:
    """Those of a config; where it has none of its own, those that all sets share."""
    own = [file for file in files if file.config == config]
    if own or config == "":
        # A folder with one corpus may be called anything (`miracl-corpus-v1.0-sw/`).
        return own or (files if len({file.config for file in files}) == 1 else [])
    return [file for file in files if not file.config]


def _of_split(files: Sequence[_Named], split: str) -> list[_Named]:
    """Those whose label is the split, or ends in it (`miracl-v1.0-sw-dev`)."""
    exact = [file for file in files if file.label == split]
    if exact:
        return exact
    ending = [file for file in files if re.search(rf"[._-]{re.escape(split)}$", file.label)]
    return ending if len({file.label for file in ending}) == 1 else []


def _of_one_form(files: Sequence[_Named], root: Path, unused: list[str]) -> list[Path]:
    """The files of one folder, word and ending: a set may lie there twice, as JSON lines and as Parquet."""
    if not files:
        return []
    words, endings = list(_PART_OF), list(_QRELS_ENDINGS if files[0].part == "qrels" else _ENDINGS)

    def form(file: _Named) -> tuple[int, int, int, str]:
        plain = next((end for end in endings if file.ending.startswith(end)), "")
        return (
            len(file.path.parts),
            words.index(file.word),
            endings.index(plain) if plain else len(endings),
            file.ending,
        )

    best = min(form(file) for file in files)
    unused += [file.path.relative_to(root).as_posix() for file in files if form(file) != best]
    return [file.path for file in files if form(file) == best]


def _labels(files: Sequence[_Named]) -> str:
    return ", ".join(sorted({file.label for file in files}))


def _card_configs(names: Sequence[str]) -> list[str]:
    """Sets that the configs of a card name: "" for `corpus`, `de` for `de-corpus` or `corpus-de`."""
    found = []
    for name in names:
        for pattern in (r"()corpus", r"(.+)[-_]corpus", r"corpus[-_](.+)"):
            if match := re.fullmatch(pattern, name):
                found.append(match.group(1))
                break
    return found


def _config_of(part: str, config: str, names: Sequence[str]) -> str | None:
    if not config:
        choices = {
            "corpus": ["corpus"],
            "queries": ["queries", "query"],
            "qrels": ["default", "qrels"],
        }[part]
    else:
        choices = [form for mark in "-_" for form in (f"{config}{mark}{part}", f"{part}{mark}{config}")]
        choices += {"corpus": [], "queries": [], "qrels": [config]}[part]
    return next((name for name in choices if name in names), None)


def _find_configs(root: Path, split: str, config: str, names: Sequence[str], *, shown: str) -> RetrievalFiles:
    """The layout of mteb: a split of the corpus or the queries that is alone serves all judgements."""
    parts = {}
    chosen = {part: _config_of(part, config, names) for part in ("corpus", "queries", "qrels")}
    for part, name in chosen.items():
        if name is None:
            raise UserError(
                f"{shown}: has no config {f'{config}-{part}' if config else part}; it has {', '.join(names)}"
            )
        parts[part] = hub.config_files(root, name, shown=shown)
    if split not in parts["qrels"]:
        present = ", ".join(sorted(parts["qrels"])) or "none"
        raise UserError(f"{shown}: has no judgements for split {split!r}; it has {present}")
    for part, splits in parts.items():
        if split not in splits and len(splits) != 1:
            raise UserError(
                f"{shown}: config {chosen[part]} has no split {split!r}; it has {', '.join(sorted(splits)) or 'none'}"
            )
    corpus, queries, qrels = (
        splits[split] if split in splits else next(iter(splits.values())) for splits in parts.values()
    )
    mark = re.compile(rf"^{re.escape(config)}[-_]|[-_]{re.escape(config)}$") if config else None
    unused = [
        f"config {name}"
        for name in names
        if name not in chosen.values()
        and (mark.search(name) if mark else name in ("top_ranked", "instruction"))
    ]
    return RetrievalFiles(
        corpus, queries, qrels, [], has_own_queries=split in parts["queries"], unused=unused
    )
