import json
import logging
import os
import random
import resource
import signal
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from conan_data import artifact, tables
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.dedup import search
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.steps import read as read_step
from conan_data.corpus.steps.read import shares
from conan_data.errors import UnfinishedError, UserError

WORDS = {
    "en": "the cat and dog were walking through an old garden while children played near their house with many small toys every day",
    "es": "el gato y perro caminaban por un jardín viejo mientras los niños jugaban cerca de su casa con muchos juguetes pequeños cada día",
    "de": "die Katze und der Hund gingen durch einen alten Garten während Kinder neben ihrem Haus mit vielen Sachen jeden Tag spielten",
}
ZH = (
    "今天我们去公园散步看见很多美丽的花朵孩子们在草地上快乐地玩耍老人坐在树下聊天喝茶阳光温暖微风轻轻吹过湖面"
)


def sentence(lang: str, rng: random.Random) -> str:
    if lang == "zh":
        return "".join(rng.choices(ZH, k=40)) + "。"
    return " ".join(rng.choices(WORDS[lang].split(), k=16)).capitalize() + "."


def corpus(num_rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows in four languages; every 10th is a near duplicate of the one before the last, every 13th an exact
    one, every 17th too short.
    """
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(num_rows):
        lang = ("en", "es", "zh", "de")[number % 4]
        text = " ".join(sentence(lang, rng) for _ in range(6))
        if number % 10 == 9:
            text, lang = rows[-2]["text"] + " More.", rows[-2]["metadata"]["lang"]
        elif number % 13 == 12:
            text, lang = rows[-1]["text"].replace(" ", "  "), rows[-1]["metadata"]["lang"]
        elif number % 17 == 16:
            text = "Too short."
        rows.append(
            {"id": f"d{number}", "text": text, "metadata": {"lang": lang, "passage": f"p{number // 4}"}}
        )
    return rows


def write(path: Path, rows: list[dict[str, Any] | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def config(out: Path, *inputs: Path, **fields: Any) -> BuildCorpusConfig:
    return BuildCorpusConfig(
        **({"out": out, "input": tuple(map(str, inputs)), "languages": ("en", "es", "zh")} | fields)
    )


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def documents(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_row_is_kept_or_dropped_for_a_reason(tmp_path: Path) -> None:
    bad = [
        "{broken",
        '["a list"]',
        {"id": "x", "text": None},
        {"id": "y", "text": 5},
        {"id": "z", "text": ""},
    ]
    source = write(tmp_path / "in" / "a.jsonl", [*corpus(400), *bad])
    out = build_corpus(config(tmp_path / "out", source))
    opened = artifact.open_artifact(out, kind="corpus")
    rows, extra = opened.rows, opened.manifest["extra"]
    kept, dropped = documents(out), pq.read_table(out / "dropped.parquet").to_pylist()
    quarantine = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert rows.read == 405 == len(kept) + len(dropped)
    assert Counter(drop["reason"] for drop in dropped) == rows.dropped
    assert [row["reason"] for row in quarantine] == [
        "invalid-json",
        "not-an-object",
        "no-text",
        "text-is-no-string",
        "empty-text",
    ]
    assert [row["place"] for row in quarantine] == [401, 402, 403, 404, 405]
    assert sum(entry["rows"] for entry in extra["funnel"]) == len(dropped)
    assert {drop["stage"] for drop in dropped} == {"read", "language", "rules", "dedup"}
    assert {drop["detail"] for drop in dropped if drop["reason"] == "other-language"} == {"de"}
    ids = {document["id"] for document in kept}
    assert all(
        drop["detail"] in ids and drop["id"] not in ids for drop in dropped if drop["stage"] == "dedup"
    )
    assert (
        min(rows.dropped[reason] for reason in ("exact-duplicate", "near-duplicate", "other-language")) >= 5
    )
    assert extra["kept"] == Counter(document["lang"] for document in kept)
    assert extra["characters"]["en"] == sum(
        len(document["text"]) for document in kept if document["lang"] == "en"
    )
    assert all(document["group"] == document["id"] for document in kept)
    for path in out.glob("data/*/*.parquet"):
        assert {row["lang"] for row in tables.read(path, tables.DOCUMENT).to_pylist()} == {path.parent.name}


def test_a_corpus_is_a_data_set_of_its_documents(tmp_path: Path) -> None:
    rows = corpus(80)
    out = build_corpus(
        BuildCorpusConfig(
            input=(str(write(tmp_path / "a.jsonl", rows)),),
            languages=("en", "es"),
            out=str(tmp_path / "corpus"),
        )
    )
    kept = {
        row["id"]: row["lang"]
        for path in out.glob("data/*/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert set(kept.values()) == {"en", "es"} and (out / "dropped.parquet").exists()
    options = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    found = datasets.load_dataset(str(out), **options)
    assert dict(zip(found["id"], found["lang"], strict=True)) == kept
    spanish = datasets.load_dataset(str(out), "es", **options)
    assert set(spanish["id"]) == {name for name, lang in kept.items() if lang == "es"}
    assert artifact.open_artifact(out, kind="corpus").files("README.md")


def test_bytes_do_not_depend_on_the_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_step, "BLOCK", 16)
    first, second = (
        write(tmp_path / "in" / "a.jsonl", corpus(150)),
        write(tmp_path / "in" / "b.jsonl", corpus(50, seed=1)),
    )
    made = {
        (tasks, workers): contents(
            build_corpus(
                config(tmp_path / f"out-{tasks}-{workers}", first, second, tasks=tasks, workers=workers)
            )
        )
        for tasks, workers in [(1, 1), (2, 1), (4, 1), (4, 2)]
    }
    assert len(made[1, 1]) >= 6
    assert all(files == made[1, 1] for files in made.values())


def test_same_job_is_done_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write(tmp_path / "a.jsonl", corpus(40))
    out = build_corpus(config(tmp_path / "out", source))
    before = (out / "manifest.json").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        build_corpus(config(tmp_path / "out", source, tasks=3))
    assert "done already" in caplog.text
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_interrupted_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [write(tmp_path / f"{name}.jsonl", corpus(60, seed)) for seed, name in enumerate("ab")]
    whole = contents(build_corpus(config(tmp_path / "whole", *sources, tasks=2)))
    read: list[str] = []
    stock = read_step.read_rows

    def interrupted(path: Path, *share: Any, **options: Any) -> Any:
        read.append(Path(path).name)
        if read == ["a.jsonl", "b.jsonl"]:
            raise KeyboardInterrupt
        return stock(path, *share, **options)

    monkeypatch.setattr(read_step, "read_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(config(tmp_path / "out", *sources, tasks=2))
    assert not (tmp_path / "out").exists()
    out = build_corpus(config(tmp_path / "out", *sources, tasks=2))
    assert read == ["a.jsonl", "b.jsonl", "b.jsonl"]
    assert contents(out) == whole


def test_what_is_done_stays_when_memory_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of work went with it where that was taken for a wrong input."""
    sources = [write(tmp_path / f"{name}.jsonl", corpus(60, seed)) for seed, name in enumerate("ab")]
    stock = read_step.read_rows

    def too_large(path: Path, *share: Any, **options: Any) -> Any:
        if Path(path).name == "b.jsonl":
            raise MemoryError
        return stock(path, *share, **options)

    monkeypatch.setattr(read_step, "read_rows", too_large)
    with pytest.raises(UnfinishedError, match=r"task 1 of 2 .*memory ran out"):
        build_corpus(config(tmp_path / "out", *sources, tasks=2))
    assert [path.name for path in tmp_path.glob("out.partial/parts-2/counts-*")] == ["counts-00000.json"]


def test_wrong_labels_are_counted_and_overruled(tmp_path: Path) -> None:
    rows = corpus(80)
    for row in rows[:8]:
        row["metadata"]["lang"] = "es"
    rows[9]["metadata"]["lang"] = "Klingon"
    del rows[10]["metadata"]["lang"]
    out = build_corpus(config(tmp_path / "out", write(tmp_path / "a.jsonl", rows)))
    labels = artifact.open_artifact(out).manifest["extra"]["labels"]
    assert labels["confusion"] == {"es>de": 2, "es>en": 2, "es>zh": 2}
    assert (labels["wrong"], labels["unknown"], labels["missing"]) == (6, 1, 1)
    assert {document["id"]: document["lang"] for document in documents(out)}["d0"] == "en"


def test_groups_come_from_a_field(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl", [*corpus(40), {"id": "own", "text": sentence("en", random.Random(9))}]
    )
    kept = documents(build_corpus(config(tmp_path / "out", source, group_field="metadata.passage")))
    assert {document["id"]: document["group"] for document in kept}["d5"] == "p1"
    assert {document["id"]: document["group"] for document in kept}["own"] == "own"
    with pytest.raises(UserError, match=r"group_field: no document has a field 'metadata\.pasage'"):
        build_corpus(config(tmp_path / "other", source, group_field="metadata.pasage"))


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(40))
    with pytest.raises(
        UserError, match=r"no document is left \(40 read, 0 kept, dropped: too-short 2., other-language"
    ):
        build_corpus(config(tmp_path / "out", source, rules=RulesConfig(min_words=500, min_chars=5000)))
    with pytest.raises(UserError, match="the files hold no rows"):
        build_corpus(config(tmp_path / "out", write(tmp_path / "empty.jsonl", [])))
    assert not list(tmp_path.glob("out*"))


