"""Translation by a model in this process: batches of about one length, each kept whole as it is done.

A batch is made of the requests of a window alone, whether or not some are answered already, and is only left out where
all of it is kept. So an interrupted run that goes on computes the same batches, and gives the same bytes, although a
model's last digits depend on what shares a batch.
"""

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from typing import Any

from conan_data.chat.answers import Known, key_of
from conan_data.mining.encoder import fingerprint_folder, resolve_device
from conan_data.models.loading import check_vocabulary, load_pretrained, quiet, reading
from conan_data.models.locate import find_model
from conan_data.public_names import published_value
from conan_data.xlr.translators import Failure, Request, Task, Translation
from conan_data.xlr.translators_config import LocalConfig

log = logging.getLogger(__name__)
_BATCHES_A_WINDOW = 32


class LocalTranslator(ABC):
    """Translates by batches; a subclass loads the model and knows how it is asked."""

    retries = False
    broken = ()

    def __init__(self, config: LocalConfig, task: Task, *, field: str) -> None:
        """Raises `UserError` for a model that is not there or not whole."""
        import torch

        self.name = f"the model {published_value(config.model)}"
        self._config, self._field = config, field
        self._answers = task.answers
        self._folder = find_model(config.model, field=f"{field}.model").folder
        self._device = resolve_device(config.device)
        if self._device == "cpu":
            torch.set_num_threads(config.threads or len(os.sched_getaffinity(0)))
        self._fingerprint = fingerprint_folder(
            self._folder, settings={"max_new_tokens": config.max_new_tokens}
        )
        self._used: set[str] = set()
        self._num_generated, self._seconds = 0, 0.0

    def _open_tokenizer(self, **options: Any) -> Any:
        from transformers import AutoTokenizer

        with reading(self._config.model, "a tokenizer"), quiet():
            return AutoTokenizer.from_pretrained(
                str(self._folder), local_files_only=True, trust_remote_code=False, **options
            )

    def _open_model(self, auto: Any, tokenizer: Any) -> Any:
        """The model of the class `auto` of transformers, ready to generate."""
        model: Any = load_pretrained(auto, self._folder)
        check_vocabulary(tokenizer, model.get_input_embeddings(), self._folder)
        return model.to(self._device).eval()

    @abstractmethod
    def _asked(self, request: Request) -> tuple[str, ...]:
        """Everything beside the model that decides the answer, the text last."""

    @abstractmethod
    def _generate(self, requests: Sequence[Request]) -> list[Known]:
        """The answers of the model to one batch."""

    def available(self, query_id: str) -> None:
        return None

    def prepare(self, requests: Iterable[Request]) -> None:
        num_texts = len({self._key(request) for request in requests})
        log.info("%s: %s translations, nothing to pay", self.name, f"{num_texts:,}")

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order."""
        requests = iter(requests)
        while window := list(islice(requests, _BATCHES_A_WINDOW * self._config.batch_size)):
            keys = [self._key(request) for request in window]
            known = self._window(dict(zip(keys, window)))
            self._used.update(keys)
            for key in keys:
                found = known[key]
                yield (
                    Failure(found.failure)
                    if found.failure
                    else Translation(found.text, published_value(self._config.model))
                )

    def used(self) -> dict[str, Any]:
        return {"requests": len(self._used)}

    def spent(self) -> dict[str, Any]:
        return {"generated": self._num_generated, "seconds": round(self._seconds, 3)}

    def _key(self, request: Request) -> str:
        return key_of(self._field, self._fingerprint, *self._asked(request))

    def _window(self, asked: dict[str, Request]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        # Of one length, so that a batch holds little padding.
        order = sorted(asked, key=lambda key: (len(asked[key].text), key))
        size = self._config.batch_size
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            kept = {key: self._answers.get(key) for key in batch}
            whole = {key: answer for key, answer in kept.items() if answer is not None}
            if len(whole) < len(batch):
                begin = time.monotonic()
                made = dict(zip(batch, self._generate([asked[key] for key in batch]), strict=True))
                self._seconds += time.monotonic() - begin
                self._num_generated += len(batch)
                # What another run answered, in a cache that is shared, stays its answer.
                whole = {**made, **whole}
                self._answers.put(whole.items())
            found |= whole
        return found


def read_answer(text: str, *, is_cut: bool) -> Known:
    """Return a generated text as an answer; `is_cut`: it ended for want of tokens."""
    if is_cut:
        return Known("", "answer-cut-off")
    text = text.strip()
    return Known(text) if text else Known("", "answer-empty")
