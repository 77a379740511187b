"""The loss is on the answers and nothing else, packed examples are as good as alone, and no example is cut."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.plain_text import Tally
from conan_train.model.tokenization import load_tokenizer
from conan_train.optim.config import OptimConfig
from conan_train.pretrain.losses import batch_losses
from conan_train.pretrain.packing import NO_LABEL
from conan_train.sft.chat import Chat
from conan_train.sft.config import SftConfig
from conan_train.sft.examples import Example, read_examples
from conan_train.sft.packing import best_fit
from conan_train.sft.train import SftData, sft, write_examples
from conan_train.sft.turns import join
from conan_train.training.loop import Loop
from tests.conan_train.pretrain.conftest import corpus_file, model_dir

__all__ = ["corpus_file", "model_dir"]


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Countable answers, one that tries to end its turn, and rows that cannot be used."""
    words = ["the", "model", "reads", "text", "时间", "Modell"]
    rows: list[dict[str, Any]] = [
        {
            "instruction": "Repeat the word.",
            "input": f"{word} {number}",
            "output": f"{word} " * (number % 4 + 1),
            "lang": "en",
        }
        for number in range(60)
        for word in words[: 1 + number % 6]
    ]
    rows += [
        {"input": "no instruction of its own", "output": "fine"},
        {"instruction": "End your turn.", "output": "now <|im_end|> more </s> <pad>"},
        {"instruction": "Nothing comes.", "output": " "},
        {"instruction": "Say much.", "output": "ab " * 200},
        {"instruction": "much " * 60, "output": "short"},
    ]
    path = tmp_path_factory.mktemp("instructions") / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    return path


def config(out: Path, model: Path, data: Path, **fields: Any) -> SftConfig:
    shape: dict[str, Any] = {
        "steps": 8, "batch_tokens": 512, "micro_batch_tokens": 256, "sequence_length": 128, "held_out": 0.05, "device": "cpu", "threads": 1,
        "log_every": 2, "checkpoint_every": 3, "optim": OptimConfig(lr=1e-2, warmup_steps=2),
    }  # fmt: skip
    return SftConfig(out=out, model=str(model), data=(str(data),), **{**shape, **fields})


@pytest.fixture(scope="module")
def encoded(model_dir: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> SftData:
    run = config(tmp_path_factory.mktemp("encoded") / "out", model_dir, data_file)
    return SftData(run, write_examples(run, model_dir, run.out.with_name("examples")), model_dir)


def test_the_prompt_is_that_of_the_chat_template(model_dir: Path) -> None:
    tokenizer = load_tokenizer(model_dir)
    example = Example(join("Count.", "one two"), "three\n", "en", 0.0, "s")
    [(prompt, output)] = Chat.of(tokenizer.backend_tokenizer).render([example])
    messages = [{"role": "user", "content": "Count.\none two"}]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert prompt == expected
    assert tokenizer.decode(output) == "three\n<|im_end|>"
    whole = tokenizer.apply_chat_template(
        [*messages, {"role": "assistant", "content": "three\n"}], tokenize=False
    )
    assert tokenizer.decode(prompt + output) + "\n" == whole


def test_labels_are_exactly_the_outputs(encoded: SftData, model_dir: Path, data_file: Path) -> None:
    tokenizer = load_tokenizer(model_dir)
    wanted = sorted(
        row["output"] + "<|im_end|>"
        for line in data_file.read_text().splitlines()[:-1]
        for row in [json.loads(line)]
        if row["output"].strip() and len(row["output"]) < 100 and len(row.get("instruction", "")) < 100
    )
    end, found = tokenizer.convert_tokens_to_ids("<|im_end|>"), []
    for number in range(len(encoded.examples.lengths)):
        ids, _, labels, _ = encoded.examples.row(number)
        answer = labels[labels != NO_LABEL]
        assert np.array_equal(answer, ids[len(ids) - len(answer) :]), "shifted by one, to the last token"
        assert labels[-1] == NO_LABEL and answer[-1] == end and end not in answer[:-1]
        found.append(tokenizer.decode(answer))
    assert sorted(found) == wanted
    assert encoded.tally.dropped == {
        "no-output": 1, "output-too-long": 1, "prompt-and-output-too-long": 1, "invalid-json": 1,
    }  # fmt: skip


def test_rows_hold_every_example_once_and_whole(encoded: SftData) -> None:
    rows, lengths = encoded.rows, encoded.examples.lengths
    members = [number for numbers in rows.bins for number in numbers]
    assert sorted(members) == np.flatnonzero(~encoded.held_out).tolist()
    assert max(int(lengths[numbers].sum()) for numbers in rows.bins) <= 128
    assert rows.per_epoch <= 1.3 * lengths[members].sum() / 128 + 1, "hardly any padding"
    one, two = (rows.batch(epoch * rows.per_epoch, rows.per_epoch) for epoch in range(2))
    assert one.num_labels == two.num_labels == int((lengths - encoded.examples.prompts)[members].sum())
    assert one.ids.tolist() != two.ids.tolist() and sorted(one.ids.tolist()) == sorted(two.ids.tolist())
    assert rows.batch(rows.per_epoch + 3, 2).ids.tolist() == two.ids[3:5].tolist()


def test_best_fit_against_brute_force() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 20, 50)
    order = generator.permutation(50)
    bins = best_fit(lengths, order, length=20)
    rooms: list[int] = []
    expected: list[list[int]] = []
    for number in sorted(order.tolist(), key=lambda number: -lengths[number]):
        fitting = [place for place, room in enumerate(rooms) if room >= lengths[number]]
        if not fitting:
            rooms.append(20)
            expected.append([])
            fitting = [len(rooms) - 1]
        best = min(rooms[place] for place in fitting)
        chosen = [place for place in fitting if rooms[place] == best]
        rooms[chosen[0]] -= lengths[number]
        expected[chosen[0]].append(number)
    assert len(bins) == len(expected)
    sums = lambda found: sorted(int(lengths[numbers].sum()) for numbers in found)  # noqa: E731
    assert sums(bins) == sums(expected)


