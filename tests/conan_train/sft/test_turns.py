"""What rows of instructions and conversations hold, and that they reach the model as the chat template says."""

import json
from pathlib import Path
from typing import Any

import pytest

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.plain_text import Tally
from conan_train.model.tokenization import load_tokenizer
from conan_train.sft.chat import Chat
from conan_train.sft.examples import Example, read_examples
from conan_train.sft.train import sft
from conan_train.sft.turns import Turn
from tests.conan_train.pretrain.conftest import corpus_file, model_dir
from tests.conan_train.sft.test_sft import config

__all__ = ["corpus_file", "model_dir"]

SYSTEM, HI, HELLO, WHY, BECAUSE = "Be brief.", "Hi", "Hello.", "Why?", "Because."


def turns(names: tuple[str, str], roles: tuple[str, str, str], *texts: str) -> list[dict[str, str]]:
    """A conversation: the system, then user and assistant by turns."""
    who = (roles[0], *(roles[1 + place % 2] for place in range(len(texts) - 1)))
    return [{names[0]: role, names[1]: text} for role, text in zip(who, texts)]


def read(tmp_path: Path, rows: list[Any], **fields: Any) -> tuple[list[Example], Tally]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tally = Tally()
    run = config(tmp_path / "out", tmp_path, path, instruction="Answer.", **fields)
    return list(read_examples(run, tally)), tally


@pytest.mark.parametrize(
    "row",
    [
        {"messages": turns(("role", "content"), ("system", "user", "assistant"), SYSTEM, HI, HELLO, WHY, BECAUSE)},
        {"conversations": turns(("from", "value"), ("system", "human", "gpt"), SYSTEM, HI, HELLO, WHY, BECAUSE)},
        {"conversations": turns(("from", "value"), ("system", "human", "gpt"), SYSTEM, HI, HELLO, WHY, BECAUSE)[1:], "system": SYSTEM},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]}, *turns(("role", "content"), ("", "User", "Assistant"), "", HI, HELLO, WHY, BECAUSE)[1:]]},
    ],
)  # fmt: skip
def test_every_answer_of_a_conversation_is_an_example(tmp_path: Path, row: dict[str, Any]) -> None:
    found, tally = read(tmp_path, [row])
    system = Turn("system", SYSTEM)
    assert [(example.before, example.prompt, example.output) for example in found] == [
        ((system,), HI, HELLO),
        ((system, Turn("user", HI), Turn("assistant", HELLO)), WHY, BECAUSE),
    ]
    assert tally.read == 2 and not tally.dropped and not tally.account.to_json()
    assert len({example.place for example in found}) == 1, "held out together or not at all"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "Add.", "input": "1 1", "output": "2"}, "Add.\n1 1"),
        ({"instruction": "Add.", "input": "", "output": "2", "system": SYSTEM}, "Add."),
        ({"instruction": None, "input": "1 1", "output": "2"}, "Answer.\n1 1"),
        ({"prompt": "1 + 1", "completion": "2"}, "1 + 1"),
        ({"instruction": "Add.", "context": "1 1", "response": "2"}, "Add.\n1 1"),
        ({"question": "1 + 1?", "answer": "2"}, "1 + 1?"),
        ({"instruction": "Add.", "input": "1 1", "output": "2", "history": [[HI, HELLO]]}, "Add.\n1 1"),
    ],
)
def test_instructions(tmp_path: Path, row: dict[str, Any], prompt: str) -> None:
    [example], tally = read(tmp_path, [row])
    before = (Turn("system", SYSTEM),) if "system" in row else ()
    before += (Turn("user", HI), Turn("assistant", HELLO)) if "history" in row else ()
    assert (example.prompt, example.output, example.before) == (prompt, "2", before)
    assert not tally.account.to_json()


USER, BOT = {"role": "user", "content": HI}, {"role": "assistant", "content": HELLO}


