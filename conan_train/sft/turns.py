"""Interpret rows of instructions and of conversations: what is said before, what is asked, what is to be answered.

Read are rows of an instruction (`instruction, input, output` of Alpaca, also `prompt, completion`, `question, answer` and
Dolly's `instruction, context, response`, with `history` as a list of earlier questions and answers) and conversations
(`messages` of role and content, `conversations` of from and value as in ShareGPT). Both may have a `system` column. Every
answer of a conversation is one example, with all turns before it as its prompt, so its loss is on each answer once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from conan_data.plain_text import text_problem

CONVERSATION = ("messages", "conversations", "conversation")
INSTRUCTION = ("instruction", "prompt", "question")
INPUT = ("input", "context")
OUTPUT = ("output", "completion", "response", "answer")
SYSTEM = ("system", "system_prompt")
HISTORY = "history"
_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_PARTS_OF_A_TURN = ("role", "from", "content", "value", "weight")


class Refused(Exception):  # noqa: N818 (not an error: a row that is counted)
    """Ends the interpretation of a row; its message is the reason."""


class Turn(NamedTuple):
    """What one side says; the role is `system`, `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True)
class Answer:
    """One answer with the turns before it, of which the last is what is asked."""

    before: tuple[Turn, ...]
    prompt: str
    output: str


@dataclass(frozen=True)
class Conversation:
    """What a row holds: answers to train on, the reasons of turns that are not, and the columns that were read."""

    answers: list[Answer]
    refused: list[str]
    used: tuple[str, ...]
    unused_parts: tuple[str, ...] = ()
    """Parts of turns that are not read, such as `messages.name`."""


def read_conversation(values: Mapping[str, Any], default_instruction: str) -> Conversation:
    """Return what a row holds. Raises `Refused` for one that cannot be used; its message is the reason."""
    if column := _first(values, CONVERSATION):
        return _of_turns(values, column)
    instruction, text, output = (_first(values, names) for names in (INSTRUCTION, INPUT, OUTPUT))
    answer = _text(values, output, "output")
    if not answer.strip():
        raise Refused("no-output")
    asked, given = _text(values, instruction, "instruction"), _text(values, text, "input")
    prompt = join(asked if asked.strip() else default_instruction, given)
    system = _first(values, SYSTEM)
    before = (*_system_turn(values, system), *_history(values.get(HISTORY)))
    used = tuple(name for name in (instruction, text, output, system, HISTORY) if name)
    return Conversation([Answer(before, prompt, answer)], [], used)


def join(instruction: str, text: str) -> str:
    """Return what the user says: the instruction, and in further lines the input, where there is one."""
    return f"{instruction}\n{text}" if text.strip() else instruction


def _of_turns(values: Mapping[str, Any], column: str) -> Conversation:
    turns, weights, parts = _turns(values[column])
    system = _first(values, SYSTEM)
    if system and turns[0].role == "system":
        system = None
    turns = [*_system_turn(values, system), *turns]
    weights = [1.0] * (len(turns) - len(weights)) + weights
    answers, refused = [], []
    for place, (turn, weight) in enumerate(zip(turns, weights, strict=True)):
        if turn.role != "assistant":
            continue
        if place == 0 or turns[place - 1].role != "user":
            refused.append("answer-without-question")
        elif not weight:
            refused.append("weight-0")
        else:
            answers.append(Answer(tuple(turns[: place - 1]), turns[place - 1].text, turn.text))
    if not answers and not refused:
        raise Refused("no-output")
    if turns[-1].role == "user":
        refused.append("question-without-answer")
    unused = tuple(f"{column}.{part}" for part in sorted(parts))
    return Conversation(answers, refused, tuple(name for name in (column, system) if name), unused)


def _turns(value: Any) -> tuple[list[Turn], list[float], set[str]]:
    """Returns the turns of a conversation, their weights, and the names of parts that are not read."""
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        raise Refused("turns-are-no-list-of-objects")
    turns, weights, parts = [], [], set[str]()
    for item in value:
        role = item.get("role", item.get("from"))
        if not isinstance(role, str) or role.lower() not in _ROLES:
            raise Refused("unknown-role")
        text = _content(item.get("content", item.get("value")))
        if problem := text_problem(text):
            raise Refused("empty-turn" if problem in ("no-text", "empty-text") else f"turn-{problem}")
        turns.append(Turn(_ROLES[role.lower()], text))
        weights.append(float(item.get("weight") != 0))
        parts.update(
            name for name in item if name not in _PARTS_OF_A_TURN and item[name] not in (None, "", [])
        )
    return turns, weights, parts


def _content(value: Any) -> Any:
    """Returns the text of a turn, whose content may be a list of parts that are all texts."""
    if isinstance(value, list) and value:
        if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in value):
            return "".join(part["text"] for part in value)
        raise Refused("turn-is-no-text")
    return value


def _history(value: Any) -> Iterator[Turn]:
    if value is None or value == "" or value == []:
        return
    is_pairs = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and not any(map(text_problem, pair)) for pair in value
    )
    if not is_pairs:
        raise Refused("history-is-no-list-of-pairs")
    for question, answer in value:
        yield from (Turn("user", question), Turn("assistant", answer))


def _system_turn(values: Mapping[str, Any], column: str | None) -> list[Turn]:
    text = _text(values, column, "system")
    return [Turn("system", text)] if text.strip() else []


def _text(values: Mapping[str, Any], column: str | None, part: str) -> str:
    """Returns the text of a column, "" where there is none."""
    value = values[column] if column else ""
    problem = text_problem(value)
    if problem and problem not in ("no-text", "empty-text"):
        raise Refused(f"{part}-is-no-text" if problem == "text-is-no-string" else problem)
    return value or ""


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Returns the first of `names` in which a row has a value."""
    return next((name for name in names if values.get(name) not in (None, "", [])), None)
