"""A server with an OpenAI-compatible `/embeddings` call as an `Encoder`.

Servers answer in any order, drop connections and change models behind one name. So every answer is checked (as many
vectors as texts, each index once, finite numbers, one dimension); what may pass is asked again, and what will not ends
the run with one line. The fingerprint is of the model's name and the prompts: more is not known of a server.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import httpx2
import numpy as np
import orjson
import tenacity

from conan_data.chat.client import MAX_WAIT, SHOWN, TRANSIENT
from conan_data.chat.key import read_key
from conan_data.errors import UserError
from conan_data.mining.encoder import Kind, unit_rows
from conan_data.mining.endpoint_config import EmbeddingServerConfig
from conan_data.progress import current


class _TransientError(Exception):
    """A request that is worth sending again."""


class EndpointEncoder:
    """See `encoder.Encoder`."""

    def __init__(self, config: EmbeddingServerConfig, *, prompts: Mapping[Kind, str] | None = None) -> None:
        """Raises `UserError` when the key's environment variable is not set."""
        self._config, self._prompts = config, dict(prompts or {})
        self._key = read_key(config.api_key_env)
        self._url = config.base_url.rstrip("/") + "/embeddings"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx2.Client(headers=headers, timeout=config.timeout, follow_redirects=False)
        record = json.dumps(["endpoint", config.model, sorted(self._prompts.items())])
        self.fingerprint = hashlib.sha256(record.encode()).hexdigest()

    @cached_property
    def dimension(self) -> int:
        """Numbers of a vector, which the server is asked for once."""
        return len(self._ask(["How long is a vector?"])[0])

    def encode(self, texts: Sequence[str], *, kind: Kind) -> np.ndarray:
        """Return unit vectors, float32 [len(texts), dimension]; raises `UserError` where going on makes no sense."""
        prompt, size = self._prompts.get(kind, ""), self._config.batch_size
        batches = [
            [prompt + text for text in texts[start : start + size]] for start in range(0, len(texts), size)
        ]
        vectors_ND = np.empty((len(texts), self.dimension), np.float32)
        meter = current()
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            try:
                for number, found in enumerate(pool.map(self._ask, batches)):
                    if found.shape[1] != self.dimension:
                        raise UserError(
                            f"endpoint: {self._config.base_url} gives vectors of {found.shape[1]} and of {self.dimension} numbers"
                        )
                    vectors_ND[number * size : number * size + len(found)] = found
                    if meter is not None:
                        meter.advance(len(found))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return unit_rows(vectors_ND)

    def _ask(self, texts: list[str]) -> np.ndarray:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=tenacity.stop_after_attempt(self._config.max_retries + 1),
            wait=tenacity.wait_exponential(multiplier=self._config.backoff, max=MAX_WAIT),
            reraise=True,
        )
        try:
            return retrying(self._send, texts)
        except _TransientError as error:
            raise UserError(
                f"endpoint: {self._config.base_url} gives no usable answer ({error}); run the same command again to go on"
            ) from None

    def _send(self, texts: list[str]) -> np.ndarray:
        body = orjson.dumps({"model": self._config.model, "input": texts, "encoding_format": "float"})
        try:
            answer = self._client.post(self._url, content=body, headers={"Content-Type": "application/json"})
        except httpx2.InvalidURL as error:
            raise UserError(f"endpoint.base_url: {self._config.base_url!r} is no address ({error})") from None
        except httpx2.HTTPError as error:
            raise _TransientError(f"{type(error).__name__}: {self._shown(str(error))}") from None
        self._check_status(answer)
        try:
            return _vectors(orjson.loads(answer.content), len(texts))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _TransientError(
                f"an answer that is no list of {len(texts)} vectors: {self._shown(str(error))}"
            ) from None

    def _check_status(self, answer: httpx2.Response) -> None:
        status, where = answer.status_code, self._config.base_url
        if status == 200:
            return
        said = self._shown(answer.text)
        if status in (401, 403):
            raise UserError(f"endpoint: {where} refuses access ({status}); see endpoint.api_key_env")
        if status in TRANSIENT or status >= 500:
            raise _TransientError(f"status {status}: {said}")
        raise UserError(f"endpoint: {where} does not embed with {self._config.model!r} ({status}: {said})")

    def _shown(self, text: str) -> str:
        """The beginning of a message on one line, without the key."""
        line = " ".join((text.replace(self._key, "***") if self._key else text)[:SHOWN].split())
        return "".join(char if char.isprintable() else "?" for char in line)


def _vectors(answer: Any, size: int) -> np.ndarray:
    rows = {row["index"]: row["embedding"] for row in answer["data"]}
    if sorted(rows) != list(range(size)) or len(answer["data"]) != size:
        raise ValueError(f"it has {len(answer['data'])} vectors")
    found = np.array([rows[place] for place in range(size)], np.float32)
    if found.ndim != 2 or not np.isfinite(found).all() or not found.any(axis=1).all():
        raise ValueError("its vectors are no finite numbers, or zero")
    return found
