"""Read examples of what is asked and what is to be answered, from instructions, conversations and pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conan_data import readers, sources
from conan_data.pairs.rows import pair_sources
from conan_data.plain_text import Tally, hash_place, language, named_in
from conan_data.public_names import public_name
from conan_data.tokens.pairs import read_pairs
from conan_train.sft.config import SftConfig
from conan_train.sft.turns import Conversation, Refused, Turn, join, read_conversation

_ALWAYS_READ = ("lang", "source", "group")


@dataclass(frozen=True, slots=True)
class Example:
    """What is said to the model, and what it is to answer."""

    prompt: str
    """The last turn of the user."""
    output: str
    lang: str
    place: float
    """A hash in [0, 1); examples with the same output (of pairs: with documents of the same group; of conversations: of
    the same row) share it.
    """
    source: str
    before: tuple[Turn, ...] = ()
    """The turns before the prompt: the system's, and those of a conversation so far."""


def read_examples(config: SftConfig, tally: Tally) -> Iterator[Example]:
    """Yield all examples; rows that cannot be used, and turns of a conversation, are counted by their reason."""
    for file in sources.expand(list(config.data)) if config.data else []:
        yield from _of_file(file, config, tally)
    for path, source in pair_sources(config.pairs):
        for pair in read_pairs(path, tally, split=config.split, source=source):
            prompt = join(config.instruction, pair.query)
            yield Example(prompt, pair.document, pair.lang, pair.place, pair.source)


def _of_file(file: Path, config: SftConfig, tally: Tally) -> Iterator[Example]:
    account = tally.account.of(public_name(file))
    for row in readers.read_rows(file):
        account.read += 1
        found = row if isinstance(row, readers.Broken) else _conversation(row, config)
        if isinstance(found, readers.Broken):
            tally.read += 1
            tally.dropped[found.reason] += 1
            account.refuse(found, row.values if isinstance(row, readers.Row) else ())
            continue
        assert isinstance(row, readers.Row)
        tally.read += len(found.answers) + len(found.refused)
        tally.dropped.update(found.refused)
        metadata = row.values.get("metadata")
        is_read = isinstance(metadata, Mapping) and any(name in metadata for name in _ALWAYS_READ)
        account.leave_out_others(row.values, (*found.used, *_ALWAYS_READ, *(["metadata"] if is_read else [])))
        account.leave_out(found.unused_parts)
        if not found.answers:
            continue
        place = hash_place(named_in(row, "group") or found.answers[0].output)
        source = named_in(row, "source") or file.resolve().parent.name
        for answer in found.answers:
            yield Example(answer.prompt, answer.output, language(row), place, source, answer.before)


def _conversation(row: readers.Row, config: SftConfig) -> Conversation | readers.Broken:
    try:
        return read_conversation(row.values, config.instruction)
    except Refused as reason:
        return readers.broken(row, str(reason))
