"""Hostile command lines and recipes for every command of both programs, from a seed.

Each case starts from values that a command would take (of inputs that are not there, so that no command ever gets to
work) and breaks one or two of them. Run it by hand for more cases than the test has time for:

    python -m tests.conan_train.path.fuzz 20000 --seed 3
"""

import argparse
import contextlib
import importlib
import io
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

import yaml

from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import Command, main
from conan_data.flags import Flag, flags_of
from conan_train.cli import COMMANDS as TRAIN_COMMANDS

PROGRAMS = {"conan-data": DATA_COMMANDS, "conan-train": TRAIN_COMMANDS}
LIMIT_S = 5.0
"""Of the processor, so that a busy machine does not fail."""
HANGS_S = 60.0

BASE: dict[tuple[str, str], dict[str, Any]] = {
    ("conan-data", "build-corpus"): {"input": ["missing.jsonl"], "languages": ["en"]},
    ("conan-data", "report"): {"corpus": "missing"},
    ("conan-data", "tokenize"): {"tokenizer": "missing", "corpus": ["missing.jsonl"]},
    ("conan-data", "build-pairs"): {"input": ["missing.jsonl"]},
    ("conan-data", "score-pairs"): {"pairs": ["missing"], "model": "missing"},
    ("conan-data", "build-xlr"): {"data": "missing", "mix": {"en": 1, "de": 2}},
    ("conan-data", "mine"): {"model": "missing", "data": "missing"},
    ("conan-data", "audit"): {"negatives": "missing", "data": "missing"},
    ("conan-data", "decontaminate"): {"set": "missing", "against": ["missing.jsonl"]},
    ("conan-data", "export-negatives"): {"negatives": "missing", "data": "missing"},
    ("conan-data", "import-negatives"): {"input": ["missing.jsonl"]},
    ("conan-data", "train-classifier"): {"positive": ["missing.jsonl"], "negative": ["missing.jsonl"]},
    ("conan-data", "card"): {"artifact": "missing"},
    ("conan-data", "formats"): {"name": "missing"},
    ("conan-data", "push"): {"artifact": "missing", "repository": "me/set"},
    ("conan-train", "tokenizer"): {"corpus": ["missing.jsonl"], "vocab_size": 500},
    ("conan-train", "init"): {"preset": "nano", "tokenizer": "missing"},
    ("conan-train", "pretrain"): {"model": "missing", "corpus": ["missing.jsonl"], "steps": 1},
    ("conan-train", "sft"): {"model": "missing", "data": ["missing.jsonl"], "steps": 1},
    ("conan-train", "weak"): {"model": "missing", "data": ["missing.jsonl"], "steps": 1},
    ("conan-train", "finetune"): {"model": "missing", "data": ["missing"], "steps": 1},
    ("conan-train", "mine-service"): {"run": "missing", "wait": 0},
    ("conan-train", "encode"): {"model": "missing", "inputs": ["missing.jsonl"]},
    ("conan-train", "evaluate"): {"model": "missing", "data": "missing"},
    ("conan-train", "compare"): {"evaluations": ["missing", "missing2"]},
    ("conan-train", "export"): {"model": "missing"},
    ("conan-train", "report"): {"inputs": ["missing"]},
    ("conan-train", "run"): {"recipe": "missing.yaml"},
}
PATIENT = {("mine-service", "wait"), ("mine-service", "poll")}
"""Fields for whose value a command rightly waits."""

