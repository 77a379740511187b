"""Read a pushed revision back as a stranger would: every file, every config through `datasets`, and a retrieval set
through mteb's loader.

It runs in a process of its own with empty caches, so that nothing of this machine answers in the Hub's place, and each
file is fetched once for all three.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.publish.plan import Plan

log = logging.getLogger(__name__)


def read_back(name: str, commit: str, plan: Plan, *, endpoint: str, token: str) -> str:
    """Compare a commit with what was to be pushed, and return what was tried, in words.

    Raises `UserError` for a file, a config or a split that is not as it was sent.
    """
    asked = {
        "name": name,
        "repo_type": plan.repo_type,
        "commit": commit,
        "files": {upload.path: upload.hash for upload in plan.uploads},
        "loads": {config: list(splits) for config, splits in plan.loads.items()},
        "retrieval_splits": list(plan.retrieval_splits),
    }
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "HF_HOME": scratch,
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": token,
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        for variable in (
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_DATASETS_CACHE",
            "HF_XET_CACHE",
            "HF_TOKEN_PATH",
        ):
            environment.pop(variable, None)
        done = subprocess.run(
            [sys.executable, "-m", "conan_data.publish.readback"],
            input=json.dumps(asked),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    where = f"{name} at {commit[:12]}"
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        said = lines[-1].replace(token, "***")[:300]
        raise UserError(f"{where}: was pushed, and cannot be read back: {said}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    _compare(where, plan, found)
    tried = [f"{len(plan.uploads)} files by their hashes"]
    if plan.loads:
        tried.append(f"{len(plan.loads)} configs by datasets")
    if plan.retrieval_splits:
        tried.append("the set by mteb" if found["mteb"] else "not by mteb, which is not installed")
    return ", ".join(tried)


def _compare(where: str, plan: Plan, found: dict[str, Any]) -> None:
    for upload in plan.uploads:
        if found["files"].get(upload.path) != upload.hash:
            state = "is not there" if upload.path not in found["files"] else "has other content"
            raise UserError(
                f"{where}: was pushed, and {upload.path} {state}; a .gitignore there may leave it out"
            )
    for config, splits in plan.loads.items():
        for split, rows in splits.items():
            loaded = found["loads"][config][split]
            if rows is not None and loaded != rows:
                raise UserError(
                    f"{where}: load_dataset gives {loaded:,} rows of {config}, split {split}, not {rows:,}"
                )
    for split, counts in found["mteb"].items():
        expected = plan.loads["corpus"][split], plan.loads["queries"][split]
        if tuple(counts) != expected:
            raise UserError(
                f"{where}: mteb loads {counts} documents and queries of split {split}, not {expected}"
            )


def main() -> None:
    """Answer the question on standard input, in JSON."""
    asked = json.load(sys.stdin)
    from huggingface_hub import snapshot_download

    from conan_data.files import hash_file

    folder = Path(snapshot_download(asked["name"], repo_type=asked["repo_type"], revision=asked["commit"]))
    files = {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    answer: dict[str, Any] = {"files": files}
    if (
        asked["files"].items() <= files.items()
    ):  # Else the hashes say what is wrong better than a reader would.
        answer["loads"] = {
            config: _loaded(asked, config, splits) for config, splits in asked["loads"].items()
        }
        answer["mteb"] = _through_mteb(asked) if importlib.util.find_spec("mteb") else {}
    print(json.dumps(answer))


def _loaded(asked: dict[str, Any], config: str, splits: Sequence[str]) -> dict[str, int]:
    import datasets

    loaded = datasets.load_dataset(asked["name"], config, revision=asked["commit"])
    return {split: len(loaded[split]) for split in splits}


def _through_mteb(asked: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Documents and queries of every split."""
    found = {}
    for split in asked["retrieval_splits"]:
        from mteb.abstasks.retrieval_dataset_loaders import RetrievalDatasetLoader

        data = RetrievalDatasetLoader(asked["name"], revision=asked["commit"], split=split).load()
        found[split] = (len(data["corpus"]), len(data["queries"]))
    return found


if __name__ == "__main__":
    main()
