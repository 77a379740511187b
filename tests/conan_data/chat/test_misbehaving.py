"""Servers that misbehave: each of them costs a bounded time, and ends in one line or a counted reason."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conan_data.chat.answers import Answers
from conan_data.chat.client import MAX_ANSWER_BYTES, Answer, ChatClient, Question, Unanswered
from conan_data.chat.config import ServerConfig
from conan_data.errors import UserError

ROOT = Path(__file__).parents[3]
CHAT = json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": "hello"}}]}).encode()
Talk = Callable[[socket.socket], None]


class Server:
    """Reads one request a connection and then does what `talk` does."""

    def __init__(self, talk: Talk) -> None:
        self.talk, self.num_requests = talk, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(1 << 16)
            self.num_requests += 1
            self.talk(connection)
            # What was not read would make the system throw away what was sent.
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            while connection.recv(1 << 16):
                pass


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Talk], Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[Server] = []

    def make(talk: Talk) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield make
    for server in servers:
        server.listener.close()


def head(status: str = "200 OK", *lines: str, length: int | None = len(CHAT)) -> bytes:
    sizes = [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([f"HTTP/1.1 {status}", *sizes, *lines, "", ""]).encode()


def drip(first: bytes, rest: bytes) -> Talk:
    """Sends `first`, and then a byte of `rest` every 50 ms."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        for byte in rest:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return talk


def forever(first: bytes, again: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again)

    return talk


def say(*parts: bytes) -> Talk:
    return lambda connection: connection.sendall(b"".join(parts))


def silent(connection: socket.socket) -> None:
    time.sleep(60)


def client(url: str, folder: Path, **fields: object) -> ChatClient:
    values = {"base_url": url, "model": "m", "timeout": 0.6, "max_retries": 1, "backoff": 0.01, **fields}
    return ChatClient(ServerConfig(**values), Answers(folder / "answers.sqlite"))


QUESTION = Question((("user", "hello?"),), "question 1")


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (drip(head(), CHAT * 3), "no whole answer within 0.6 s"),
        (drip(b"", head("200 OK", *["X-Header: 1"] * 20)), "no whole answer within 0.6 s"),
        (drip(head("200 OK", "Transfer-Encoding: chunked", length=None), b"1\r\n{\r\n" * 99), "no whole answer"),
        (silent, "no whole answer within 0.6 s"),
        (forever(head("200 OK", length=None), b" " * 65536), f"more than {MAX_ANSWER_BYTES:,} bytes"),
        (forever(head("500 Oops", length=None), b"x" * 65536), "status 500: xxxxx"),
        (forever(b"HTTP/1.1 200 OK\r\n", b"X-Flood: 1\r\n" * 99), "RemoteProtocolError"),
        (forever(b"HTTP/1.1 200 OK\r\nX-Flood: ", b"x" * 65536), "RemoteProtocolError"),
        (forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99), "no whole answer"),
        (say(head(length=len(CHAT) + 9), CHAT), "RemoteProtocolError"),
        (say(head(length=len(CHAT) - 9), CHAT), "no chat completion"),
        (say(head("200 OK", "Content-Length: 7"), CHAT), "RemoteProtocolError"),
        (say(b"nonsense\r\n\r\n"), "RemoteProtocolError"),
        (say(), "closed the connection"),
        (say(head(), CHAT[:9]), "RemoteProtocolError"),
        (say(head(length=31), b"<html><body>\x1b[31mNo</body></html>"), "no chat completion: '<html><body>?[31mNo"),
        (say(head("200 OK", "Content-Encoding: gzip"), CHAT), "compressed ('gzip')"),
        (say(head(length=200_000), b"[" * 200_000), "no chat completion"),
        (say(head("429 Slow", length=0)), "status 429"),
    ],
    ids=[
        *("drip", "drip-head", "drip-chunks", "silent", "endless", "endless-error", "header-flood", "long-header"),
        *("continue", "too-long-length", "too-short-length", "two-lengths", "nonsense", "closes", "closes-early"),
        *("html", "gzip", "nested", "429"),
    ],
)  # fmt: skip
def test_a_fault_takes_a_bounded_time_and_ends_in_one_line(
    talk: Talk, words: str, serve: Callable[[Talk], Server], tmp_path: Path
) -> None:
    server = serve(talk)
    start = time.monotonic()
    with pytest.raises(UserError) as raised:
        list(client(server.url, tmp_path).ask([QUESTION]))
    assert time.monotonic() - start < 2 * 0.6 + 1.5
    assert words in str(raised.value) and "question 1" in str(raised.value)
    assert str(raised.value).isprintable()
    assert server.num_requests == 2
    allowed = list(client(server.url, tmp_path, max_failures=1, max_retries=0).ask([QUESTION]))
    assert allowed == [Unanswered("no-answer")]