WORDS = [
    "", " ", "none", "null", "true", "no", "-", "--", "-1", "0", "1", "1.5", "1e5", "nan", "inf", "-inf", "0x10",
    "1_000", "9" * 30, "9" * 5000, "a" * 5000, "é", "日本語", "\u202eabc", "\ufeff", "a\nb", "a\x1b[31mb", "a\tb", "*",
    "[", "{", "}", "{a}", "%s", "$", "${root}", "${x}", "../x", "/", ".", "~", "a/b", "C:\\x", "'", '"', "hf://",
    "hf://a/b", "a@b", "(", "[a-", "(?P<n>", "en=1", "es:1", "a,b", "2024-01-01", "24:00:00", "http://x", "cuda:99",
    "\U0001f600", "ａ", "١", "--out", "sample", "missing", "😀=1", "{\"a\": 1}", "{" * 3000, "[1, 2]",
]  # fmt: skip
VALUES: list[Any] = [
    *WORDS, "\0", "a\0b", None, True, False, 0, 1, -1, 2, 1.5, -0.5, 0.5, 1e308, -1e308, 5e-324, float("nan"),
    float("inf"), float("-inf"), 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, [], [1], ["a"], ["a", "a"], [None],
    [[1]], [True], [1.5], [""], ["\0"], [{}], ["a"] * 500, {}, {"a": 1}, {"a": None}, {"a": "b"}, {"a": -1}, {"": 1},
    {"a": {"b": 1}}, {1: 2}, {None: 1}, {True: 1}, {"a": [1]}, {"en": 1.5}, {"en": float("nan")}, b"bytes",
]  # fmt: skip
DOCUMENTS: list[bytes] = [
    b"5", b"", b"[]", b"{}", b"null", b"text", b"- a\n- b", b"\0", b"\xff\xfe", bytes(range(256)), b"a: b", b"? a\n: b",
    b"{COMMAND}: 5", b"{COMMAND}:", b"{COMMAND}: []", b"{COMMAND}: text", b"{COMMAND}: {command: 5}", b"5: {command: 5}",
    b"{COMMAND}: {command: [a]}", b"{COMMAND}: {command: {a: b}}", b"~: {a: 1}", b"[a]: 1", b"{a: 1}: 1",
    b"{COMMAND}: {~: 1}", b"{COMMAND}: {1: 1}", b"{COMMAND}: {[a]: 1}", b"{COMMAND}: {a: 1, a: 2}",
    b"{COMMAND}: {out: !!binary aGk=}", b"{COMMAND}: {out: !!python/object/apply:os.getcwd []}", b"{COMMAND}: !x {}",
    b"{COMMAND}: {out: !!timestamp x}", b"{COMMAND}: {out: !!int x}", b"{COMMAND}: {out: !!bool x}", b"%YAML 9.9\n---\na: 1",
    b"{COMMAND}: &a {out: *a}", b"a: &a [*a]", b"a: &a {<<: *a}", b"a: {<<: 5}", b"a: {<<: [1]}", b"a: *b", b"a: 1\n---\nb: 2",
    b"{COMMAND}: " + b"[" * 3000, b"{COMMAND}: " + b"[" * 3000 + b"]" * 3000, b"{COMMAND}: " + b"{a: " * 3000 + b"}" * 3000,
    b"\n".join(b" " * level + b"a:" for level in range(3000)), b"{COMMAND}: {out: " + b"9" * 5000 + b"}",
    b"".join(b"s%d: {command: {COMMAND}, out: x}\n" % number for number in range(20_000)),
    b"".join(b"s%d: {command: x}\n" % number for number in range(20_000)),
    b"x: {%s}" % b", ".join(b"k%d: 1" % number for number in range(50_000)),
    b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)),
    b"a0: &a0 {x: 1}\n" + b"".join(b"a%d: &a%d {<<: [%s]}\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)),
    b"root:\n{COMMAND}: {}", b"root: 5\n{COMMAND}: {}", b"root: ''\n{COMMAND}: {}", b"root: [a]\n{COMMAND}: {}",
    "{COMMAND}: {out: x}".encode("utf-16"), b"\xef\xbb\xbf{COMMAND}: {}", "{COMMAND}: {out: é}".encode("latin-1"),
    b"{COMMAND}: {out: '${root}/${x}'}", b"{COMMAND}: {out: '$'}", b"{COMMAND}:\n\tout: x", b"a" * 4_500_000,
    b"{COMMAND}: {out: '\x1b[31m'}", b'{COMMAND}: {"\\e[31m": 1}', b'{COMMAND}: {"\\u202e": 1}', b'"\\e[31m": {}',
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command line of `program`; `recipe` is what recipe.yaml holds, if it is used."""

    program: str
    tokens: list[str]
    recipe: bytes | None


@dataclass(frozen=True)
class Outcome:
    case: Case
    code: int
    seconds: float
    text: str
    written: list[str]

    @property
    def fault(self) -> str:
        """What is wrong with it, or nothing."""
        errors = [line for line in self.text.split("\n") if line.startswith("error: ")]
        if "Traceback" in self.text:
            return "traceback"
        if self.seconds > LIMIT_S:
            return "slow"
        if self.code not in (0, 2) or (self.code == 2 and len(errors) != 1):
            return "not one line with exit code 2"
        if any(not letter.isprintable() for letter in self.text.replace("\n", "")):
            return "control characters"
        return f"wrote {self.written}" if self.written else ""


def cases(seed: int) -> Iterator[Case]:
    """Yield cases without end: first each document for some command, then broken fields of all commands in turn."""
    draw = random.Random(seed)
    commands = [(program, command) for program, all_of in PROGRAMS.items() for command in all_of]
    for document in DOCUMENTS:
        program, command = draw.choice([pair for pair in commands if pair[1].name != "mine-service"])
        content = document.replace(b"{COMMAND}", command.name.encode())
        if command.name == "run":
            yield Case(program, ["run", "--recipe", "recipe.yaml"], content)
        else:
            yield Case(program, [command.name, "--config", "recipe.yaml"], content)
    while True:
        for program, command in commands:
            yield _broken(draw, program, command)


def _broken(draw: random.Random, program: str, command: Command) -> Case:
    flags = list(flags_of(command.config_class()))
    values = dict(BASE[program, command.name])
    has_out = any(flag.path == ("out",) for flag in flags)
    if has_out:
        values["out"] = "out"
    if draw.random() < 0.4 and has_out:
        return Case(program, [command.name, "--config", "recipe.yaml"], _recipe(draw, command, flags, values))
    tokens = [word for name, value in values.items() for word in as_flags([name], value)]
    for _ in range(draw.choice((1, 1, 2))):
        flag = draw.choice(flags)
        if (command.name, flag.path[-1]) in PATIENT:
            continue
        name = (
            flag.name
            if draw.random() < 0.9
            else draw.choice([flag.name[:-1], flag.name + ".a", "--" + draw.choice(WORDS)])
        )
        if get_origin(flag.hint) is dict and draw.random() < 0.7:
            name += "." + draw.choice(WORDS)
        tokens += [name.replace("\0", ""), *draw.choices(WORDS, k=draw.choice((0, 1, 1, 1, 1, 2)))]
    if draw.random() < 0.1:
        tokens.insert(draw.randrange(len(tokens)), draw.choice(WORDS))
    return Case(program, [command.name, *tokens], None)


def _recipe(draw: random.Random, command: Command, flags: list[Flag], values: dict[str, Any]) -> bytes:
    for _ in range(draw.choice((1, 1, 2))):
        node, path = values, draw.choice(flags).path
        for name in path[:-1]:
            node[name] = inner = dict(node.get(name, {})) if isinstance(node.get(name, {}), dict) else {}
            node = inner
        choice = draw.random()
        if choice < 0.8:
            node[path[-1]] = draw.choice(VALUES)
        elif choice < 0.9:
            node[draw.choice([path[-1][:-1], path[-1] + "s", path[-1].replace("_", "-"), *WORDS])] = (
                draw.choice(VALUES)
            )
        else:
            values[path[0]] = draw.choice(VALUES)
    for name in [name for name in values if draw.random() < 0.05]:
        del values[name]
    return yaml.safe_dump({command.name: values}, allow_unicode=draw.random() < 0.5, sort_keys=False).encode()


def as_flags(path: list[str], value: Any) -> list[str]:
    """Return the words of a command line that give `value` to a field."""
    if isinstance(value, dict):
        return [word for name, item in value.items() for word in as_flags([*path, name], item)]
    words = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return ["--" + ".".join(path).replace("_", "-"), *words]


def warm() -> None:
    """Import what the commands import, which would count as the time of the first case."""
    for commands in PROGRAMS.values():
        for command in commands:
            importlib.import_module(command.run.partition(":")[0])


def run(case: Case) -> Outcome:
    """Run a case in this process, in a folder of its own."""
    before, text = Path.cwd(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(text),
        contextlib.redirect_stdout(text),
    ):
        os.chdir(folder)
        try:
            if case.recipe is not None:
                Path("recipe.yaml").write_bytes(case.recipe)
            start = time.process_time()
            with _alarm():
                code = main(case.program, "", PROGRAMS[case.program], case.tokens)
            seconds = time.process_time() - start
            written = sorted(
                str(path) for path in Path().rglob("*") if path.parts[0] not in ("recipe.yaml", "out")
            )
        finally:
            os.chdir(before)
    return Outcome(case, code, seconds, text.getvalue(), written)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """End a case that hangs; the programs report it with a traceback."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"over {HANGS_S} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANGS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _by_hand() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    warm()
    faults: Counter[str] = Counter()
    slowest = 0.0
    for _, case in zip(range(options.count), cases(options.seed)):
        outcome = run(case)
        slowest = max(slowest, outcome.seconds)
        if fault := outcome.fault:
            faults[fault.split()[0]] += 1
            if faults.total() <= options.show:
                print(fault, case.program, [token[:80] for token in case.tokens], (case.recipe or b"")[:300])
                print("   ", outcome.code, f"{outcome.seconds:.1f} s", outcome.text[-1500:])
    print(f"{options.count} tried, seed {options.seed}: faults {dict(faults)}, slowest {slowest:.1f} s")


if __name__ == "__main__":
    _by_hand()