def test_unknown_language_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="languages: 'eng'"):
        build_corpus(config(tmp_path / "out", tmp_path / "missing.jsonl", languages=("eng",)))


def test_a_corpus_can_be_read_again(tmp_path: Path) -> None:
    first = build_corpus(config(tmp_path / "first", write(tmp_path / "a.jsonl", corpus(120))))
    second = build_corpus(config(tmp_path / "second", first))
    assert artifact.open_artifact(second).rows.dropped == {}
    read = documents(second)
    files = {row.pop("file") for row in read if row.pop("place")}
    assert read == [
        {name: value for name, value in row.items() if name not in ("file", "place")}
        for row in documents(first)
    ]
    assert files == {str(path.relative_to(tmp_path)) for path in first.glob("data/*/*.parquet")}


def test_only_our_own_lines_are_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_corpus(config(tmp_path / "out", write(tmp_path / "a.jsonl", corpus(40))))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("num_files", "num_tasks"), [(1, 1), (1, 4), (3, 2), (2, 5), (7, 3)])
def test_tasks_share_the_rows(num_files: int, num_tasks: int) -> None:
    units = [unit for task in shares(num_files, num_tasks) for unit in task]
    assert len(shares(num_files, num_tasks)) == num_tasks
    assert len(set(units)) == len(units)
    for file in range(num_files):
        cuts = {unit[2] for unit in units if unit[0] == file}
        assert len(cuts) == 1 and sorted(unit[1] for unit in units if unit[0] == file) == list(
            range(cuts.pop())
        )


