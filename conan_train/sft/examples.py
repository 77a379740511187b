"""Examples of instructions and what is to be answered, read from rows of instructions and from pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

from conan_data import readers, sources
from conan_data.plain_text import Tally, hash_place, language, named_in, text_problem
from conan_data.tokens.pairs import is_retrieval_set, read_pairs
from conan_train.sft.config import SftConfig


@dataclass(frozen=True, slots=True)
class Example:
    """What is said to the model, and what it is to answer."""

    prompt: str
    output: str
    lang: str
    place: float
    """A hash in [0, 1); examples with the same output (of pairs: with documents of the same group) share it."""
    source: str


def read_examples(config: SftConfig, tally: Tally) -> Iterator[Example]:
    """All examples; rows that cannot be used are counted by their reason."""
    for file in sources.expand(list(config.data)) if config.data else []:
        for row in readers.read_rows(file):
            tally.read += 1
            if isinstance(row, readers.Broken):
                tally.dropped[row.reason] += 1
                continue
            output = row.values.get("output")
            if problem := text_problem(output):
                tally.dropped["no-output" if problem in ("no-text", "empty-text") else problem] += 1
                continue
            prompt = join(_text(row, "instruction") or config.instruction, _text(row, "input"))
            if problem := text_problem(prompt):
                tally.dropped[problem] += 1
                continue
            place = hash_place(named_in(row, "group") or str(output))
            source = named_in(row, "source") or file.resolve().parent.name
            yield Example(prompt, str(output), language(row), place, source)
    for name in config.pairs:
        paths = [name] if is_retrieval_set(name) else [str(file) for file in sources.expand([name])]
        for path in paths:
            for pair in read_pairs(path, tally, split=config.split, source=name.rstrip("/").split("/")[-1]):
                prompt = join(config.instruction, pair.query)
                yield Example(prompt, pair.document, pair.lang, pair.place, pair.source)


def join(instruction: str, text: str) -> str:
    """What the user says: the instruction, and in further lines the input, where there is one."""
    return f"{instruction}\n{text}" if text.strip() else instruction


def _text(row: readers.Row, field: str) -> str:
    value = row.values.get(field)
    return value if isinstance(value, str) and value.strip() else ""
