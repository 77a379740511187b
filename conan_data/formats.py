"""`conan-data formats`: the layouts that a user has to write, each in a few lines that the readers take as they stand.

The README shows what is printed here. Other layouts that are read are named by the `--help` of the commands.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from conan_data.config import Config, require
from conan_data.fields import nearest


@dataclass(frozen=True)
class Layout:
    """A layout: what it is for, and lines of (file, content); a file without a name is the one above it."""

    about: str
    lines: tuple[tuple[str, str], ...]

    def files(self) -> dict[str, str]:
        """Return the content of each file."""
        found: dict[str, str] = {}
        for name, content in self.lines:
            file = name or next(reversed(found))
            found[file] = found.get(file, "") + content + "\n"
        return found


LAYOUTS = {
    "documents": Layout(
        "raw texts, for build-corpus --input; all but the text may be left out, other columns are named",
        (
            ("texts.jsonl", '{"id": "tea-en", "text": "Green tea is steeped at 80 degrees.", "lang": "en"}'),
            ("", '{"id": "tea-de", "text": "Grüner Tee zieht bei 80 Grad.", "title": "Tee", "url": "https://a.example/"}'),
        ),
    ),
    "beir": Layout(
        "a retrieval set, a folder for --data; documents of one group say the same, and are never negatives for it",
        (
            ("corpus.jsonl", '{"_id": "d1", "title": "Tea", "text": "Steep it at 80 degrees.", "lang": "en", "group": "tea"}'),
            ("queries.jsonl", '{"_id": "q1", "text": "How hot is the water for green tea?", "lang": "en"}'),
            ("qrels/train.tsv", "query-id\tcorpus-id\tscore"),
            ("", "q1\td1\t1"),
        ),
    ),
    "translations": Layout(
        "the queries of a retrieval set in other languages, a file in its folder, for build-xlr",
        (
            ("translations.jsonl", '{"query_id": "q1", "lang": "de", "text": "Wie heiß ist das Wasser für grünen Tee?"}'),
            ("", '{"query_id": "q1", "lang": "fr", "text": "À quelle température infuser le thé vert ?", "origin": "human"}'),
        ),
    ),
    "mix": Layout(
        "how often build-xlr asks in each language, relative to the others",
        (
            ("in a recipe", "mix: {en: 2, de: 1, fr: 1}"),
            ("as flags", "--mix.en 2 --mix.de 1 --mix.fr 1"),
            ("in Python", 'mix={"en": 2, "de": 1, "fr": 1}'),
        ),
    ),
    "pairs": Layout(
        "texts and what answers them, with negatives or without; one of these, for weak --data and import-negatives",
        (
            ("pairs.jsonl", '{"query": "How hot for green tea?", "document": "Steep it at 80 degrees.", "lang": "en"}'),
            ("triplets.jsonl", '{"anchor": "How hot for green tea?", "positive": "At 80 degrees.", "negative": "In a cup."}'),
            ("lists.jsonl", '{"query": "How hot for green tea?", "pos": ["At 80 degrees."], "neg": ["In a cup.", "At noon."]}'),
        ),
    ),
    "sft": Layout(
        "what is asked and what is to be answered; one of these, for sft --data",
        (
            ("asked.jsonl", '{"instruction": "Translate into German.", "input": "green tea", "output": "grüner Tee"}'),
            ("chats.jsonl", '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}'),
        ),
    ),
    "labels": Layout(
        "texts and their labels; one of these, for train-classifier --input and finetune --classification.data",
        (
            ("labels.jsonl", '{"text": "Buy one, get one free!", "label": "advertisement", "lang": "en"}'),
            ("labels.csv", "text,label"),
            ("", '"Buy one, get one free!",advertisement'),
        ),
    ),
    "scored-pairs": Layout(
        "pairs of texts and how alike they are, on any scale; one of these, for finetune --sts.data",
        (
            ("sts.jsonl", '{"text1": "A cup of tea", "text2": "A mug of tea", "score": 4.5}'),
            ("sts.csv", "sentence1,sentence2,score"),
            ("", "A cup of tea,A mug of tea,4.5"),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FormatsConfig(Config):
    """Print the layouts of files that a user writes."""

    name: str = ""
    """Name of the layout to print; all by default."""

    def check(self) -> None:
        names = ", ".join(LAYOUTS)
        require(
            not self.name or self.name in LAYOUTS,
            "name",
            self.name,
            f"must be one of {names}{nearest(self.name, LAYOUTS)}",
        )


def formats(config: FormatsConfig) -> str:
    """Return the text of the layouts."""
    return describe([config.name] if config.name else LAYOUTS)


def describe(names: Iterable[str]) -> str:
    """Return the layouts of these names: a line each on what it is for, then file by file what stands in it."""
    return "\n\n".join(_block(name, LAYOUTS[name]) for name in names)


def _block(name: str, layout: Layout) -> str:
    width = max(len(file) for file, _ in layout.lines) + 2
    return "\n".join(
        [f"{name}: {layout.about}", *(f"  {file:{width}}{content}" for file, content in layout.lines)]
    )
