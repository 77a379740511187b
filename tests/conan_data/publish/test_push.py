"""`conan-data push` with the real client of the Hub, against a server on this machine that speaks its protocol."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import snapshot_download

from conan_data import artifact, hub
from conan_data.cards.build import card
from conan_data.cards.config import CardConfig
from conan_data.classifier.config import TrainClassifierConfig
from conan_data.classifier.train import train_classifier
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_data.publish import readback, remote
from conan_data.publish.config import PushConfig
from conan_data.publish.push import push
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig
from tests.conan_data.hub_writing import WritableHub, hang_up

SECRET = "hf_" + "thisTokenMustNeverBeShown" * 2
READ_ONLY = "hf_" + "thisOneMayOnlyReadWhatIsThere" * 2
NAME = "me/questions"


@pytest.fixture(scope="module")
def xlr(tmp_path_factory):
    out = tmp_path_factory.mktemp("xlr") / "set"
    return build_xlr(
        BuildXlrConfig(out=out, data="sample", split="dev", mix={"en": 1, "zh": 1}, languages_per_query=2)
    )


@pytest.fixture(scope="module")
def written(xlr, tmp_path_factory):
    """The set's card."""
    out = tmp_path_factory.mktemp("card") / "card"
    return card(
        CardConfig(artifact=str(xlr), out=out, license="cc0-1.0", repository=NAME, citation="Us, 2026.")
    )


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with WritableHub({SECRET: "write", READ_ONLY: "read"}) as started:
        monkeypatch.setattr(hub, "HUB", hub.Hub(endpoint=started.endpoint, cache_dir=tmp_path / "cache"))
        yield started


@pytest.fixture
def unread(monkeypatch):
    """Without reading back, which takes seconds: for tests of what comes before."""
    monkeypatch.setattr(readback, "read_back", lambda *arguments, **named: "nothing")


def config(xlr, written, **fields):
    return PushConfig(**{"artifact": str(xlr), "card": str(written), "repository": NAME, **fields})


def files_of(server, name=NAME):
    return server.repos["dataset", name].head[1]


