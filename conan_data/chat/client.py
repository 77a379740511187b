"""A client for a model behind an OpenAI-compatible endpoint (vLLM, SGLang, Ollama, `transformers serve`, or a
provider).

A million questions meet every fault a server has, and each must cost as little as it can. Time-outs, 429, 5xx and
unreadable answers are asked again, later and later. A wrong key, model or address stops the run at once, because no
later request would fare better. What stays unanswered stops the run as well, unless `max_failures` allows it: dropping
rows because a server was down would change the result from run to run. Whatever was answered is on disk, and the next
run goes on from there. The order of results is that of the questions, however many are in flight.

All requests run in one event loop, in a thread beside the caller's. So `timeout` bounds a request as a whole, from
looking up the address to the last byte of the answer, and a caller that is interrupted ends all requests at once,
whatever the server does. An answer has at most `MAX_ANSWER_BYTES`, and is asked for uncompressed, for a few bytes may
unpack to any number.

The key is read from the environment and sent in one header. It is in no message: what a server says is shown
with the key blotted out.
"""

import asyncio
import contextlib
import email.utils
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import tenacity

from conan_data.chat.answers import Answers
from conan_data.chat.config import ServerConfig
from conan_data.chat.key import read_key
from conan_data.errors import UserError

log = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 8 << 20
"""Largest body of an answer; a thousand times what a long one takes."""
MAX_WAIT = 60.0
"""Longest wait in seconds before a retry."""
TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are worth asking again."""
AHEAD = 4
"""Requests that are given to the loop before their turn, as a multiple of the concurrency."""
UNANSWERED = "no-answer"
SHOWN = 300
"""Characters of a server's message that are shown."""
SECONDS_TO_CLOSE = 1.0
"""How long the loop may take to close its connections."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt; `name` says in messages what it is about, `key` decides whether it was asked before."""

    key: str
    prompt: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, white space around it removed; not empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer, and why: a short reason to count by."""

    reason: str


Outcome = Answer | Unanswered


class _TransientError(Exception):
    """Worth asking again; `retry_after`: seconds the server asks for."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _RefusedError(Exception):
    """This request will not be answered, others may be."""


class ChatClient:
    """Asks an endpoint, and remembers its answers in the file `answers`."""

    def __init__(self, config: ServerConfig, answers: Path) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self._config = config
        self._key = read_key(config.api_key_env)
        self._url = _read_url(config.base_url)
        self._answers = Answers(answers)
        self._num_failures = 0
        if len(self._answers):
            log.info("%s answers are there from an earlier run", f"{len(self._answers):,}")

    def ask(self, questions: Iterable[Question]) -> Generator[Outcome]:
        """One outcome a question, in their order; raises `UserError` where going on makes no sense, keeping
        what was answered.
        """
        # Texts repeat in query sets; a question that is in flight already is not asked a second time.
        pending: dict[str, Future[Outcome]] = {}
        window: deque[str] = deque()
        with _event_loop() as loop:
            session = _Session(self, loop)
            for question in questions:
                if question.key not in pending:
                    pending[question.key] = session.submit(question)
                window.append(question.key)
                if len(window) >= AHEAD * self._config.concurrency:
                    yield session.outcome(window, pending)
            while window:
                yield session.outcome(window, pending)

    def _body(self, question: Question) -> bytes:
        return orjson.dumps(
            {
                "model": self._config.model,
                "messages": [{"role": "user", "content": question.prompt}],
                "temperature": 0,
                "max_tokens": self._config.max_tokens,
            }
        )

    async def send(self, client: httpx2.AsyncClient, question: Question) -> tuple[str, str]:
        """One request: the text and "", or "" and the reason why the model's answer is none."""
        try:
            async with (
                asyncio.timeout(self._config.timeout),
                client.stream("POST", self._url, content=self._body(question)) as response,
            ):
                content = await _read(response)
        except TimeoutError:
            raise _TransientError(f"no whole answer within {self._config.timeout:g} s") from None
        except httpx2.TransportError as error:
            raise _TransientError(f"{type(error).__name__}: {self._shown(str(error))}") from None
        self._check_status(response, content)
        try:
            return _read_answer(orjson.loads(content))
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            said = self._shown(_text(content))
            raise _TransientError(f"an answer that is no chat completion: {said!r}") from None

    def retrying(self, stopped: asyncio.Event) -> tenacity.AsyncRetrying:
        """How requests are sent again, until `stopped`."""
        backoff = tenacity.wait_exponential(
            multiplier=self._config.backoff, max=MAX_WAIT
        ) + tenacity.wait_random(0, self._config.backoff / 2)

        def wait_for(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), error.retry_after if isinstance(error, _TransientError) else 0.0)

        async def sleep(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), seconds)

        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=tenacity.stop_after_attempt(self._config.max_retries + 1)
            # An event of asyncio, which is asked in the same words.
            | tenacity.stop_when_event_set(stopped),  # type: ignore[arg-type]
            wait=wait_for,
            sleep=sleep,
            reraise=True,
        )

    def _check_status(self, response: httpx2.Response, content: bytes) -> None:
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
        if 300 <= status < 400:
            raise UserError(
                f"endpoint: {where} is not the right address ({status}, a redirect to {_address(response)}); set "
                "endpoint.base_url to the address that answers"
            )
        said = self._shown(_text(content))
        if status == 404 or status == 405:
            raise UserError(
                f"endpoint: {where} has no model {self._config.model!r}, or is not the right address ({status}: {said})"
            )
        if status in TRANSIENT or status >= 500:
            raise _TransientError(f"status {status}: {said}", retry_after=_retry_after(response))
        raise _RefusedError(f"status {status}: {said}")

    def count_failure(self, question: Question, reason: str) -> None:
        """Raises `UserError` when more requests failed for good than are allowed."""
        self._num_failures += 1
        log.warning("%s: %s", question.name, reason)
        if self._num_failures > self._config.max_failures:
            raise UserError(
                f"endpoint: {self._config.base_url} gives no usable answer to {question.name} "
                f"({reason}); what was answered is kept: run the same command again to go on, "
                f"or allow it with endpoint.max_failures (now {self._config.max_failures})"
            )

    def _shown(self, text: str) -> str:
        """The beginning of a server's message on one line, without the key and what a terminal would obey."""
        line = " ".join((text.replace(self._key, "***") if self._key else text)[:SHOWN].split())
        return "".join(char if char.isprintable() else "?" for char in line)


