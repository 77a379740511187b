"""The folder through which a trainer and those that mine for it speak: files, and nothing that listens.

    RUN.mining/run.json              the trainer's config
    RUN.mining/weights/step-*/       weights, from the trainer (see `snapshot`)
    RUN.mining/negatives/gen-*/      generations, from the services
    RUN.mining/claims/               who mines what (see `claim`)
    RUN.mining/shards/SET-STEP/      vectors of a refresh that several encode (see `sharing`)
    RUN.mining/services/NAME/        what a service keeps

It lies beside the run and not in it: a run becomes an artifact by one rename, and a service that writes at that
moment must not leave half a file in it. The trainer moves the generations that it takes up into the run. What is
in the inbox can be lost without loss to the run; it goes away when the run is finished.
"""

import contextlib
import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data.config import resolved
from conan_data.errors import UserError
from conan_data.places import MANIFEST, MINING, PARTIAL, beside
from conan_data.sealed import DamagedError, read_sealed, write_sealed

log = logging.getLogger(__name__)

RUN = "run.json"
_GENERATION = re.compile(r"gen-(\d{8,})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Inbox:
    """Of the run whose artifact is `out`."""

    out: Path

    @property
    def folder(self) -> Path:
        return beside(self.out, MINING)

    @property
    def run(self) -> Path:
        """The run while it trains."""
        return beside(self.out, PARTIAL)

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    @property
    def claims(self) -> Path:
        return self.folder / "claims"

    def shards(self, name: str, step: int) -> Path:
        """Vectors of the refresh of that set with the weights of that step."""
        return self.folder / "shards" / f"{name}-{step:08d}"

    def shared_step(self, name: str) -> int | None:
        """The newest step whose vectors of that set are there, or come."""
        steps = (int(path.name.rpartition("-")[2]) for path in (self.folder / "shards").glob(f"{name}-*"))
        return max(steps, default=None)

    def generations(self, store: str) -> Path:
        """Where services put what they mined for the store of that name below the run."""
        return self.folder / store

    def open(self, config: Any) -> None:
        """By the trainer; another job's leavings go away."""
        values = json.loads(json.dumps(resolved(config)))
        if self.folder.exists() and self.settings() != values:
            if not (self.folder / RUN).exists() and any(file.is_file() for file in self.folder.rglob("*")):
                raise UserError(
                    f"{self.folder}: is in the way of --out {self.out} and not of a fine-tuning; move it away"
                )
            shutil.rmtree(self.folder)
        self.weights.mkdir(parents=True, exist_ok=True)
        self.claims.mkdir(exist_ok=True)
        write_sealed(self.folder / RUN, values)

    def settings(self) -> dict[str, Any] | None:
        """The trainer's config; None where it has not said it yet, or what it said is damaged."""
        try:
            return read_sealed(self.folder / RUN)
        except DamagedError:
            return None

    def is_finished(self) -> bool:
        return (self.out / MANIFEST).is_file() and not self.run.exists()

    def remove(self) -> None:
        """When the run is finished; a service that still writes removes the rest."""
        shutil.rmtree(self.folder, ignore_errors=True)


def generations_in(*folders: Path) -> list[tuple[int, Path]]:
    """(step, path) of whole generations, the newest last; of one step the one published last."""
    found: list[tuple[int, int, Path]] = []
    for folder in folders:
        # A folder that is not there yet, or from which one is moved right now, has none.
        with contextlib.suppress(OSError):
            found += [
                (int(match[1]), path.stat().st_mtime_ns, path)
                for path in folder.iterdir()
                if (match := _GENERATION.fullmatch(path.name)) and (path / MANIFEST).is_file()
            ]
    return [(step, path) for step, _, path in sorted(found)]