def test_pushed_read_back_and_opened_as_an_artifact(server, xlr, written, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    before = {path: path.read_bytes() for path in xlr.rglob("*") if path.is_file()}
    address = push(config(xlr, written))
    made = server.repos["dataset", NAME]
    assert (
        made.private
        and len(made.commits) == 2
        and address.endswith(f"/datasets/{NAME}/commit/{made.head[0]}")
    )
    assert f"{len(made.head[1]) - 1} files by their hashes" in caplog.text
    assert "3 configs by datasets" in caplog.text and "the set by mteb" in caplog.text
    pushed = made.head[1]
    assert pushed["README.md"] == (written / "README.md").read_bytes()
    assert pushed["queries/dev.parquet"] == (xlr / "queries" / "dev.parquet").read_bytes()
    assert {"card/languages.png", "manifest.json", "corpus/dev.parquet", "qrels/dev.parquet"} <= pushed.keys()
    assert not {"quarantine.jsonl", "dropped.jsonl"} & pushed.keys(), "refused rows stay here"
    assert before == {path: path.read_bytes() for path in xlr.rglob("*") if path.is_file()}
    assert SECRET not in caplog.text and SECRET.encode() not in b"".join(pushed.values())
    local = snapshot_download(
        NAME, repo_type="dataset", endpoint=server.endpoint, local_dir=tmp_path / "copy"
    )
    manifest = artifact.open_artifact(local, kind="retrieval").manifest
    assert manifest["extra"]["published"]["manifest_sha256"] == artifact.open_artifact(xlr).manifest_hash
    assert str(tmp_path).encode() not in pushed["manifest.json"]


def test_the_same_push_again_sends_nothing(server, xlr, written, unread, caplog):
    push(config(xlr, written))
    uploads, number = list(server.uploads), len(server.repos["dataset", NAME].commits)
    caplog.set_level(logging.INFO)
    push(config(xlr, written))
    assert server.uploads == uploads and len(server.repos["dataset", NAME].commits) == number
    assert "holds all of it already" in caplog.text


def test_a_dry_run_lists_and_needs_no_hub(server, xlr, written, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "nothing was sent" in push(config(xlr, written, dry_run=True))
    assert server.requests == []
    for words in (
        "a private dataset",
        "queries/dev.parquet  ",
        " kB",
        "stay here",
        "missing: a check for texts of eval",
    ):
        assert words in caplog.text, words
    assert "missing: a licence" not in caplog.text


def test_an_earlier_version_is_replaced_in_one_commit(server, xlr, written, unread):
    push(config(xlr, written))
    made = server.repos["dataset", NAME]
    manifest = json.loads(made.head[1]["manifest.json"])
    manifest["files"].append({"path": "queries/old.parquet", "rows": 1, "bytes": 1, "sha256": "0" * 64})
    made.commit(
        {
            **made.head[1],
            "manifest.json": json.dumps(manifest).encode(),
            "queries/old.parquet": b"x",
            "mine.txt": b"y",
        }
    )
    push(config(xlr, written))
    assert len(made.commits) == 4 and "queries/old.parquet" not in made.head[1]
    assert made.head[1]["mine.txt"] == b"y", "what nobody pushed with us is kept"


FAULTS = {
    "an ill Hub": (lambda hub: hub.fail("/commit/", 503, times=3), "the Hub answers 503; run the same command again"),
    "a cut upload": (lambda hub: hub.cut("PUT /lfs/", times=100), "the Hub cannot be reached"),
    "a refused upload": (lambda hub: hub.fail("PUT /lfs/", 403, times=9), "the token may not write there"),
    "an unknown token": (lambda hub: hub.tokens.clear(), "the Hub does not know the token"),
    "a commit in between": (
        lambda hub: hub.faults.append(("/commit/", lambda _: bool(hub.repos["dataset", NAME].commit({"a": b"b"})) and False)),
        "somebody else changed it in between (A commit has happened since",
    ),
    "a refused card": (lambda hub: hub.fail("validate-yaml", 400, "no"), "Invalid metadata in README.md"),
    "too many requests": (lambda hub: hub.fail("/commit/", 429, times=3), "the Hub answers 429"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line_and_a_rerun_goes_on(server, xlr, written, unread, capsys, fault):
    plant, words = FAULTS[fault]
    plant(server)
    tokens = ["push", str(xlr), NAME, "--card", str(written)]
    assert main("conan-data", "", COMMANDS, tokens) == 2
    shown = capsys.readouterr().err
    errors = [line for line in shown.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and words in errors[0] and len(errors[0]) < 300, errors
    assert SECRET not in shown and "X-Amz" not in shown and "Traceback" not in shown
    sent = list(server.uploads)
    server.faults.clear()
    server.tokens[SECRET] = "write"
    if fault == "a commit in between":
        with pytest.raises(UserError, match="holds files of another origin"):
            push(config(xlr, written))
    push(config(xlr, written, allow=("other-contents",)))
    assert "queries/dev.parquet" in files_of(server)
    assert len(server.uploads) == len(set(server.uploads)) and server.uploads[: len(sent)] == sent, (
        "sent twice"
    )


def test_a_short_illness_is_waited_for(server, xlr, written, unread):
    server.fail("/commit/", 503, times=2)
    push(config(xlr, written))
    assert "README.md" in files_of(server) and len(server.repos["dataset", NAME].commits) == 2


def test_a_commit_whose_answer_was_lost_is_not_made_twice(server, xlr, written, unread):
    def lose(handler):
        server._commit(handler, server.repos["dataset", NAME], NAME)
        return True

    send = server._send
    server.faults.append(("/commit/", lose))
    server._send = lambda handler, status, content, headers: (
        hang_up(handler) if b"commitOid" in content else send(handler, status, content, headers)
    )
    address = push(config(xlr, written))
    made = server.repos["dataset", NAME]
    assert len(made.commits) == 2 and address.endswith(made.head[0])


def test_killed_in_the_middle_and_run_again(server, xlr, written, tmp_path):
    """Nothing is visible before the commit, and what arrived is not sent again."""
    waiting = threading.Event()

    def hold(handler):
        waiting.set()
        time.sleep(60)
        return True

    server.faults.append(("/commit/", hold))
    code = "import sys; from conan_data.cli import run; run()"
    command = [sys.executable, "-c", code, "push", str(xlr), NAME, "--card", str(written)]
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.endpoint,
        "HF_HUB_OFFLINE": "0",
        "TMPDIR": str(tmp_path),
    }
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        assert waiting.wait(60)
        process.kill()
    sent = list(server.uploads)
    assert len(sent) > 3 and len(server.repos["dataset", NAME].commits) == 1
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and SECRET not in done.stdout + done.stderr, done.stderr
    assert server.uploads == sent and len(server.repos["dataset", NAME].commits) == 2
    assert "read back and the same" in done.stderr and not list(tmp_path.glob("tmp*"))


def test_a_read_only_token(server, xlr, written, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READ_ONLY)
    with pytest.raises(UserError, match=r"the token may not write there \(you don't have the rights"):
        push(config(xlr, written))


def test_no_token(server, xlr, written, monkeypatch):
    monkeypatch.setattr("conan_data.publish.remote.get_token", lambda: None)
    with pytest.raises(UserError, match="no token of the Hub on this machine: hf auth login"):
        push(config(xlr, written))


@pytest.mark.parametrize("way", ["offline", "unreachable"])
def test_without_a_network(server, xlr, written, monkeypatch, way):
    if way == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        server.stop()
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(
        UserError, match="HF_HUB_OFFLINE" if way == "offline" else "the Hub cannot be reached"
    ):
        push(config(xlr, written))


def test_names_that_are_taken(server, xlr, written, unread):
    server.create(NAME, {"config.json": b"{}"}, repo_type="model")
    with pytest.raises(UserError, match="me/questions is a model on the Hub, and this is a data set"):
        push(config(xlr, written))
    push(config(xlr, written, allow=("same-name",)))
    server.create("me/other", {"train.jsonl": b"{}"})
    with pytest.raises(UserError, match=r"me/other holds files of another origin \(train.jsonl\)"):
        push(config(xlr, written, repository="me/other"))
    manifest = json.dumps({"job_hash": "0", "kind": "corpus", "files": []}).encode()
    server.create("me/corpus", {"manifest.json": manifest, "data/en/a.parquet": b"x"})
    with pytest.raises(UserError, match="me/corpus holds a corpus, and this is a retrieval"):
        push(config(xlr, written, repository="me/corpus"))


def test_a_public_repository_only_when_asked_for(server, xlr, written, unread):
    server.create(NAME, {}, private=False)
    with pytest.raises(UserError, match="me/questions is public; pass --public"):
        push(config(xlr, written))
    push(config(xlr, written, public=True))
    push(config(xlr, written, public=True, repository="me/new"))
    assert not server.repos["dataset", "me/new"].private


def test_what_the_hub_gives_back_is_compared(server, xlr, written):
    def spoil(handler):
        made = server.repos["dataset", NAME]
        server._commit(handler, made, NAME)
        made.head[1]["corpus/dev.parquet"] = made.head[1]["queries/dev.parquet"]
        return True

    server.faults.append(("/commit/", spoil))
    with pytest.raises(
        UserError, match=r"me/questions at \w{12}: was pushed, and corpus/dev.parquet has other"
    ):
        push(config(xlr, written))


@pytest.mark.parametrize("kind", ["no card", "no licence"])
def test_without_a_licence(server, xlr, tmp_path, kind, unread):
    name = "" if kind == "no card" else str(card(CardConfig(artifact=str(xlr), out=tmp_path / "card")))
    with pytest.raises(
        UserError,
        match="the card states no licence; conan-data card --license states one, or pass --allow no-lic",
    ):
        push(config(xlr, name))
    push(config(xlr, name, allow=("no-license",)))
    assert server.repos


def test_the_card_of_another_artifact(server, xlr, written, tmp_path):
    other = build_xlr(BuildXlrConfig(out=tmp_path / "set", data="sample", split="dev", mix={"de": 1}))
    with pytest.raises(UserError, match="is the card of another artifact"):
        push(config(other, written))


def planted(tmp_path, xlr, **columns):
    """The set with other values in its queries, as an artifact of its own."""

    class Config(StageConfig):
        pass

    table = pq.read_table(xlr / "queries" / "dev.parquet")
    for name, value in columns.items():
        place = table.column_names.index(name)
        values = [value, *table.column(name).to_pylist()[1:]]
        table = table.set_column(
            place, table.schema.field(name), pa.array(values, table.schema.field(name).type)
        )
    manifest = artifact.open_artifact(xlr).manifest
    with artifact.building(
        Config(out=tmp_path / "planted"), kind="retrieval", command="conan-data build-xlr", inputs=[]
    ) as build:
        for part in ("corpus", "qrels", "queries"):
            (build.dir / part).mkdir()
            (build.dir / part / "dev.parquet").write_bytes((xlr / part / "dev.parquet").read_bytes())
        pq.write_table(table, build.dir / "queries" / "dev.parquet")
        build.header["config"] = manifest["config"] | {"folder": str(tmp_path / "secret-place")}
        return build.publish(rows=artifact.Rows(read=1, kept=1), extra=manifest["extra"])


@pytest.mark.parametrize(
    ("columns", "words", "reason"),
    [
        ({"text": f"what is {'hf_' + 'a' * 34}"}, "looks like a token or a key (column text", "secrets"),
        ({"text": "AKIAABCDEFGHIJKLMNOP"}, "looks like a token", "secrets"),
        ({"text": SECRET[3:]}, None, None),
        ({"translator": "/usr/share/model"}, "a path of this machine (column translator", "paths"),
        ({"translator": "C:\\Users\\me\\x"}, "a path of this machine", "paths"),
        ({"text": "how do I list /usr/bin and /home/me"}, None, None),
        ({"text": f"see {Path.cwd()}/x"}, "a path of this machine (column text", "paths"),
        ({"checks": ""}, "rows that passed no check (1 of", "unchecked-rows"),
        ({"checks": None}, "rows that passed no check (1 of", "unchecked-rows"),
    ],
)
def test_what_must_not_be_published(server, xlr, tmp_path, columns, words, reason, unread, caplog):
    made = planted(tmp_path, xlr, **columns)
    allow = ("no-license",)
    if words is not None:
        with pytest.raises(UserError) as told:
            push(config(made, "", allow=allow))
        assert words in str(told.value) and f"--allow {reason}" in str(told.value)
        assert not any(str(value) in f"{told.value}{caplog.text}" for value in columns.values() if value)
        assert server.requests == [], "something was sent before all was looked at"
        allow += (reason,)
    push(config(made, "", allow=allow))
    assert b"secret-place" in files_of(server)["manifest.json"]
    assert str(tmp_path).encode() not in files_of(server)["manifest.json"], "manifests name no place"


def test_the_token_of_this_machine_is_known_by_its_value(server, xlr, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "quiteAnOrdinaryLookingWord")
    made = planted(tmp_path, xlr, text="a quiteAnOrdinaryLookingWord in a text")
    with pytest.raises(UserError, match="looks like a token"):
        push(config(made, "", allow=("no-license",)))


def test_the_server_refuses_what_the_hub_refuses(server):
    """The stand-in is no yes-man."""
    assert httpx2.get(f"{server.endpoint}/api/datasets/me/x").status_code == 401
    headers = {"Authorization": f"Bearer {SECRET}"}
    assert httpx2.get(f"{server.endpoint}/api/datasets/me/x", headers=headers).status_code == 404
    assert httpx2.put(f"{server.endpoint}/lfs/{'0' * 64}", content=b"other").status_code == 400


def test_a_classifier_is_a_model(server, tmp_path, caplog):
    rows = [
        {"text": f"{words} number {place}"}
        for words in ("buy now cheap", "the river runs slowly")
        for place in range(90)
    ]
    for name, part in (("offers", rows[:90]), ("prose", rows[90:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    inputs = {"positive": (str(tmp_path / "offers.jsonl"),), "negative": (str(tmp_path / "prose.jsonl"),)}
    small = {"dimension": 4, "epochs": 2, "buckets": 100}
    made = train_classifier(
        TrainClassifierConfig(out=tmp_path / "model", min_held_out=5, fasttext=small, **inputs)
    )
    written = card(CardConfig(artifact=str(made), out=tmp_path / "card", license="mit"))
    caplog.set_level(logging.INFO)
    push(config(made, written))
    pushed = server.repos["model", NAME].head[1]
    assert {"README.md", "model.bin", "thresholds.json", "report.json", "manifest.json"} <= pushed.keys()
    assert "read back and the same" in caplog.text
