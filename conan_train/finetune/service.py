"""`conan-train mine-service`: mines for a fine-tuning, with its newest weights, until it is finished."""

import logging
import os
import socket
import threading
import time
from pathlib import Path

import filelock
import torch

from conan_data.errors import UserError
from conan_data.fields import build
from conan_data.mining.encoder import Encoder, resolve_device
from conan_train.embedding.base import alpha, open_base
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.mining import MinedSet, make_miner, mined_sets, window
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.claim import Claims
from conan_train.negatives.config import MineServiceConfig
from conan_train.negatives.inbox import Inbox
from conan_train.negatives.service import Service
from conan_train.negatives.sharing import SharedShards
from conan_train.negatives.snapshot import Snapshot, load_snapshot

log = logging.getLogger(__name__)


def mine_service(config: MineServiceConfig) -> None:
    """Returns when the run is finished. Raises `UserError` where no such run begins, or it mines inline."""
    if config.parent:
        threading.Thread(target=_end_with, args=(config.parent,), daemon=True).start()
    if config.threads:
        torch.set_num_threads(config.threads)
    out = config.run
    inbox = Inbox(out.with_suffix("") if out.suffix == ".partial" else out)
    while (settings := _wait_for(inbox, config)) is not None:
        folder, lock = _own_folder(inbox.folder / "services")
        with lock:
            service = _service(settings, inbox, folder, resolve_device(config.device))
            if service.run(once=config.once, poll=config.poll):
                return
    log.info("%s is finished", inbox.out)
    inbox.remove()


def _service(config: FinetuneConfig, inbox: Inbox, folder: Path, device: str) -> Service:
    claims = Claims(inbox.claims)
    base = open_base(config)
    base.trained.to(device).eval()

    def encoder_of(snapshot: Snapshot) -> Encoder:
        load_snapshot(snapshot, base.trained)
        base.trained.embedder.mask.alpha = alpha(snapshot.step, config)
        return CheckpointEncoder(base.trained.embedder, base.tokenizer, batch_tokens=config.bucket_tokens)

    def miner_of(mined: MinedSet) -> object:
        return make_miner(
            config,
            mined.pairs,
            max_length=base.contract.max_length,
            folder=folder / mined.name,
            device=device,
            shared=lambda step: shared_of(mined, step),
        )

    def shared_of(mined: MinedSet, step: int) -> SharedShards:
        return SharedShards(folder=inbox.shards(mined.name, step), claims=claims)

    return Service(
        inbox=inbox,
        is_current=lambda: _config_of(inbox) == config,
        sets=mined_sets(config),
        encoder_of=encoder_of,
        miner_of=miner_of,  # type: ignore[arg-type]
        window_of=lambda mined, step: window(config, mined, step),  # type: ignore[arg-type]
        claims=claims,
        shared_of=shared_of if config.refresh.depth == "full" else None,  # type: ignore[arg-type]
    )


def _wait_for(inbox: Inbox, config: MineServiceConfig) -> FinetuneConfig | None:
    """The run's config; None where it is finished."""
    start = time.monotonic()
    while True:
        if inbox.is_finished():
            return None
        if (found := _config_of(inbox)) is not None:
            return found
        if time.monotonic() - start >= config.wait:
            raise UserError(
                f"run: {inbox.out} has no training that waits for negatives ({inbox.folder.name} is missing); "
                "start conan-train finetune with mine_mode service, and give its out"
            )
        time.sleep(min(config.poll, 1.0))


def _config_of(inbox: Inbox) -> FinetuneConfig | None:
    values = inbox.settings()
    return build(FinetuneConfig, values) if values is not None else None


def _own_folder(services: Path) -> tuple[Path, filelock.FileLock]:
    """The first folder of this host that no living service has: a service that is started again finds its vectors."""
    services.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        folder = services / f"{socket.gethostname()}-{number}"
        folder.mkdir(exist_ok=True)
        lock = filelock.FileLock(folder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            number += 1
            continue
        return folder, lock


def _end_with(parent: int) -> None:
    """A worker whose trainer was killed must not mine for nobody."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
