"""A client for a model behind an OpenAI-compatible endpoint (vLLM, SGLang, Ollama, `transformers serve`, or a
provider).

A million questions meet every fault a server has, and each must cost as little as it can. Time-outs, 429, 5xx and
unreadable answers are asked again, later and later. A wrong key, model or address stops the run at once, because no
later request would fare better. What stays unanswered stops the run as well, unless `max_failures` allows it: dropping
rows because a server was down would change the result from run to run. Whatever was answered is kept (see `answers`),
and the next run goes on from there. The order of results is that of the questions, however many are in flight.

All requests run in one event loop, in a thread beside the caller's (see `session`). So `timeout` bounds a request as a
whole, from looking up the address to the last byte of the answer, and a caller that is interrupted ends all requests at
once, whatever the server does. An answer has at most `MAX_ANSWER_BYTES`, and is asked for uncompressed, for a few bytes
may unpack to any number.

The key is read from the environment and sent in one header. It is in no message: what a server says is shown
with the key blotted out.
"""

import asyncio
import contextlib
import email.utils
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import orjson

from conan_data.chat.account import Account, Estimate
from conan_data.chat.answers import Answers, Known, key_of
from conan_data.chat.config import ServerConfig
from conan_data.chat.http import Connection, Response, TransportError
from conan_data.chat.key import read_key
from conan_data.chat.session import Session
from conan_data.errors import UserError

log = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 8 << 20
"""Largest body of an answer; a thousand times what a long one takes."""
MAX_WAIT = 60.0
"""Longest wait in seconds before a retry."""
_REFUSED = (401, 403)
TRANSIENT = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are worth asking again."""
AHEAD = 4
"""Requests that are given to the loop before their turn, as a multiple of the concurrency."""
UNANSWERED = "no-answer"
SHOWN = 300
"""Characters of a server's message that are shown."""
SECONDS_TO_CHECK = 10.0
"""How long a server is waited for before the start; one that is still silent then may be slow."""

Message = tuple[str, str]
"""Role and text of a message of a conversation."""


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that the model goes on with; `name` says in messages what it is about.

    `answer_tokens`: how many the answer may have, for an estimate of the cost.
    """

    messages: tuple[Message, ...]
    name: str
    answer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, white space around it removed; not empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer, and why: a short reason to count by."""

    reason: str


Outcome = Answer | Unanswered
T = TypeVar("T")


