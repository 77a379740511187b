"""A small real run: resume across a refresh is bitwise, and what was mined never holds an answer."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.manifest import MANIFEST
from conan_data.mining.config import SelectionConfig
from conan_data.pairs.pair_set import read_retrieval_sets
from conan_data.retrieval import read_retrieval
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.model.embedder import Embedder
from conan_train.model.presets import llama_config
from conan_train.negatives.generation import load_generation
from conan_train.optim.config import OptimConfig
from conan_train.tasks.config import ClassificationConfig, StsConfig
from conan_train.trainlog import NAME, read_events, read_log

TOPICS = (
    "tide",
    "bread",
    "chess",
    "paper",
    "honey",
    "glass",
    "storm",
    "violin",
    "copper",
    "ladder",
    "salmon",
    "cinema",
)
LANGUAGES = ("en", "de")


def write_set(folder: Path) -> Path:
    """Twelve topics in two made-up languages; every query's positives are both versions of its topic."""
    folder.mkdir()
    rows = {"corpus.jsonl": [], "queries.jsonl": []}
    qrels = ["query-id\tcorpus-id\tscore"]
    for topic in TOPICS:
        for lang in LANGUAGES:
            word = topic if lang == "en" else topic[::-1]
            text = " ".join([word, "is", "about", word, word[:3], "and", word[-3:]])
            rows["corpus.jsonl"].append(
                {
                    "_id": f"{topic}@{lang}",
                    "title": word,
                    "text": text,
                    "metadata": {"lang": lang, "group": topic},
                }
            )
            rows["queries.jsonl"].append(
                {"_id": f"{topic}#{lang}", "text": f"what is {word}", "metadata": {"lang": lang}}
            )
            # Only one version is labelled; that the other is no negative must come from the group.
            qrels.append(f"{topic}#{lang}\t{topic}@{lang}\t1")
    for name, values in rows.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in values))
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("\n".join(qrels) + "\n")
    return folder


