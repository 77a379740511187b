"""What a user types wrong, at the command line of the real programs: one line, exit code 2, nothing left behind."""

import json
from pathlib import Path

import pytest

from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import main
from conan_train.cli import COMMANDS as TRAIN_COMMANDS

GOOD = {
    "id": "1",
    "text": "The harbour lies at the mouth of the river, and ships have called there for a long time.",
}
CASES = {
    "a missing file": ("build-corpus --input missing.jsonl --languages en --out out", "missing.jsonl: no such file"),
    "a wrong column": ("build-corpus --input wrong.jsonl --languages en --out out", "text"),
    "a misspelt key": ("build-corpus --config misspelt.yaml", "language"),
    "a misspelt flag": ("build-corpus --input good.jsonl --languges en --out out", "languages"),
    "an empty corpus": ("build-corpus --input empty.jsonl --languages en --out out", "no rows"),
    "an unknown language": ("build-corpus --input good.jsonl --languages xq --out out", "'xq'"),
    "a full output folder": ("build-corpus --input good.jsonl --languages en --out full", "full: exists and is not"),
    "no documents for pairs": ("build-pairs --input missing.jsonl --out out", "missing.jsonl: no such file"),
    "documents without parts": ("build-pairs --input wrong.jsonl --out out", "rules.fields"),
    "a kind that is none": ("build-pairs --input good.jsonl --rules.kinds title --out out", "title-body"),
    "one aligned file alone": ("build-pairs --moses good.jsonl --out out", "two and two"),
    "aligned files of unequal length": ("build-pairs --moses lines.de lines.en --out out", "lines.en has more"),
    "no pairs to score": ("score-pairs --pairs missing --model missing --out out", "missing"),
    "no teacher": ("score-pairs --pairs good.jsonl --out out", "name either a model or endpoint.base_url"),
    "a teacher and another": ("score-pairs --pairs good.jsonl --model owner/name --endpoint.base-url http://x/v1 --out out", "name either"),
    "a server without a model": ("score-pairs --pairs good.jsonl --endpoint.base-url http://x/v1 --out out", "endpoint.model"),
    "a set that is none": ("build-xlr --data full --mix {\"en\":1} --out out", "full"),
    "an unknown split": ("build-xlr --data sample --split prod --mix {\"en\":1} --out out", "prod"),
    "a set and sets": ("build-xlr --data sample --sets.a.data sample --mix {\"en\":1} --out out", "and not both"),
    "a misspelt field of a set": ("build-xlr --sets.a.dota sample --mix {\"en\":1} --out out", "'data'"),
    "a weight of none": ("build-xlr --sets.a.data sample --sets.a.weight 0 --mix {\"en\":1} --out out", "above 0"),
    "a split without a name": ("build-xlr --data sample --splits {\"a/b\":1} --mix {\"en\":1} --out out", "'a/b'"),
    "a missing encoder": (
        "build-xlr --data sample --report.encoder nowhere --mix {\"en\":1} --out out", "nowhere: no such directory"
    ),
    "a missing set": ("mine --model missing --data nowhere --out out", "nowhere"),
    "no tokenizer": ("init --preset nano --tokenizer missing --out out", "missing"),
    "a misspelt preset": ("init --preset nanoo --tokenizer full --out out", "'nano'"),
    "a corpus without rows": ("tokenizer --corpus empty.jsonl --vocab-size 500 --out out", "no usable document"),
    "a model that is not there": ("pretrain --model missing --corpus sample --steps 1 --out out", "missing"),
    "no model to train": ("finetune --model missing --data sample --steps 1 --out out", "missing"),
    "no set to score while training": (
        "finetune --model owner/name --data sample --steps 9 --dev nowhere --evaluate-every 3 --out out",
        "--dev: nowhere: no such",
    ),
    "a run to extend that nobody began": ("weak --model full --data good.jsonl --steps 9 --extend --out out", "there is no run yet"),
    "no model to score": ("evaluate --model missing --data sample --out out", "missing"),
    "no model to export": ("export --model missing --out out", "missing"),
    "no model to answer with": ("sft --model missing --data good.jsonl --steps 1 --out out", "missing"),
    "no model for weak pairs": ("weak --model missing --data sample --steps 1 --out out", "missing"),
    "no model to encode with": ("encode --model missing --inputs good.jsonl --out out", "missing"),
    "no texts to encode": ("encode --model owner/name --inputs nowhere.jsonl --out out", "nowhere.jsonl"),
    "no tokenizer to cut with": ("tokenize --tokenizer missing --corpus good.jsonl --out out", "missing"),
    "no negatives to look at": ("audit --negatives missing --data sample --out out", "missing"),
    "nothing to clean": ("decontaminate --set missing.jsonl --against good.jsonl --out out", "missing.jsonl: no such file"),
    "nothing to clean it of": ("decontaminate --set good.jsonl --against missing.jsonl --out out", "missing.jsonl: no such file"),
    "a task that mteb does not know": ("decontaminate --set good.jsonl --against STSBenchmrk --out out", "'STSBenchmark'"),
    "a set against itself": ("decontaminate --set good.jsonl --against good.jsonl --out out", "nothing is left"),
    "no negatives to write": ("export-negatives --negatives missing --data sample --out out", "missing"),
    "no training set to read": ("import-negatives --input missing.jsonl --out out", "missing.jsonl"),
    "a training set that is none": ("import-negatives --input good.jsonl --out out", "good.jsonl"),
    "no texts to classify by": ("train-classifier --positive missing.jsonl --negative good.jsonl --out out", "missing.jsonl"),
    "nothing to write a card of": ("card missing --out out", "missing: no such"),
    "a card of no artifact": ("card full --out out", "has no manifest.json"),
    "nothing to push": ("push missing me/set", "missing: no such"),
    "a push of no artifact": ("push full me/set", "has no manifest.json"),
    "a push to no name": ("push full me", "repository: must be owner/name"),
    "a push to nowhere": ("push full", "repository: is missing"),
    "a misspelt licence": ("card full --license cc-by-sa --out out", "license: must be a licence"),
    "a run that nobody began": ("mine-service --run nowhere --wait 0", "nowhere has no training"),
    "a report of nothing": ("report --inputs missing --out out", "missing"),
    "a layout that is none": ("formats beirr", "did you mean 'beir'?"),
    "a recipe that is not there": ("run --recipe missing.yaml", "missing.yaml: no such recipe"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(json.dumps(GOOD) + "\n")
    (tmp_path / "wrong.jsonl").write_text(json.dumps({"id": "1", "body": GOOD["text"]}) + "\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "lines.de").write_text("eins\n")
    (tmp_path / "lines.en").write_text("one\ntwo\n")
    (tmp_path / "misspelt.yaml").write_text("build-corpus: {input: [good.jsonl], language: [en], out: out}\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "cat.jpg").write_text("a cat")
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_one_line_exit_code_2_and_nothing_left(
    case: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, words = CASES[case]
    tokens = line.split()
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    is_data = tokens[0] in {command.name for command in DATA_COMMANDS} and tokens[0] != "report"
    program = ("conan-data", DATA_COMMANDS) if is_data else ("conan-train", TRAIN_COMMANDS)
    code = main(program[0], "", program[1], tokens)
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert code == 2 and len(errors) == 1 and words in errors[0], errors
    assert len(errors[0]) < 300, "a message is one line that a person reads"
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