class _TransientError(Exception):
    """Worth asking again; `retry_after`: seconds the server asks for."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _RefusedError(Exception):
    """This request will not be answered, others may be."""


class ChatClient:
    """Asks an endpoint, and remembers its answers in `answers`."""

    def __init__(self, config: ServerConfig, answers: Answers) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self.config = config
        self.account = Account(config)
        self._key = read_key(config.api_key_env)
        self._answers = answers
        self._num_failures = 0
        self._connection("")

    def estimate(self, questions: Iterable[Question]) -> Estimate:
        """Return what the questions will cost that were not answered before."""
        found = Estimate()
        seen: set[str] = set()
        for question in questions:
            if (key := self._key_of(question)) not in seen:
                seen.add(key)
                if self._answers.get(key) is None:
                    found.add((text for _, text in question.messages), question.answer_tokens)
        return found

    def check_server(self) -> None:
        """Raise `UserError` unless the server answers and lets the key in; it is asked nothing that costs."""
        asyncio.run(self._check_server())

    def ask(self, questions: Iterable[Question]) -> Generator[Outcome]:
        """One outcome a question, in their order; raises `UserError` where going on makes no sense, keeping
        what was answered.
        """
        num_slots = self.config.concurrency
        # Texts repeat in query sets; a question that is in flight already is not asked a second time.
        in_flight: dict[str, _InFlight] = {}
        window: deque[str] = deque()

        def first() -> Outcome:
            key = window.popleft()
            found = in_flight[key]
            known = session.wait_for(found.answer)
            found.num_wanted -= 1
            if not found.num_wanted:
                del in_flight[key]
            if known is None:
                return Unanswered(UNANSWERED)
            self.account.use(key, known)
            return Unanswered(known.failure) if known.failure else Answer(known.text)

        patience = self.config.timeout
        with Session(self._open_slot, self._answers, num_slots=num_slots, patience=patience) as session:
            for question in questions:
                key = self._key_of(question)
                if key not in in_flight:
                    in_flight[key] = _InFlight(session.submit(key, question))
                in_flight[key].num_wanted += 1
                window.append(key)
                if len(window) >= AHEAD * num_slots:
                    yield first()
            while window:
                yield first()

    def _key_of(self, question: Question) -> str:
        """A hash of everything that decides the answer."""
        config = self.config
        spoken = [part for message in question.messages for part in message]
        return key_of("chat", config.model, config.revision, str(config.max_tokens), *spoken)

    def _body(self, question: Question) -> bytes:
        return orjson.dumps(
            {
                "model": self.config.model,
                "messages": [{"role": role, "content": text} for role, text in question.messages],
                "temperature": 0,
                "max_tokens": self.config.max_tokens,
            }
        )

    def _connection(self, path: str) -> Connection:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        address = self.config.base_url.rstrip("/") + path
        try:
            return Connection(address, headers, max_bytes=MAX_ANSWER_BYTES)
        except ValueError as error:
            raise UserError(
                f"endpoint.base_url: {self.config.base_url!r} is not an address ({error})"
            ) from error

    def _open_slot(self, stopped: asyncio.Event) -> "_Slot":
        return _Slot(self, self._connection("/chat/completions"), stopped)

    async def _check_server(self) -> None:
        connection = self._connection("/models")
        try:
            async with asyncio.timeout(SECONDS_TO_CHECK):
                response = await self.persist(partial(self._exchange, connection, "GET"), asyncio.Event())
        except TimeoutError:
            return
        except _TransientError as error:
            raise UserError(
                f"endpoint: {self.config.base_url} does not answer ({error}); start the server, or set endpoint.base_url"
            ) from None
        finally:
            connection.close()
        if response.status in _REFUSED:
            self._check_status(response)

    async def _exchange(self, connection: Connection, method: str, content: bytes = b"") -> Response:
        try:
            async with asyncio.timeout(self.config.timeout):
                return await connection.request(method, content)
        except TimeoutError:
            raise _TransientError(f"no whole answer within {self.config.timeout:g} s") from None
        except TransportError as error:
            raise _TransientError(self._shown(str(error))) from None

    async def send(self, connection: Connection, question: Question) -> Known:
        """One request: what the model said, or the reason why that is no answer."""
        self.account.num_sent += 1
        response = await self._exchange(connection, "POST", self._body(question))
        self._check_status(response)
        try:
            known = _read_answer(orjson.loads(response.content))
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
            said = self._shown(_text(response.content))
            raise _TransientError(f"an answer that is no chat completion: {said!r}") from None
        self.account.pay(known)
        return known

    async def persist(self, send: Callable[[], Awaitable[T]], stopped: asyncio.Event) -> T:
        """Call `send` until it does not fail for a reason that passes, as often as the config allows, or `stopped`."""
        backoff, num_tried = self.config.backoff, 0
        while True:
            try:
                return await send()
            except _TransientError as error:
                if num_tried == self.config.max_retries or stopped.is_set():
                    raise
                wait = min(backoff * 2**num_tried, MAX_WAIT) + random.uniform(0, backoff / 2)
                num_tried += 1
                self.account.num_retries += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), max(wait, error.retry_after))

    def check_cost(self) -> None:
        """Raise `UserError` where the answers that came in cost more than `max_cost`."""
        limit = self.config.max_cost
        if limit is not None and self.account.cost > limit:
            raise UserError(
                f"endpoint: what was answered cost {self.account.cost:.2f}, more than endpoint.max_cost ({limit:g}); it "
                "is kept: run the same command with another limit to go on"
            )

    def _check_status(self, response: Response) -> None:
        status, where = response.status, self.config.base_url
        if status == 200:
            return
        if status in _REFUSED:
            given = (
                f"the key in ${self.config.api_key_env}"
                if self.config.api_key_env
                else "no key was sent: set endpoint.api_key_env"
            )
            raise UserError(f"endpoint: {where} refuses access ({status}); {given}")
        if 300 <= status < 400:
            raise UserError(
                f"endpoint: {where} is not the right address ({status}, a redirect to {self._redirect(response)}); set "
                "endpoint.base_url to the address that answers"
            )
        said = self._shown(_text(response.content))
        if status == 404 or status == 405:
            raise UserError(
                f"endpoint: {where} has no model {self.config.model!r}, or is not the right address ({status}: {said})"
            )
        if status in TRANSIENT or status >= 500:
            raise _TransientError(f"status {status}: {said}", retry_after=_retry_after(response))
        raise _RefusedError(f"status {status}: {said}")

    def count_failure(self, question: Question, reason: str) -> None:
        """Raises `UserError` when more requests failed for good than are allowed."""
        self._num_failures += 1
        log.warning("%s: %s", question.name, reason)
        if self._num_failures > self.config.max_failures:
            raise UserError(
                f"endpoint: {self.config.base_url} gives no usable answer to {question.name} "
                f"({reason}); what was answered is kept: run the same command again to go on, "
                f"or allow it with endpoint.max_failures (now {self.config.max_failures})"
            )

    def _redirect(self, response: Response) -> str:
        """Where a redirect leads, without user, password and parameters."""
        try:
            target = urlsplit(urljoin(self.config.base_url + "/", response.headers.get("location", "")))
            port = f":{target.port}" if target.port else ""
        except (UnicodeError, ValueError):
            return "an address that is none"
        return f"{target.scheme}://{target.hostname}{port}{target.path}"[:SHOWN]

    def _shown(self, text: str) -> str:
        """The beginning of a server's message on one line, without the key and what a terminal would obey."""
        line = " ".join((text.replace(self._key, "***") if self._key else text)[:SHOWN].split())
        return "".join(char if char.isprintable() else "?" for char in line)