def write_model(folder: Path) -> Path:
    letters = [chr(code) for code in range(97, 123)] + ["Ġ"]
    vocabulary = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = llama_config(
        "nano",
        vocab_size=len(vocabulary),
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("inputs")
    return write_set(root / "set"), write_model(root / "model")


def config_for(out: Path, inputs: tuple[Path, Path], **values: object) -> FinetuneConfig:
    data, model = inputs
    return FinetuneConfig(**{
        "out": out, "data": (str(data),), "model": str(model), "steps": 24, "batch_size": 8, "num_negatives": 3, "mine_every": 6, "soft_mask_steps": 10,
        "select": SelectionConfig(pool_size=8, depth=12, margin=1.0), "max_length": 32, "bucket_tokens": 256, "device": "cpu", "checkpoint_every": 5, "log_every": 4,
        "optim": OptimConfig(lr=3e-3, warmup_steps=2),
    } | values)  # fmt: skip


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def undisturbed(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(config_for(tmp_path_factory.mktemp("runs") / "whole", inputs))


def test_it_learns_and_publishes_model_log_and_negatives(
    undisturbed: Path, inputs: tuple[Path, Path]
) -> None:
    opened = artifact.open_artifact(undisturbed, kind="embedder")
    events = read_log(undisturbed / NAME)
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert losses[-1] < 0.8 * losses[0]
    refreshes = [event for event in events if event["event"] == "refresh"]
    assert [event["step"] for event in refreshes] == [0, 6, 12, 18] and refreshes[0]["trigger"] == "start"
    assert any(0 < event["changed"] < 1 for event in refreshes[1:])
    assert sum(event["replaced"] for event in events if event["event"] == "step") > 0
    assert [event["alpha"] for event in events if event["event"] == "step"][:3] == [0.3, 0.7, 1.0]
    assert opened.rows.read == opened.rows.kept == 24
    assert len(list((undisturbed / "negatives").iterdir())) == 4
    assert Embedder.load(undisturbed / "model").mask.alpha == 1.0


def test_no_generation_holds_a_document_of_a_positives_group(
    undisturbed: Path, inputs: tuple[Path, Path]
) -> None:
    data = read_retrieval(inputs[0], "train")
    topics = list(data.corpus.column("group").to_pylist())
    own = [identifier.split("#")[0] for identifier in data.queries.column("_id").to_pylist()]
    seen = 0
    for folder in sorted((undisturbed / "negatives").iterdir()):
        generation = load_generation(folder, data)
        for query, rows in enumerate(generation.row_QP):
            mined = [topics[row] for row in rows if row >= 0]
            seen += len(mined)
            assert own[query] not in mined
    assert seen > 100


def test_passages_of_two_equal_sets_count_once(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    """In pools, after refreshes too; `tests/conan_train/tasks/test_tasks.py` has the batch."""
    copy = tmp_path / "again"
    shutil.copytree(inputs[0], copy)
    out = finetune(config_for(tmp_path / "run", inputs, data=(str(inputs[0]), str(copy)), steps=14))
    data = read_retrieval_sets([str(inputs[0]), str(copy)], split="train").data
    texts = data.corpus.column("text").to_pylist()
    topics = [
        identifier.split("/")[-1].split("#")[0] for identifier in data.queries.column("_id").to_pylist()
    ]
    groups = [identifier.split("/")[-1].split("@")[0] for identifier in data.corpus.column("_id").to_pylist()]
    folders = sorted((out / "negatives").iterdir())
    assert len(folders) == 3, "mined at the start and twice again"
    seen = 0
    for folder in folders:
        for topic, rows in zip(topics, load_generation(folder, data).row_QP, strict=True):
            mined = [int(row) for row in rows if row >= 0]
            seen += len(mined)
            assert topic not in {groups[row] for row in mined}
            assert len({texts[row] for row in mined}) == len(mined)
    assert seen > 200


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_finetune import *
from conan_train.negatives.refresh import Refresher
from conan_train.training.loop import Loop
point, moment = sys.argv[5].split(":")
owner = Refresher if hasattr(Refresher, point) else Loop
original = getattr(owner, point)
def deadly(self, *args, **named):
    if (self.step if owner is Loop else args[0]) == int(moment):
        if point == "save":
            original(self, *args, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *args, **named)
setattr(owner, point, deadly)
finetune(config_for(Path(sys.argv[2]), (Path(sys.argv[3]), Path(sys.argv[4]))))
"""


@pytest.mark.parametrize(
    "point",
    [
        "_take:3",
        "save:15",
        "_mine:12",
        pytest.param("_take:8", marks=pytest.mark.slow),
        pytest.param("_log_steps:20", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_bitwise_equal_to_an_undisturbed_one(
    point: str, undisturbed: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(Path(__file__).parent),
        str(out),
        str(inputs[0]),
        str(inputs[1]),
        point,
    ]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not out.exists()
    finetune(config_for(out, inputs))
    expected = weights(undisturbed)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(out).items())
    assert (out / NAME).read_bytes() == (undisturbed / NAME).read_bytes()
    assert [len(read_events(path / NAME)) for path in (out, undisturbed)] == [len(read_log(out / NAME))] * 2
    assert all(
        event["queries_per_second"] > 0 for event in read_events(out / NAME) if event["event"] == "step"
    )
    assert (out / MANIFEST).read_bytes() == (undisturbed / MANIFEST).read_bytes()
    for folder in (undisturbed / "negatives").iterdir():
        assert (out / "negatives" / folder.name / "negatives.parquet").read_bytes() == (
            folder / "negatives.parquet"
        ).read_bytes()


def test_given_negatives_are_used_and_checked(
    undisturbed: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    mined = sorted((undisturbed / "negatives").iterdir())[0]
    out = finetune(config_for(tmp_path / "out", inputs, negatives=str(mined), steps=7))
    steps = [event["step"] for event in read_log(out / NAME) if event["event"] == "refresh"]
    assert steps == [6]
    mined_id = pq.read_table(mined / "negatives.parquet")["pool"][0][0]["corpus_id"].as_py()
    other = write_set(tmp_path / "other")
    for file in (other / "corpus.jsonl", other / "qrels" / "train.tsv"):
        file.write_text(file.read_text().replace(mined_id, "renamed"))
    with pytest.raises(UserError, match=f"{mined_id!r} is not in the retrieval set"):
        finetune(config_for(tmp_path / "refused", (other, inputs[1]), negatives=str(mined)))
    assert not (tmp_path / "refused.partial").exists()


def test_without_a_source_of_negatives_it_says_that_none_are_mined(
    inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warned(name: str, **values: object) -> bool:
        caplog.clear()
        finetune(config_for(tmp_path / name, inputs, **{"steps": 4, "mine_every": 0} | values))
        return any("no negatives are mined: num_negatives is 3" in message for message in caplog.messages)

    assert warned("default")
    assert not warned("meant", num_negatives=0)
    assert not warned("mined", mine_every=2)
    (mined,) = (path for path in (tmp_path / "mined" / "negatives").iterdir() if "-00000002-" in path.name)
    assert not warned("given", negatives=str(mined))
    expected = weights(tmp_path / "meant")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(tmp_path / "default").items())
    assert not any("replaced" in line for line in read_log(tmp_path / "default" / NAME))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_cause(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"(loss|gradient norm) is .* at step .*try a lower optim.lr"):
        finetune(
            config_for(
                tmp_path / "out",
                inputs,
                optim=OptimConfig(lr=1e18, grad_clip=0),
                mine_every=0,
                num_negatives=0,
            )
        )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps: must be at least 1"),
        ({"temperature": 0.0}, "temperature: must be above 0"),
        ({"batch_size": 1, "mine_every": 0}, "batch_size: must be at least 2 without mined negatives"),
        ({"max_length": 10**6}, "max_length: 1000000 is more than"),
        ({"model": "nowhere/to/be/found"}, "no such"),
        ({"data": ("nowhere",)}, "no such"),
        ({"split": "tset"}, "has no judgements for split 'tset'; it has train"),
    ],
)
def test_wrong_input_is_refused_and_leaves_nothing(
    values: dict[str, object], message: str, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        finetune(config_for(tmp_path / "out", inputs, **values))
    assert list(tmp_path.iterdir()) == []


def test_a_stage_of_another_precision_before_it_in_the_process_is_no_obstacle(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    values = {"steps": 4, "mine_every": 0, "num_negatives": 0}
    for precision in ("bf16", "no"):
        finetune(config_for(tmp_path / precision, inputs, precision=precision, **values))
    changed = [
        name
        for name, tensor in weights(tmp_path / "bf16").items()
        if not torch.equal(tensor, weights(tmp_path / "no")[name])
    ]
    assert changed


def test_rows_and_columns_of_the_other_tasks_are_in_the_manifest(
    inputs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labelled, scored = tmp_path / "labelled.csv", tmp_path / "scored.tsv"
    labelled.write_text(
        "text,label_text,label,url\n"
        + "".join(f"text {n},{'ab'[n % 2]} {n % 2},{n % 2},u\n" for n in range(12))
        + "x,,1,u\n"
    )
    scored.write_text("".join(f'"so {n}\tsaid" {n}\t{n % 6}\n' for n in range(12)) + "a\tb\tnan\n")
    run = config_for(
        tmp_path / "out",
        inputs,
        steps=2,
        optim=OptimConfig(lr=1e-3),
        classification=ClassificationConfig(data=(str(labelled),), batch_size=4, num_negatives=1),
        sts=StsConfig(data=(str(scored),), batch_size=4),
    )
    opened = artifact.open_artifact(finetune(run))
    assert opened.manifest["extra"]["files"] == {
        labelled.name: {"read": 13, "refused": {"no-label": 1}, "unused_columns": {"label": 12, "url": 12}},
        scored.name: {"read": 13, "refused": {"score-not-a-number": 1}, "notes": {"scores": [0.0, 5.0]}},
    }
    assert opened.rows.dropped == {"no-label": 1, "score-not-a-number": 1}
    assert f"{labelled}: columns that are not used: label, url" in caplog.messages
    assert f"{scored}: 1 of 13 rows are refused (score-not-a-number 1)" in caplog.messages