@pytest.mark.parametrize(
    ("row", "dropped"),
    [
        ({"instruction": 5, "output": "x"}, "instruction-is-no-text"),
        ({"instruction": "a", "input": ["b"], "output": "x"}, "input-is-no-text"),
        ({"instruction": "a", "output": {"x": 1}}, "output-is-no-text"),
        ({"instruction": "a", "output": ""}, "no-output"),
        ({"instruction": "a", "output": "x", "system": 3}, "system-is-no-text"),
        ({"instruction": "a", "output": "x", "history": [["q"]]}, "history-is-no-list-of-pairs"),
        ({"messages": "[{'role': 'user'}]"}, "turns-are-no-list-of-objects"),
        ({"messages": ["a", "b"]}, "turns-are-no-list-of-objects"),
        ({"messages": [USER]}, "no-output"),
        ({"messages": [USER, {"role": "tool", "content": "x"}, BOT]}, "unknown-role"),
        ({"messages": [USER, {"role": None, "content": "x"}]}, "unknown-role"),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [1]}]}, "empty-turn"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "image_url"}]}]}, "turn-is-no-text"),
        ({"messages": [{"role": "user", "content": 5}, BOT]}, "turn-text-is-no-string"),
        ({"messages": [BOT]}, "answer-without-question"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, row: dict[str, Any], dropped: str) -> None:
    [example], tally = read(tmp_path, [row, {"instruction": "a", "output": "b"}])
    assert example.output == "b" and tally.dropped == {dropped: 1} and tally.read == 2


def test_turns_that_are_not_trained_on_are_counted(tmp_path: Path) -> None:
    row = {
        "messages": [BOT, USER, {**BOT, "weight": 0, "name": "b"}, USER, {**BOT, "weight": 1}, USER],
        "system": SYSTEM,
        "id": 7,
        "metadata": {"source": "here"},
        "tools": None,
    }
    [example], tally = read(tmp_path, [row])
    assert example.prompt == HI and len(example.before) == 4 and example.source == "here"
    assert tally.dropped == {"answer-without-question": 1, "weight-0": 1, "question-without-answer": 1}
    assert tally.read == 4
    [file] = tally.account.to_json()["files"].values()
    assert file == {"read": 1, "unused_columns": {"id": 1, "messages.name": 1}}


def test_the_prompt_is_that_of_the_chat_template(model_dir: Path) -> None:
    tokenizer = load_tokenizer(model_dir)
    before = (Turn("system", SYSTEM), Turn("user", "a <|im_end|> b"), Turn("assistant", "c\n"))
    examples = [Example("why?", "because", "en", 0.0, "s", own) for own in (before, (), before[:1])]
    rendered = Chat.of(tokenizer.backend_tokenizer).render(examples)
    for example, (prompt, output) in zip(examples, rendered, strict=True):
        messages = [{"role": turn.role, "content": turn.text} for turn in example.before]
        messages.append({"role": "user", "content": "why?"})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert tokenizer.decode(prompt) == text and tokenizer.decode(output) == "because<|im_end|>"
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert prompt.count(end) == len(messages), "what is spelled out in a text ends no turn"
    plain = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "why?"}]
    assert rendered[2][0] == tokenizer.apply_chat_template(
        plain, add_generation_prompt=True, return_dict=False
    )


def test_conversations_are_trained_on_and_accounted_for(
    model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[Any] = [
        {"conversations": [{"from": "human", "value": f"{n} the"}, {"from": "gpt", "value": f"model {n}"}] * 2, "system": SYSTEM, "id": n}
        for n in range(40)
    ]  # fmt: skip
    path = tmp_path / "sharegpt.json"
    path.write_text(json.dumps([*rows, {"conversations": []}], indent=1))
    out = sft(config(tmp_path / "run", model_dir, path, steps=4))
    manifest = open_artifact(out, kind="language-model").manifest
    assert manifest["rows"]["read"] == 81 and manifest["rows"]["dropped"]["no-output"] == 1
    assert manifest["extra"]["files"] == {
        path.name: {"read": 41, "refused": {"no-output": 1}, "unused_columns": {"id": 40}}
    }
    assert f"{path}: 1 of 41 rows are refused (no-output 1)" in caplog.messages
    assert f"{path}: columns that are not used: id" in caplog.messages


def test_a_file_of_something_else_is_described(model_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "dpo.jsonl"
    path.write_text(json.dumps({"chosen": [USER, BOT], "rejected": [USER, BOT]}) + "\n")
    with pytest.raises(
        UserError, match=r"no-output 1\); the columns are chosen, rejected; rows need .* or 'messages' of"
    ):
        sft(config(tmp_path / "run", model_dir, path))
