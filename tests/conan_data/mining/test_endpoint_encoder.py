"""A server that embeds, and one that misbehaves."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.mining.endpoint_config import EmbeddingServerConfig
from conan_data.mining.endpoint_encoder import EndpointEncoder
from conan_data.mining.hash_encoder import HashEncoder

SECRET = "sk-very-secret-0123456789"
TEXTS = [f"text number {n}" for n in range(10)]


class Server:
    """Embeds with a `HashEncoder`, twice as long as a unit vector; `faults` come first, one a request."""

    def __init__(self) -> None:
        self.faults: list[Callable[[list], tuple[int, object]]] = []
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(asked)
                outer.keys.append(self.headers.get("Authorization"))
                vectors = 2 * HashEncoder(dimension=16).encode(asked["input"], kind="query")
                rows = [{"index": n, "embedding": row.tolist()} for n, row in enumerate(vectors)][::-1]
                status, body = outer.faults.pop(0)(rows) if outer.faults else (200, {"data": rows})
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def encoder(self, **options: object) -> EndpointEncoder:
        url = f"http://127.0.0.1:{self.server.server_port}/v1"
        return EndpointEncoder(
            EmbeddingServerConfig(base_url=url, model="m", backoff=0.0, batch_size=3, **options),  # type: ignore[arg-type]
            prompts={"query": "query: "},
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()


def test_vectors_are_of_their_texts_and_of_unit_length(server: Server) -> None:
    found = server.encoder().encode(TEXTS, kind="query")
    expected = HashEncoder(dimension=16).encode([f"query: {text}" for text in TEXTS], kind="query")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(len(asked["input"]) for asked in server.asked) == 3 and {
        asked["model"] for asked in server.asked
    } == {"m"}
    plain = server.encoder().encode(TEXTS, kind="document")
    np.testing.assert_allclose(plain, HashEncoder(dimension=16).encode(TEXTS, kind="query"), atol=1e-6)
    assert server.encoder().encode([], kind="query").shape == (0, 16)


FAULTS = {
    "too many requests": lambda rows: (429, {"error": "slow down"}),
    "a fault of the server": lambda rows: (503, b"<html>"),
    "no JSON": lambda rows: (200, b"{"),
    "a vector too few": lambda rows: (200, {"data": rows[1:]}),
    "one index twice": lambda rows: (200, {"data": [{**row, "index": 0} for row in rows]}),
    "a number that is none": lambda rows: (200, {"data": [{**row, "embedding": [float("nan")] * 16} for row in rows]}),
    "a zero vector": lambda rows: (200, {"data": [{**row, "embedding": [0.0] * 16} for row in rows]}),
    "ragged vectors": lambda rows: (200, {"data": [{**row, "embedding": [1.0] * (5 + row["index"])} for row in [*rows, *rows]]}),
    "another form": lambda rows: (200, [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_asked_again(fault: str, server: Server) -> None:
    encoder = server.encoder(concurrency=1)
    assert encoder.dimension == 16
    server.faults += [FAULTS[fault]] * 3
    np.testing.assert_allclose(
        encoder.encode(TEXTS[:3], kind="document"),
        HashEncoder(dimension=16).encode(TEXTS[:3], kind="query"),
        atol=1e-6,
    )
    assert len(server.asked) == 5


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_pass_ends_the_run_in_a_line(fault: str, server: Server) -> None:
    encoder = server.encoder(max_retries=1)
    assert encoder.dimension == 16
    server.faults += [FAULTS[fault]] * 50
    with pytest.raises(UserError, match="endpoint: http://127.0.0.1:.* gives no usable answer") as error:
        encoder.encode(TEXTS, kind="document")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses access"),
        (403, "refuses access"),
        (404, "does not embed with 'm'"),
        (302, "does not embed"),
    ],
)
def test_what_will_not_pass_is_asked_once_and_no_key_is_shown(
    status: int, words: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    server.faults += [lambda rows: (status, f"no: {SECRET}".encode())] * 20
    with pytest.raises(UserError, match=words) as error:
        server.encoder(api_key_env="SOME_KEY").encode(TEXTS[:3], kind="query")
    assert SECRET not in str(error.value) and server.keys == [f"Bearer {SECRET}"]


def test_vectors_of_another_length_end_the_run(server: Server) -> None:
    encoder = server.encoder()
    assert encoder.dimension == 16
    server.faults.append(lambda rows: (200, {"data": [{**row, "embedding": [1.0] * 8} for row in rows]}))
    with pytest.raises(UserError, match="vectors of 8 and of 16 numbers"):
        encoder.encode(TEXTS[:3], kind="query")


def test_a_server_that_is_not_there(server: Server) -> None:
    encoder = server.encoder(max_retries=1)
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(UserError, match="gives no usable answer"):
        encoder.encode(TEXTS, kind="query")