def test_files_are_cut_by_documents(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(200))
    whole, cut = (
        build_corpus(config(tmp_path / name, source, shard_documents=size))
        for name, size in [("whole", 10**6), ("cut", 7)]
    )
    assert documents(whole) == documents(cut)
    sizes: dict[str, list[int]] = defaultdict(list)
    for path in sorted(cut.glob("data/*/*.parquet")):
        sizes[path.parent.name].append(pq.read_metadata(path).num_rows)
        assert (cut / "index" / path.parent.name / f"{path.stem}.arrow").exists()
    assert all(set(found[:-1]) == {7} and found[-1] <= 7 for found in sizes.values())


def test_drops_are_in_the_order_of_the_input(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(300))
    out = build_corpus(config(tmp_path / "out", source, tasks=3))
    places = pq.read_table(out / "dropped.parquet").column("place").to_pylist()
    assert places == sorted(places) and len(places) > 50


def test_near_duplicates_can_stay_as_a_group(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(200))
    dropped = pq.read_table(build_corpus(config(tmp_path / "drop", source)) / "dropped.parquet").to_pylist()
    near = {drop["id"]: drop["detail"] for drop in dropped if drop["reason"] == "near-duplicate"}
    copies = {drop["id"] for drop in dropped if drop["reason"] == "exact-duplicate"}
    grouped = build_corpus(config(tmp_path / "group", source, dedup=DedupConfig(near="group")))
    groups = {document["id"]: document["group"] for document in documents(grouped)}
    # The copy of a near duplicate is still dropped, now as a copy.
    near = {name: stays for name, stays in near.items() if name in groups}
    assert len(near) > 5 and copies.isdisjoint(groups)
    assert all(groups[name] == stays == groups[stays] for name, stays in near.items())
    assert "near-duplicate" not in artifact.open_artifact(grouped).rows.dropped