class _Session:
    """The questions of one `ask`, in an event loop."""

    def __init__(self, chat: ChatClient, loop: asyncio.AbstractEventLoop) -> None:
        self._chat, self._loop = chat, loop
        config = chat._config
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if chat._key:
            headers["Authorization"] = f"Bearer {chat._key}"
        limits = httpx2.Limits(
            max_connections=config.concurrency, max_keepalive_connections=config.concurrency
        )
        self._client = httpx2.AsyncClient(headers=headers, timeout=None, limits=limits)
        self._turn = asyncio.Semaphore(config.concurrency)
        self._stopped = asyncio.Event()
        self._error: Future[Outcome] = Future()
        """Why going on makes no sense."""

    def submit(self, question: Question) -> Future[Outcome]:
        """The future outcome of a question."""
        if (known := self._chat._answers.get(question.key)) is not None:
            found: Future[Outcome] = Future()
            found.set_result(_outcome(*known))
            return found
        return asyncio.run_coroutine_threadsafe(self._answer(question), self._loop)

    def outcome(self, window: deque[str], pending: dict[str, Future[Outcome]]) -> Outcome:
        """The outcome of the first question of `window`, which is taken out; raises what ends the run."""
        key = window.popleft()
        wait((pending[key], self._error), return_when=FIRST_COMPLETED)
        if self._error.done():
            # No request is sent any more; those that are in flight were paid for.
            wait(pending.values(), timeout=self._chat._config.timeout)
            self._error.result()
        found = pending[key].result()
        if key not in window:
            del pending[key]
        return found

    async def _answer(self, question: Question) -> Outcome:
        async with self._turn:
            if self._stopped.is_set():
                return Unanswered(UNANSWERED)
            known: tuple[str, str]
            try:
                try:
                    known = await self._chat.retrying(self._stopped)(self._chat.send, self._client, question)
                except (_TransientError, _RefusedError) as error:
                    if not self._stopped.is_set():
                        self._chat.count_failure(question, str(error))
                    return Unanswered(UNANSWERED)
                self._chat._answers.put(question.key, *known)
            except Exception as error:
                self._stopped.set()
                if not self._error.done():
                    self._error.set_exception(error)
                raise
        return _outcome(*known)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own; what still runs at the end of the block is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="chat", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(SECONDS_TO_CLOSE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS_TO_CLOSE)
        if not thread.is_alive():
            loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _read(response: httpx2.Response) -> bytes:
    """The body; of an answer that is none only the beginning."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise _TransientError(f"an answer that is compressed ({encoding[:20]!r}), which was not asked for")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if response.status_code != 200 and len(content) > 100 * SHOWN:
            break
        if len(content) > MAX_ANSWER_BYTES:
            raise _TransientError(f"an answer of more than {MAX_ANSWER_BYTES:,} bytes")
    return bytes(content)


def _read_url(base_url: str) -> httpx2.URL:
    try:
        return httpx2.URL(base_url.rstrip("/") + "/chat/completions")
    except httpx2.InvalidURL as error:
        raise UserError(f"endpoint.base_url: {base_url!r} is not an address ({error})") from error


def _outcome(text: str, failure: str) -> Outcome:
    return Unanswered(failure) if failure else Answer(text)


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _read_answer(answer: Any) -> tuple[str, str]:
    choice = answer["choices"][0]
    if choice.get("finish_reason") == "length":
        return "", "answer-cut-off"
    if choice.get("finish_reason") == "content_filter":
        return "", "answer-refused"
    content = choice["message"]["content"]
    text = content.strip() if content is not None else ""
    return (text, "") if text else ("", "answer-empty")


def _address(response: httpx2.Response) -> str:
    """Where a redirect leads, without user, password and parameters."""
    try:
        target = response.url.join(response.headers.get("Location", ""))
        return f"{target.scheme}://{target.host}{f':{target.port}' if target.port else ''}{target.path}"[
            :SHOWN
        ]
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        return "an address that is none"


def _retry_after(response: httpx2.Response) -> float:
    """Seconds that the server asks for, as a number or as a date; `MAX_WAIT` at most."""
    value = response.headers.get("Retry-After", "0").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), MAX_WAIT)
