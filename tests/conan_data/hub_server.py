"""A stand-in for the Hub on the loopback interface: data sets and models out of memory, for reading (`hub_writing` also
takes them).
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class HubServer:
    """Serves `repositories[name][revision] = (commit, {path: bytes})`; used as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, tuple[str, dict[str, bytes]]]] = {}
        self.requests: list[str] = []
        self.fetched: list[str] = []
        self.failure: tuple[int, str] | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                server.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.endpoint = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=10)

    def publish(self, name: str, files: dict[str, bytes], *, branch: str = "main") -> str:
        """A new commit of a data set or model; returns its hash."""
        files = {".gitattributes": b"", **files}
        commit = hashlib.sha1(repr((name, sorted(files.items()))).encode()).hexdigest()
        versions = self.repositories.setdefault(name, {})
        versions[branch] = versions[commit] = (commit, files)
        return commit

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        self.requests.append(f"{handler.command} {path}")
        if self.failure is not None:
            self._send(handler, self.failure[0], b"{}", {"X-Error-Code": self.failure[1]})
            return
        parts = path.removeprefix("/api").removeprefix("/datasets").removeprefix("/models").split("/")[1:]
        name, action = "/".join(parts[:2]), parts[2] if len(parts) > 2 else "revision"
        revision = parts[3] if len(parts) > 3 else "main"
        if name not in self.repositories:
            self._send(handler, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in self.repositories[name]:
            self._send(handler, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._send_found(handler, name, action, self.repositories[name][revision], "/".join(parts[4:]))

    def _send_found(
        self,
        handler: BaseHTTPRequestHandler,
        name: str,
        action: str,
        version: tuple[str, dict[str, bytes]],
        path: str,
    ) -> None:
        commit, files = version
        if action == "revision":
            siblings = [{"rfilename": file} for file in files]
            self._json(
                handler, {"id": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
            )
        elif action == "tree":
            entries = [
                {"type": "file", "path": file, "size": len(content), "oid": _blob(content)}
                for file, content in files.items()
            ]
            self._json(handler, entries)
        elif action == "resolve" and path in files:
            content = files[path]
            headers = {"ETag": f'"{_blob(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            status, asked = 200, handler.headers.get("Range")
            if asked and (start := int(asked.removeprefix("bytes=").split("-")[0])):
                status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
                content = content[start:]
            if handler.command == "GET":
                self.fetched.append(path)
            self._send(handler, status, content, headers)
        else:
            self._send(handler, 404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _json(self, handler: BaseHTTPRequestHandler, value: Any) -> None:
        self._send(handler, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]
    ) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header("Connection", "close")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.close_connection = True
        if handler.command != "HEAD":
            handler.wfile.write(content)


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
