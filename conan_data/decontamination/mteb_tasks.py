"""The test data of mteb's tasks, by their names, as mteb itself loads them.

Of a retrieval task the queries, the documents and the judgements count; of tasks on pairs the sentences and the pairs;
of all others the texts. Where the data are not on this machine and the Hub cannot be reached, that is said in a line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conan_data.decontamination.rows import Key, Text
from conan_data.decontamination.text_sets import ListedTexts
from conan_data.errors import UserError

_NOWHERE = Path()


def is_task(name: str) -> bool:
    """Return whether `name` is that of a task of mteb."""
    try:
        _mteb().get_task(name)
    except (KeyError, UserError):
        return False
    return True


def task_input(name: str) -> str:
    """Return the data set of a task on the Hub at its commit, as an input is named."""
    source = _task(name).metadata.dataset
    return f"hf://datasets/{source['path']}@{source['revision']}"


def task_texts(name: str, split: str) -> ListedTexts:
    """Return the texts of a task's test splits, or of the one `split`. Raises `UserError` for a name that mteb does not
    know, data that cannot be had, and a split that is not there.
    """
    task = _task(name)
    try:
        task.load_data()
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"against: {name}: mteb cannot load its data ({first[:160]}); download them once, or leave the task out"
        ) from error
    texts: list[Text] = []
    pairs: list[tuple[Key, Key]] = []
    for subset, data in _splits(task, split):
        if "corpus" in data and "relevant_docs" in data:
            _add_retrieval(data, subset, texts, pairs)
        else:
            _add_rows(task, data, subset, texts, pairs)
    if not texts:
        raise UserError(f"against: {name}: has no texts in {split or ', '.join(task.metadata.eval_splits)}")
    return ListedTexts(texts, pairs)


def tasks_of(repository: str) -> list[str]:
    """Return the tasks of mteb that are made of a data set on the Hub; none where mteb is not installed."""
    try:
        tasks = _mteb().get_tasks()
    except UserError:
        return []
    return sorted(task.metadata.name for task in tasks if task.metadata.dataset["path"] == repository)


def _mteb() -> Any:
    try:
        import mteb
    except ImportError as error:
        raise UserError("against: names of tasks need mteb: pip install 'conan-embed[eval]'") from error
    return mteb


def _task(name: str) -> Any:
    try:
        return _mteb().get_task(name)
    except KeyError as error:
        hint = str(error).partition("Did you mean:")[2].strip(" '\"?")
        close = f"; did you mean {hint!r}?" if hint else ""
        raise UserError(f"against: {name}: no such file or directory, and no task of mteb{close}") from error


def _splits(task: Any, split: str) -> Iterator[tuple[str, Any]]:
    wanted = [split] if split else list(task.metadata.eval_splits)
    for subset in task.hf_subsets:
        by_split = task.dataset.get(subset, task.dataset)
        for name in wanted:
            if name in by_split:
                yield f"{subset}/{name}", by_split[name]


def _add_retrieval(
    data: Mapping[str, Any], subset: str, texts: list[Text], pairs: list[tuple[Key, Key]]
) -> None:
    for part, rows in (("query", data["queries"]), ("document", data["corpus"])):
        for place, row in enumerate(rows, start=1):
            text = row.get("text") or row.get("title")
            if isinstance(text, str) and text.strip():
                texts.append(Text(part, (part, subset, str(row["id"])), text, "", _NOWHERE, place))
    for query, judged in data["relevant_docs"].items():
        pairs.extend(
            (("query", subset, str(query)), ("document", subset, str(document)))
            for document, score in judged.items()
            if score > 0
        )


def _add_rows(
    task: Any, rows: Sequence[Mapping[str, Any]], subset: str, texts: list[Text], pairs: list[tuple[Key, Key]]
) -> None:
    columns = [name for name in _pair_columns(task) if name in rows.column_names]  # type: ignore[attr-defined]
    part = "sentence" if columns else "query"
    for place, row in enumerate(rows, start=1):
        own = [row[name] for name in columns] or [row.get(getattr(task, "input_column_name", "text"))]
        # The old form of some tasks has one row with a list for each column.
        listed = [value if isinstance(value, list) else [value] for value in own]
        for number, values in enumerate(zip(*listed)):
            keys = [("row", subset, f"{place}.{number}.{side}") for side in range(len(values))]
            texts.extend(
                Text(part, key, text, "", _NOWHERE, place)
                for key, text in zip(keys, values)
                if isinstance(text, str) and text.strip()
            )
            pairs.extend([(keys[0], keys[1])] if len(keys) == 2 else [])


def _pair_columns(task: Any) -> tuple[str, ...]:
    names = getattr(task, "column_names", None) or (
        getattr(task, "input1_column_name", "sentence1"),
        getattr(task, "input2_column_name", "sentence2"),
    )
    return tuple(name for name in names if isinstance(name, str))
