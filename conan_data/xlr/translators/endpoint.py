"""Translation by a model behind an OpenAI-compatible endpoint (vLLM, SGLang, Ollama, `transformers serve`, or
a provider).

A set of a million queries meets every fault a server has, and each must cost as little as it can. Time-outs,
429, 5xx and unreadable answers are asked again, later and later. A wrong key, model or address stops the run
at once, because no later request would fare better. What stays unanswered stops the run as well, unless
`max_failures` allows it: dropping queries because a server was down would change the set from run to run.
Whatever was answered is on disk, and the next run goes on from there. The order of results is that of the
requests, however many are in flight.

The key is read from the environment and sent in one header. It is in no message: what a server says is shown
with the key blotted out.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import tenacity

from conan_data.errors import UserError
from conan_data.xlr.config import EndpointConfig, ServerConfig
from conan_data.xlr.languages import english_name
from conan_data.xlr.translators import Failure, Request, Translation
from conan_data.xlr.translators.answers import Answers, key_of

log = logging.getLogger(__name__)
MAX_WAIT = 60.0
"""Longest wait in seconds before a retry."""
TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are worth asking again."""
AHEAD = 4
"""Requests that are handed to the threads before their turn, as a multiple of the concurrency."""
UNANSWERED = "no-answer"
SHOWN = 300
"""Characters of a server's message that are shown."""


class _TransientError(Exception):
    """Worth asking again; `retry_after`: seconds the server asks for."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _RefusedError(Exception):
    """This request will not be answered, others may be."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt; `name` says in messages what it is about, `key` decides whether it was asked before."""

    key: str
    prompt: str
    name: str