def test_packed_loss_is_that_of_examples_alone(encoded: SftData, model_dir: Path) -> None:
    """Against the stock model on one example after the other, its own shifted labels, without packing."""
    model = AutoModelForCausalLM.from_pretrained(model_dir).double().eval()
    batch = encoded.rows.batch(0, 6)
    loss = batch_losses(model, batch, torch.device("cpu")).total
    loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    expected = torch.zeros((), dtype=torch.float64)
    numbers = [number for place in encoded.rows._order[:6] for number in encoded.rows.bins[place]]
    assert len(numbers) > 8
    for number in numbers:
        ids = torch.from_numpy(encoded.examples.row(number)[0])[None]
        labels = ids.clone()
        labels[:, : encoded.examples.prompts[number]] = -100
        count = int((labels[:, 1:] != -100).sum())
        expected = expected + model(ids, labels=labels, use_cache=False).loss * count
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-4, rtol=1e-4)


def test_it_learns_and_publishes(model_dir: Path, data_file: Path, tmp_path: Path) -> None:
    out = sft(config(tmp_path / "run", model_dir, data_file, steps=20))
    opened = open_artifact(out, kind="language-model")
    assert (
        opened.rows.read
        == opened.rows.kept + sum(opened.rows.dropped.values())
        == len(data_file.read_text().splitlines())
    )
    assert opened.rows.dropped["output-too-long"] == 1 and opened.manifest["extra"]["filled"] > 0.8
    measured = json.loads((out / "held_out.json").read_text())
    for name, row in measured["after"].items():
        assert row["bits_per_byte"] < 0.7 * measured["before"][name]["bits_per_byte"]
    lines = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    AutoModelForCausalLM.from_pretrained(out / "model", local_files_only=True)
    AutoTokenizer.from_pretrained(out / "model", local_files_only=True)


def test_resume_is_bitwise(
    model_dir: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sft(config(tmp_path / "whole", model_dir, data_file))
    take = Loop._take

    def interrupted(self: Loop, step: int, start: float) -> None:
        if step == 5:
            raise KeyboardInterrupt
        take(self, step, start)

    run = config(tmp_path / "run", model_dir, data_file)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Loop, "_take", interrupted)
        sft(run)
    sft(run)
    one, other = (load_file(out / "model" / "model.safetensors") for out in (whole, run.out))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pairs_become_examples(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "faq.jsonl").write_text(
        json.dumps({"query": "why?", "document": "because", "lang": "en"}) + "\n" + json.dumps({"query": "x"})
    )
    run = SftConfig(
        out=tmp_path / "out", model="m", pairs=(str(tmp_path / "faq.jsonl"),), instruction="Answer:", steps=1
    )
    tally = Tally()
    [example] = read_examples(run, tally)
    assert (example.prompt, example.output, example.lang) == ("Answer:\nwhy?", "because", "en")
    assert tally.read == 2 and tally.dropped == {"no-document": 1}


def test_wrong_inputs(model_dir: Path, data_file: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in model_dir.iterdir():
        (plain / path.name).write_bytes(path.read_bytes().replace(b"<|im_end|>", b"<|im_stop|>"))
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": "x"}\n')
    for model, data, fields, message in (
        (plain, data_file, {}, "has no <|im_start|> and <|im_end|>"),
        (model_dir, empty, {}, r"no usable example \(no-output 1\)"),
        (model_dir, data_file, {"instruction": " "}, "instruction: must not be empty"),
        (model_dir, data_file, {"data": ()}, "name at least one file, or pairs"),
    ):
        with pytest.raises(UserError, match=message.replace("|", r"\|")):
            run = {"data": (str(data),)} | fields
            base = config(tmp_path / "run", model, data)
            sft(SftConfig(**{**{name: getattr(base, name) for name in base.__dataclass_fields__}, **run}))
    assert not (tmp_path / "run").exists()


def test_borders_between_examples(encoded: SftData) -> None:
    batch = encoded.rows.batch(0, encoded.rows.per_epoch)
    for positions, documents in zip(batch.positions, batch.documents, strict=True):
        starts = np.flatnonzero(positions == 0)
        for first, second in itertools.pairwise([*starts.tolist(), len(positions)]):
            assert len(set(documents[first:second].tolist())) == 1
            assert positions[first:second].tolist() == list(range(second - first))
