"""HTTP/1.1 to one server, one connection for each request that is in flight.

The pool of a general client looks at every connection for every request. With 64 in flight httpx2 takes 1.7 ms of
processor time a request, which bounds a run at 500 requests a second; this takes 0.3 ms. Parsing is left to h11, which
httpx2 uses as well; proxies are taken from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`), certificates are
those that httpx2 trusts. No redirect is followed, and a body is read as it comes: `Accept-Encoding` is `identity`.

Nothing here ends by itself when a server is silent: whoever asks sets the time (`asyncio.timeout`).
"""

import asyncio
import base64
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, quote, unquote, urlsplit

import h11

_PORTS = {"http": 80, "https": 443}
_MAX_HEAD = 100 << 10
_READ, _READS_AT_ONCE = 1 << 16, 8


class TransportError(Exception):
    """There is no whole answer of HTTP; the message says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """A connection to the server of `url`, opened by the first request, and again after whatever went wrong."""

    def __init__(self, url: str, headers: Mapping[str, str], *, max_bytes: int) -> None:
        """`headers` go out with every request; an answer has at most `max_bytes`. Raises `ValueError` for what is no
        address.
        """
        self._url = urlsplit(url)
        self._port = self._url.port or _PORTS[self._url.scheme]
        netloc = self._url.netloc.encode("idna").decode()
        self._headers = [("Host", netloc), ("Accept-Encoding", "identity"), *headers.items()]
        self._max_bytes = max_bytes
        self._proxy = _proxy_of(self._url)
        self._target = quote(self._url.path or "/", safe="/%:;=+$,!~*'()&")
        if self._proxy and self._url.scheme == "http":
            self._target = f"http://{netloc}{self._target}"
            self._headers += _authorization(self._proxy)
        self._state: h11.Connection | None = None
        self._has_begun, self._num_reads = False, 0
        """Whether something of an answer came."""

    async def request(self, method: str, content: bytes = b"") -> Response:
        """Send one request and return its answer. Raises `TransportError`."""
        try:
            while True:
                is_new = not self._is_open()
                if is_new:
                    await self._open()
                try:
                    return await self._exchange(method, content)
                except (OSError, EOFError):
                    # A server may close an idle connection at any time: nothing was answered, and a new one is tried.
                    if is_new or self._has_begun:
                        raise
                    self.close()
        except (OSError, EOFError, ssl.SSLError, h11.ProtocolError) as error:
            self.close()
            raise TransportError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._state is not None:
            self._state = None
            self._writer.close()

    def _is_open(self) -> bool:
        state = self._state
        if (
            state is not None
            and state.our_state is state.their_state is h11.DONE
            and not self._reader.at_eof()
        ):
            state.start_next_cycle()
            return True
        self.close()
        return False

    async def _open(self) -> None:
        host, port, encrypted = self._url.hostname or "", self._port, self._url.scheme == "https"
        if self._proxy is None:
            context = _certificates() if encrypted else None
            self._reader, self._writer = await asyncio.open_connection(host, port, ssl=context)
        else:
            near = self._proxy
            self._reader, self._writer = await asyncio.open_connection(
                near.hostname,
                near.port or _PORTS[near.scheme],
                ssl=_certificates() if near.scheme == "https" else None,
            )
            if encrypted:
                await self._tunnel(near, f"{host}:{port}")
                await self._writer.start_tls(_certificates(), server_hostname=host)
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)

    async def _tunnel(self, proxy: SplitResult, target: str) -> None:
        self._state, self._has_begun = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD), False
        headers = [("Host", target), *_authorization(proxy)]
        self._writer.write(
            self._state.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b""
        )
        head = await self._event()
        if not isinstance(head, h11.Response) or not 200 <= head.status_code < 300:
            raise ConnectionRefusedError(f"the proxy {proxy.hostname} does not let {target} through")

    async def _exchange(self, method: str, content: bytes) -> Response:
        state = self._state
        assert state is not None
        self._has_begun, self._num_reads = False, 0
        headers = [*self._headers, ("Content-Length", str(len(content)))]
        parts = [
            state.send(h11.Request(method=method, target=self._target, headers=headers)),
            state.send(h11.Data(data=content)),
            state.send(h11.EndOfMessage()),
        ]
        self._writer.write(b"".join(part for part in parts if part))
        await self._writer.drain()
        head = await self._event()
        while isinstance(head, h11.InformationalResponse):
            head = await self._event()
        assert isinstance(head, h11.Response)
        headers_read = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        return Response(head.status_code, headers_read, await self._body(head.status_code, headers_read))

    async def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        """The body; of an answer that is none only the beginning, for a message."""
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            self.close()
            raise TransportError(f"an answer that is compressed ({encoding[:20]!r}), which was not asked for")
        content = bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise EOFError("the server closed the connection within an answer")
            content += event.data
            if status != 200 and len(content) > _READ:
                self.close()
                break
            if len(content) > self._max_bytes:
                self.close()
                raise TransportError(f"an answer of more than {self._max_bytes:,} bytes")
        return bytes(content)

    async def _event(self) -> object:
        state = self._state
        assert state is not None
        while (event := state.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_READ)
            self._num_reads += 1
            if self._num_reads > _READS_AT_ONCE:
                # What is there already is read without a pause, so a flood would keep all others waiting, timers too.
                await asyncio.sleep(0)
            if not data and not self._has_begun:
                raise EOFError("the server closed the connection before it answered")
            self._has_begun = True
            state.receive_data(data)
        return event


def _proxy_of(url: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for an address."""
    address = urllib.request.getproxies().get(url.scheme)
    if not address or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme not in _PORTS or not proxy.hostname:
        raise ValueError(
            f"{url.scheme.upper()}_PROXY names a {proxy.scheme} proxy; use an http one, or set NO_PROXY"
        )
    return proxy


def _authorization(proxy: SplitResult) -> list[tuple[str, str]]:
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")]


@cache
def _certificates() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context()