def test_another_number_of_tasks_goes_on_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [write(tmp_path / f"{name}.jsonl", corpus(60, seed)) for seed, name in enumerate("ab")]
    whole = contents(build_corpus(config(tmp_path / "whole", *sources)))
    stock = search.find_duplicates

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("conan_data.corpus.build.find_duplicates", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_corpus(config(tmp_path / "out", *sources, tasks=2))
    monkeypatch.setattr("conan_data.corpus.build.find_duplicates", stock)
    monkeypatch.setattr(read_step, "read_rows", None)
    assert contents(build_corpus(config(tmp_path / "out", *sources, tasks=5))) == whole


def in_child(work: Callable[[], None]) -> int:
    """The exit code of a process that does `work`: 0, 2 for a `UserError`, -9 where it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except UserError as error:
            (Path(os.environ["PYTEST_ERROR_FILE"])).write_text(str(error))
            os._exit(2)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_run_that_is_killed_anywhere_goes_on(tmp_path: Path) -> None:
    sources = [write(tmp_path / f"{name}.jsonl", corpus(60, seed)) for seed, name in enumerate("ab")]
    whole = contents(build_corpus(config(tmp_path / "whole", *sources)))
    stock, codes = os.replace, []

    def killed_soon() -> None:
        left = 24

        def replace(*args: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            stock(*args)

        os.replace = replace  # type: ignore[assignment]
        build_corpus(config(tmp_path / "out", *sources, tasks=3, shard_documents=20))

    build_corpus(config(tmp_path / "cut", *sources, shard_documents=20))
    while len(codes) < 20 and (not codes or codes[-1] == -signal.SIGKILL):
        assert not (tmp_path / "out").exists()
        codes.append(in_child(killed_soon))
    assert codes[-1] == 0 and len(codes) > 4
    assert contents(tmp_path / "out") == contents(tmp_path / "cut")
    assert len(whole) < len(contents(tmp_path / "out"))


@pytest.mark.parametrize("limit", [3_000, 60_000, 250_000])
def test_a_full_disk_ends_the_run_with_a_line_and_nothing_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """No file may grow over `limit`, which the system reports much like a full disk."""
    source = write(tmp_path / "a.jsonl", corpus(1500))
    whole = contents(build_corpus(config(tmp_path / "whole", source)))
    monkeypatch.setenv("PYTEST_ERROR_FILE", str(tmp_path / "error"))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        build_corpus(config(tmp_path / "out", source, tasks=2))

    assert in_child(limited) == 2
    assert "make room, and run the same command again" in (tmp_path / "error").read_text()
    assert not (tmp_path / "out").exists()
    out = build_corpus(config(tmp_path / "out", source, tasks=2))
    assert contents(out) == whole


@pytest.mark.slow
def test_bytes_do_not_depend_on_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    source = write(tmp_path / "in" / "a.jsonl", corpus(600))
    one, two, eight = (
        contents(build_corpus(config(tmp_path / str(workers), source, workers=workers, shard_documents=50)))
        for workers in (1, 2, 8)
    )
    assert one == two == eight and len(one) > 10
