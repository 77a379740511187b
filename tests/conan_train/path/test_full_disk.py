"""A full disk, a limit on the size of files, and too little memory end in one line and exit code 2, whichever
library meets them; once there is room, the same command gives the same bytes.

`RLIMIT_FSIZE` stands for the full disk, since it needs no mount: each write beyond it fails in the same place.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conan_data.shortage import shortage

ROOT = Path(__file__).parents[3]
DRIVER = """
import os, resource, sys
from conan_data.cli import COMMANDS as DATA
from conan_data.command import main
from conan_train.cli import COMMANDS as TRAIN

def run(tokens, limit):
    read, write = os.pipe()
    process = os.fork()
    if not process:
        os.dup2(write, 1), os.dup2(write, 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        program, *rest = tokens
        os._exit(main(program, "", DATA if program == "conan-data" else TRAIN, rest))
    os.close(write)
    with os.fdopen(read, errors="replace") as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said

def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("times.jsonl", "times.html")}

from pathlib import Path
limits = [int(limit) for limit in sys.argv[1].split(",")]
for line in Path("commands").read_text().splitlines():
    tokens = line.split()
    out = Path(tokens[tokens.index("--out") + 1])
    code, said = run(tokens, None)
    assert code == 0, (line, said)
    whole, num_refused = tree(out), 0
    for limit in limits:
        if limit >= max(len(content) for content in whole.values()):
            continue
        other = out.with_name(f"limit-{limit}") / out.name
        tokens[tokens.index("--out") + 1] = str(other)
        code, said = run(tokens, limit)
        errors = [text for text in said.splitlines() if text.startswith("error: ")]
        assert code == 2 and len(errors) == 1 and "Traceback" not in said, (line, limit, code, said)
        assert "room" in errors[0] and not other.exists(), (line, limit, errors)
        code, said = run(tokens, None)
        assert code == 0 and tree(other) == whole, (line, limit, said)
        tokens[tokens.index("--out") + 1] = str(out)
        num_refused += 1
    assert num_refused, line
    print("ok", out.name, num_refused, flush=True)
"""
LIGHT = """\
conan-data build-corpus --input sample --languages en zh --out runs/corpus
conan-data report --corpus runs/corpus --out runs/page
conan-train tokenizer --corpus runs/corpus --vocab-size 600 --out runs/tokenizer
conan-data tokenize --tokenizer runs/tokenizer --corpus runs/corpus --out runs/tokens
conan-data build-pairs --input sample --language en --out runs/pairs
conan-data build-xlr --data sample --mix {"en":1,"zh":1} --out runs/set
conan-data import-negatives --input rows.jsonl --out runs/imported
conan-data decontaminate --set runs/imported --against sample --against-split dev --out runs/clean
conan-data export-negatives --negatives runs/imported --format flag --num-negatives 1 --out runs/flag
conan-data train-classifier --positive good.jsonl --negative bad.jsonl --fasttext.buckets 2000 --out runs/classifier
conan-train init --preset nano --shape.num-layers 1 --tokenizer runs/tokenizer --out runs/random
conan-train report --inputs runs/corpus --out runs/whole
"""
TRAINING = """\
conan-train pretrain --model runs/random --corpus runs/corpus --steps 2 --batch-tokens 256 --micro-batch-tokens 128 --sequence-length 64 --out runs/lm
conan-train sft --model runs/random --pairs runs/set --steps 2 --batch-tokens 2048 --micro-batch-tokens 1024 --sequence-length 1024 --held-out 0.1 --out runs/sft
conan-train weak --model runs/random --data runs/set --steps 2 --batch-size 4 --max-length 16 --out runs/weak
conan-data mine --model runs/weak --data runs/set --max-length 16 --select.pool-size 4 --select.depth 40 --select.margin 1.0 --out runs/mined
conan-train finetune --model runs/random --data runs/set --negatives runs/mined --steps 2 --batch-size 4 --num-negatives 1 --mine-every 1 --select.pool-size 4 --select.depth 40 --select.margin 1.0 --max-length 16 --out runs/embedder
conan-train encode --model runs/embedder --data runs/set --shard-size 16 --out runs/vectors
conan-data audit --negatives runs/mined --data runs/set --sample 10 --out runs/audit
conan-data score-pairs --pairs runs/pairs --model runs/embedder --max-length 16 --threshold -1 --out runs/scored
conan-train evaluate --model runs/embedder --data runs/set --split train --min-queries 1 --bootstrap 10 --out runs/scores
conan-train export --model runs/embedder --out runs/model
"""


@pytest.mark.slow
def test_every_command_meets_a_limit_on_files_in_one_line_and_goes_on(tmp_path: Path) -> None:
    drive(tmp_path, LIGHT + TRAINING, "0,300,3000,40000,300000")


def test_the_light_commands_meet_a_limit_on_files_in_one_line_and_start_again(tmp_path: Path) -> None:
    drive(tmp_path, LIGHT, "1000")


def drive(folder: Path, commands: str, limits: str) -> None:
    text = '{"query": "what is %d", "pos": ["a bridge over %d rivers"], "neg": ["a river %d"], "text": "%s words of %d"}\n'
    for name, word in (("rows", "some"), ("good", "cheap offers and"), ("bad", "old museums and")):
        (folder / f"{name}.jsonl").write_text(
            "".join(text % (number, number, number, word, number) for number in range(300))
        )
    (folder / "commands").write_text(commands)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, limits],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == len(commands.splitlines())


class OutOfMemoryError(RuntimeError):
    """As torch's is called."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a/b"), "a/b: No space left on device; make room"),
        (OSError(122, "Disk quota exceeded"), "Disk quota exceeded; make room"),
        (OSError(27, "File too large"), "File too large; make room"),
        (OSError("1024 requested and 16 written"), "the disk is full"),
        (Exception("No space left on device (os error 28)"), "No space left on device"),
        (RuntimeError("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
        (RuntimeError('called `Result::unwrap()` on an `Err` value: Os { code: 28, kind: StorageFull }'), "No space"),
        (RuntimeError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"), "No space"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
        (MemoryError(), "memory ran out; run the same command again with more memory"),
        (MemoryError("Unable to allocate 9 GiB for an array"), "memory ran out (Unable to allocate 9 GiB"),
        (OSError(12, "Cannot allocate memory"), "Cannot allocate memory; run"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error code 12 (Cannot allocate memory)"), "Cannot allocate memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory ran out (CUDA out of memory"),
        (PermissionError(13, "Permission denied", "a"), "a: Permission denied"),
        (OSError(30, "Read-only file system", b"a"), "a: Read-only file system"),
    ],
)  # fmt: skip
def test_a_lack_is_known_whichever_library_says_it(error: BaseException, words: str) -> None:
    assert words in (shortage(error) or "")
    outer = ValueError("cannot save")
    outer.__cause__ = error
    assert (words in (shortage(outer) or "")) == (
        not isinstance(error, OSError) or error.errno not in (13, 30)
    )


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "a"),
        ValueError("28 rows"),
        RuntimeError("3 requested"),
        KeyError("Errno"),
        AssertionError("errno 5"),
    ],
)
def test_a_fault_of_ours_is_no_lack(error: BaseException) -> None:
    assert shortage(error) is None