class EndpointClient:
    """Asks an endpoint, and remembers its answers in the file `answers`."""

    def __init__(self, config: ServerConfig, answers: Path) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self._config = config
        self._key = read_key(config.api_key_env)
        self._url = _read_url(config.base_url)
        self._answers = Answers(answers)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._num_failures = 0
        if len(self._answers):
            log.info("%s answers are there from an earlier run", f"{len(self._answers):,}")

    def ask(self, questions: Iterable[Question]) -> Generator[Translation | Failure]:
        """One answer a question, in their order; raises `UserError` where going on makes no sense, keeping
        what was answered.
        """
        # Texts repeat in query sets; a question that is in flight already is not asked a second time.
        pending: dict[str, Future[Translation | Failure]] = {}
        window: deque[tuple[str, Future[Translation | Failure]]] = deque()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(
            max_connections=self._config.concurrency, max_keepalive_connections=self._config.concurrency
        )
        self._stop.clear()
        with httpx2.Client(headers=headers, timeout=self._config.timeout, limits=limits) as client:
            threads = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="translate")
            try:
                for question in questions:
                    if question.key not in pending:
                        pending[question.key] = threads.submit(self._answer, client, question)
                    window.append((question.key, pending[question.key]))
                    if len(window) >= AHEAD * self._config.concurrency:
                        yield _next(window, pending)
                while window:
                    yield _next(window, pending)
            finally:
                self._stop.set()
                threads.shutdown(wait=True, cancel_futures=True)

    def _body(self, question: Question) -> bytes:
        return orjson.dumps(
            {
                "model": self._config.model,
                "messages": [{"role": "user", "content": question.prompt}],
                "temperature": 0,
                "max_tokens": self._config.max_tokens,
            }
        )

    def _answer(self, client: httpx2.Client, question: Question) -> Translation | Failure:
        known = self._answers.get(question.key)
        if known is None:
            if self._stop.is_set():
                return Failure(
                    UNANSWERED
                )  # nobody sees it: the error that set the event is raised in its turn
            try:
                known = self._retrying()(self._send, client, self._body(question))
            except (_TransientError, _RefusedError) as error:
                self._count_failure(question, str(error))
                return Failure(UNANSWERED)
            except UserError:
                self._stop.set()
                raise
            self._answers.put(question.key, *known)
        text, failure = known
        return Failure(failure) if failure else Translation(text, self._config.model)

    def _retrying(self) -> tenacity.Retrying:
        backoff = tenacity.wait_exponential(
            multiplier=self._config.backoff, max=MAX_WAIT
        ) + tenacity.wait_random(0, self._config.backoff / 2)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), error.retry_after if isinstance(error, _TransientError) else 0.0)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=tenacity.stop_after_attempt(self._config.max_retries + 1)
            | tenacity.stop_when_event_set(self._stop),
            wait=wait,
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )

    def _send(self, client: httpx2.Client, body: bytes) -> tuple[str, str]:
        """One request: the text and "", or "" and the reason why the model's answer is none."""
        try:
            response = client.post(self._url, content=body, headers={"Content-Type": "application/json"})
        except httpx2.TimeoutException:
            raise _TransientError(f"no answer within {self._config.timeout:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _TransientError(f"{type(error).__name__}: {self._shown(str(error))}") from None
        self._check_status(response)
        try:
            return _read_answer(orjson.loads(response.content))
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            raise _TransientError(
                f"an answer that is no chat completion: {self._shown(response.text)!r}"
            ) from None

    def _check_status(self, response: httpx2.Response) -> None:
        status, where = response.status_code, self._config.base_url
        if status == 200:
            return
        if status in (401, 403):
            given = (
                f"the key in ${self._config.api_key_env}"
                if self._config.api_key_env
                else "no key was sent: set endpoint.api_key_env"
            )
            raise UserError(f"endpoint: {where} refuses access ({status}); {given}")
        said = self._shown(response.text)
        if status == 404 or status == 405:
            raise UserError(
                f"endpoint: {where} has no model {self._config.model!r}, or is not the right address ({status}: {said})"
            )
        if status in TRANSIENT or status >= 500:
            raise _TransientError(f"status {status}: {said}", retry_after=_retry_after(response))
        raise _RefusedError(f"status {status}: {said}")

    def _count_failure(self, question: Question, reason: str) -> None:
        """Raises `UserError` when more requests failed for good than are allowed."""
        with self._lock:
            self._num_failures += 1
            too_many = self._num_failures > self._config.max_failures
        if self._stop.is_set():
            return
        log.warning("%s: %s", question.name, reason)
        if too_many:
            self._stop.set()
            raise UserError(
                f"endpoint: {self._config.base_url} gives no usable answer to {question.name} "
                f"({reason}); what was answered is kept: run the same command again to go on, "
                f"or allow it with endpoint.max_failures (now {self._config.max_failures})"
            )

    def _shown(self, text: str) -> str:
        """The beginning of a server's message on one line, without the key."""
        return " ".join((text.replace(self._key, "***") if self._key else text)[:SHOWN].split())


class EndpointTranslator(EndpointClient):
    """Translates by an endpoint."""

    def __init__(self, config: EndpointConfig, answers: Path) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        super().__init__(config, answers)
        self.name = f"the model {config.model}"
        self._prompt = config.prompt

    def available(self, query_id: str) -> None:
        return None

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order; raises `UserError` where going on makes no sense, keeping
        what was answered.
        """
        return self.ask(self._question(request) for request in requests)

    def _question(self, request: Request) -> Question:
        return Question(
            key=key_of(
                self._config.model, str(self._config.max_tokens), self._prompt, request.text, request.language
            ),
            prompt=self._prompt.format(language=english_name(request.language), text=request.text),
            name=f"query {request.query_id!r} in {request.language!r}",
        )


def read_key(variable: str) -> str:
    """The key in the environment variable of that name, "" where none is named; raises `UserError` where it
    is not set.
    """
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"endpoint.api_key_env: the environment variable {variable} is not set; "
            "put the key there, or leave the field empty for a server without keys"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"endpoint.api_key_env: the environment variable {variable} holds characters that no key has; set it again"
        )
    return key


def _read_url(base_url: str) -> httpx2.URL:
    try:
        return httpx2.URL(base_url.rstrip("/") + "/chat/completions")
    except httpx2.InvalidURL as error:
        raise UserError(f"endpoint.base_url: {base_url!r} is not an address ({error})") from error


def _next(
    window: deque[tuple[str, Future[Translation | Failure]]],
    pending: dict[str, Future[Translation | Failure]],
) -> Translation | Failure:
    key, future = window.popleft()
    answer = future.result()
    if not any(other == key for other, _ in window):
        del pending[key]
    return answer


def _read_answer(answer: Any) -> tuple[str, str]:
    choice = answer["choices"][0]
    if choice.get("finish_reason") == "length":
        return "", "answer-cut-off"
    if choice.get("finish_reason") == "content_filter":
        return "", "answer-refused"
    content = choice["message"]["content"]
    text = content.strip() if content is not None else ""
    return (text, "") if text else ("", "answer-empty")


def _retry_after(response: httpx2.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", 0)), 0.0), MAX_WAIT)
    except ValueError:
        return 0.0
