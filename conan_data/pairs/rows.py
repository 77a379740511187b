"""Read the rows of training data wherever they come from: files of any kind (see `training_rows`), and retrieval sets,
which give each of their queries with its positives.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from conan_data import artifact, hub
from conan_data.pairs.columns import PairFields
from conan_data.pairs.pair_set import source_names
from conan_data.pairs.training_rows import Text, TrainingRow, Uses, read_training_rows
from conan_data.public_names import SAMPLE
from conan_data.readers import Broken
from conan_data.readers.account import Account
from conan_data.retrieval import read_retrieval
from conan_data.retrieval_files import folder_and_config, holds_set
from conan_data.sources import expand, resolve


def pair_inputs(inputs: Sequence[str]) -> list[str | Path]:
    """What a manifest names for these: retrieval sets as they are, and the files behind everything else."""
    named: list[str | Path] = []
    for path in inputs:
        named += [resolve(path, "retrieval")] if is_retrieval_set(path) else expand([path])
    return named


def pair_sources(inputs: Sequence[str]) -> list[tuple[str, str]]:
    """(path, name of the source) of every retrieval set and file behind `inputs`."""
    found: list[tuple[str, str]] = []
    for path, source in zip(inputs, source_names(inputs), strict=True):
        if is_retrieval_set(path):
            found.append((path, source))
        else:
            files = expand([path])
            names = source_names(files) if len(files) > 1 else (source,)
            found += [(str(file), name) for file, name in zip(files, names, strict=True)]
    return found


def is_retrieval_set(path: str | Path) -> bool:
    """Whether an input is a retrieval set rather than files of pairs: `sample`, an artifact of ours, or a folder
    or a name on the Hub that has a corpus.
    """
    if str(path) == SAMPLE and not Path(SAMPLE).exists():
        return True
    if hub.is_name(path):
        name = hub.HUB.pin(hub.parse(str(path)))
        with hub.HUB.tree(name) as root:
            return holds_set(root)
    root = folder_and_config(path)[0]
    if artifact.is_artifact(root):
        return (root / "qrels").is_dir() or holds_set(root)
    return root.is_dir() and holds_set(root)


def read_pair_rows(
    path: str,
    account: Account,
    *,
    source: str,
    split: str = "train",
    fields: PairFields | None = None,
    min_score: float | None = None,
    group_regex: str = "",
    uses: Uses | None = None,
) -> Iterator[TrainingRow | Broken]:
    """Yield the rows of a retrieval set or of one file; `source` is that of rows that name none.

    What becomes of the rows and columns of a file is counted in `account`. Raises `UserError` for what is not there,
    and as `read_training_rows` does.
    """
    if is_retrieval_set(path):
        yield from _of_retrieval_set(path, source=source, split=split, group_regex=group_regex)
    else:
        yield from read_training_rows(
            path, account, source=source, fields=fields, min_score=min_score, uses=uses
        )


def _of_retrieval_set(
    path: str, *, source: str, split: str, group_regex: str
) -> Iterator[TrainingRow | Broken]:
    data = read_retrieval(path, split, group_regex=group_regex)
    yield from data.broken
    positives = data.positives()
    columns = (data.corpus.column(name).to_pylist() for name in ("_id", "title", "text", "lang", "group"))
    documents = {
        key: Text(f"{title or ''} {text}".strip(), lang, f"{source}/{group}" if group != key else "")
        for key, title, text, lang, group in zip(*columns, strict=True)
    }
    columns = (data.queries.column(name).to_pylist() for name in ("_id", "text", "lang"))
    for key, text, lang in zip(*columns, strict=True):
        yield TrainingRow(text, lang, source, [documents[name] for name in positives[key]], [])