def test_a_redirect_says_what_to_set_and_shows_no_secret(
    serve: Callable[[Talk], Server], tmp_path: Path
) -> None:
    target = "https://user:pa55word@elsewhere:8443/v2/chat/completions?key=sk-secret"
    server = serve(say(head("308 Moved", f"Location: {target}", length=0)))
    with pytest.raises(
        UserError, match=r"redirect to https://elsewhere:8443/v2/chat/completions\)"
    ) as raised:
        list(client(server.url, tmp_path).ask([QUESTION]))
    assert "pa55" not in str(raised.value) and "secret" not in str(raised.value)
    assert server.num_requests == 1
    for location in ("", "http://[", "\\\\x", "http://host:999999999/"):
        server = serve(say(head("302 Found", f"Location: {location}", length=0)))
        with pytest.raises(UserError, match="a redirect to"):
            list(client(server.url, tmp_path).ask([QUESTION]))


@pytest.mark.parametrize(
    "value", ["1e999", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "99999999999"]
)
def test_a_wait_that_a_server_asks_for_is_bounded(
    value: str, serve: Callable[[Talk], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conan_data.chat.client.MAX_WAIT", 0.3)
    server = serve(say(head("429 Slow", f"Retry-After: {value}", length=0)))
    start = time.monotonic()
    with pytest.raises(UserError, match="status 429"):
        list(client(server.url, tmp_path).ask([QUESTION]))
    assert time.monotonic() - start < 2
    assert server.num_requests == 2


def test_what_came_in_many_pieces_but_in_time_is_an_answer(
    serve: Callable[[Talk], Server], tmp_path: Path
) -> None:
    server = serve(drip(head() + CHAT[:-5], CHAT[-5:]))
    assert list(client(server.url, tmp_path, timeout=5.0).ask([QUESTION])) == [Answer("hello")]


@pytest.mark.parametrize(
    "value", ["sk-abc123XYZ", "hf_AbCdEf123456", "AKIAIOSFODNN7EXAMPLE", "gsk_0123456789abcdef"]
)
def test_a_key_given_as_the_name_of_the_variable_is_not_shown(value: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="endpoint.api_key_env") as raised:
        client("http://127.0.0.1:9/v1", tmp_path, api_key_env=value)
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pa55word@host/v1", "http://host/v1?key=pa55word", "http://host/v1#pa55word", "user:pa55word@host",
        "http://us@er:pa55word@host/v1",
    ],
)  # fmt: skip
def test_an_address_with_a_secret_is_refused_without_it(url: str) -> None:
    with pytest.raises(UserError, match="base_url") as raised:
        ServerConfig(base_url=url)
    assert "pa55" not in str(raised.value)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("talk", [silent, drip(head(), CHAT * 99)], ids=["silent", "drip"])
def test_an_interrupt_ends_64_requests_within_two_seconds(
    talk: Talk, signum: int, serve: Callable[[Talk], Server], tmp_path: Path
) -> None:
    server = serve(talk)
    command = [
        *(sys.executable, "-c", "from conan_data.cli import run; run()", "build-xlr", "--data", "sample", "--mix.de", "1"),
        *("--translator", "endpoint", "--endpoint.model", "m", "--endpoint.base-url", server.url),
        *("--endpoint.concurrency", "64", "--out", str(tmp_path / "out")),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while server.num_requests < 64 and time.monotonic() < until:
        time.sleep(0.05)
    assert server.num_requests >= 64
    start = time.monotonic()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 2, errors
    assert process.returncode == 128 + signum
    estimate, error = errors.splitlines()
    assert "requests, about" in estimate
    assert error.startswith("error: ") and "run the same command again to go on" in error