@dataclass
class _InFlight:
    """A question that is asked, and how many wait for its answer."""

    answer: "Future[Known | None]"
    num_wanted: int = 0


class _Slot:
    """One request at a time, sent again as long as it is worth it."""

    def __init__(self, chat: ChatClient, connection: Connection, stopped: asyncio.Event) -> None:
        self._chat, self._connection, self._stopped = chat, connection, stopped

    async def ask(self, question: Question) -> Known | None:
        self._chat.check_cost()
        try:
            return await self._chat.persist(
                partial(self._chat.send, self._connection, question), self._stopped
            )
        except (_TransientError, _RefusedError) as error:
            if not self._stopped.is_set():
                self._chat.count_failure(question, str(error))
            return None

    def close(self) -> None:
        self._connection.close()


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _read_answer(answer: Any) -> Known:
    choice = answer["choices"][0]
    usage = answer.get("usage") or {}
    tokens = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    if choice.get("finish_reason") == "length":
        return Known("", "answer-cut-off", *tokens)
    if choice.get("finish_reason") == "content_filter":
        return Known("", "answer-refused", *tokens)
    content = choice["message"]["content"]
    text = content.strip() if content is not None else ""
    return Known(text, "" if text else "answer-empty", *tokens)


def _count(value: object) -> int | None:
    """A number of tokens; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else None


def _retry_after(response: Response) -> float:
    """Seconds that the server asks for, as a number or as a date; `MAX_WAIT` at most."""
    value = response.headers.get("retry-after", "0").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), MAX_WAIT)
