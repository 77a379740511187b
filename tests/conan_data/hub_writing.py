"""A stand-in for the Hub that is written to: what `huggingface_hub` asks for to create a repository, upload large files
by LFS, commit, list and fetch them. It fails on demand (`faults`), and remembers every upload and commit.

Xet is not spoken: a client with it must be told to leave it (`HF_HUB_DISABLE_XET=1`), as for any server without.
"""

import base64
import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.conan_data.hub_server import HubServer, _blob

LARGE = (".parquet", ".png", ".bin", ".safetensors")


@dataclass
class Repository:
    """Files by path of every commit, the newest last."""

    repo_type: str
    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    @property
    def head(self) -> tuple[str, dict[str, bytes]]:
        return self.commits[-1]

    def commit(self, files: dict[str, bytes]) -> str:
        name = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits.append((name, files))
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.head
        return next((commit for commit in self.commits if commit[0] == revision), None)


class WritableHub(HubServer):
    """`repos[type, name]`; `tokens` maps each valid one to "write" or "read"."""

    def __init__(self, tokens: dict[str, str]) -> None:
        super().__init__()
        self.tokens = tokens
        self.repos: dict[tuple[str, str], Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.faults: list[tuple[str, Callable[[BaseHTTPRequestHandler], bool]]] = []
        """(part of "METHOD path", what to do): once each; True where it has answered."""

    def create(
        self, name: str, files: dict[str, bytes], *, repo_type: str = "dataset", private: bool = True
    ) -> Repository:
        made = self.repos[repo_type, name] = Repository(repo_type, private)
        made.commit({".gitattributes": b"", **files})
        return made

    def fail(self, where: str, status: int, message: str = "", *, times: int = 1, code: str = "") -> None:
        def answer(handler: BaseHTTPRequestHandler) -> bool:
            headers = {"X-Error-Message": message} if message else {}
            self._read(handler)
            self._send(handler, status, b"{}", headers | ({"X-Error-Code": code} if code else {}))
            return True

        self.faults += [(where, answer)] * times

    def cut(self, where: str, *, times: int = 1) -> None:
        """Close the connection in the middle of a request."""

        def answer(handler: BaseHTTPRequestHandler) -> bool:
            hang_up(handler)
            return True

        self.faults += [(where, answer)] * times

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        path = unquote(address.path)
        line = f"{handler.command} {path}"
        self.requests.append(line)
        for number, (where, act) in enumerate(self.faults):
            if where in line:
                del self.faults[number]
                if act(handler):
                    return
                break
        if path.startswith("/lfs/"):  # The store of large files takes signed addresses, not tokens.
            self._store(handler, path.removeprefix("/lfs/"))
            return
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            self._read(handler)
            message = "Invalid credentials in Authorization header"
            self._send(handler, 401, b"{}", {"X-Error-Message": message})
        elif handler.command in ("POST", "PUT") and self.tokens[token] == "read" and "paths-info" not in path:
            self._read(handler)
            self._send(handler, 403, b"{}", {"X-Error-Message": "you don't have the rights required"})
        else:
            self._route(handler, path, parse_qs(address.query))

    def _route(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]]) -> None:
        if path == "/api/repos/create":
            self._create(handler)
        elif path == "/api/validate-yaml":
            front = json.loads(self._read(handler))["content"].split("---\n")[1]
            assert isinstance(yaml.safe_load(front), dict)
            self._json(handler, {"errors": [], "warnings": []})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(handler)
        elif path.startswith("/api/"):
            kind, owner, name, *rest = path.removeprefix("/api/").split("/")
            self._repository(handler, kind.removesuffix("s"), f"{owner}/{name}", rest)
        else:
            kind = "dataset" if path.startswith("/datasets/") else "model"
            owner, name, *rest = path.removeprefix("/datasets").strip("/").split("/")
            self._repository(handler, kind, f"{owner}/{name}", rest)

    def _repository(self, handler: BaseHTTPRequestHandler, kind: str, name: str, rest: list[str]) -> None:
        found = self.repos.get((kind, name))
        if found is None:
            self._read(handler)
            self._send(handler, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        action, revision = rest[0] if rest else "revision", rest[1] if len(rest) > 1 else "main"
        at = found.at(revision)
        inner = "/".join(rest[2:])
        if at is None:
            self._read(handler)
            self._send(handler, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif action == "preupload":
            self._preupload(handler, at[1])
        elif action == "commit":
            self._commit(handler, found, name)
        elif action == "paths-info":
            asked = parse_qs(self._read(handler).decode())["paths"]
            self._json(
                handler, [entry for path in asked for entry in _entries(at[1], path, is_listing=False)]
            )
        elif action == "tree":
            self._json(handler, _entries(at[1], inner, is_recursive="recursive=true" in handler.path.lower()))
        elif action == "resolve":
            self._resolve(handler, at, inner)
        else:
            siblings = [{"rfilename": file} for file in at[1]]
            about = {"id": name, "sha": at[0], "siblings": siblings, "private": found.private, "tags": []}
            self._json(handler, about)

    def _create(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(self._read(handler))
        key = asked["type"], f"{asked['organization']}/{asked['name']}"
        if key in self.repos:
            self._send(handler, 409, b"{}", {"X-Error-Message": "You already created this repo"})
            return
        self.create(key[1], {}, repo_type=key[0], private=asked.get("visibility") == "private")
        self._json(handler, {"url": f"{self.endpoint}/{key[1]}", "name": key[1]})

    def _preupload(self, handler: BaseHTTPRequestHandler, files: dict[str, bytes]) -> None:
        answer = []
        for file in json.loads(self._read(handler))["files"]:
            is_large = file["path"].endswith(LARGE)
            there = files.get(file["path"])
            oid = None if there is None else hashlib.sha256(there).hexdigest() if is_large else _blob(there)
            mode = "lfs" if is_large else "regular"
            answer.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json(handler, {"files": answer})

    def _batch(self, handler: BaseHTTPRequestHandler) -> None:
        objects = []
        for entry in json.loads(self._read(handler))["objects"]:
            if entry["oid"] not in self.stored:
                entry["actions"] = {
                    "upload": {"href": f"{self.endpoint}/lfs/{entry['oid']}?X-Amz-Signature=abc"}
                }
            objects.append(entry)
        self._json(handler, {"transfer": "basic", "objects": objects})

    def _store(self, handler: BaseHTTPRequestHandler, oid: str) -> None:
        content = self._read(handler)
        if hashlib.sha256(content).hexdigest() != oid:
            self._send(handler, 400, b"{}", {})
            return
        self.stored[oid] = content
        self.uploads.append(oid)
        self._send(handler, 200, b"", {"ETag": oid})

    def _commit(self, handler: BaseHTTPRequestHandler, found: Repository, name: str) -> None:
        lines = [json.loads(line) for line in self._read(handler).splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent not in (None, found.head[0]):
            message = "A commit has happened since. Please refresh and try again."
            self._send(handler, 412, b"{}", {"X-Error-Message": message})
            return
        files = dict(found.head[1])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            else:
                assert line["key"] == "deletedFile"
                del files[value["path"]]
        commit = found.commit(files)
        self._json(handler, {"commitOid": commit, "commitUrl": f"{self.endpoint}/{name}/commit/{commit}"})

    def _resolve(self, handler: BaseHTTPRequestHandler, at: tuple[str, dict[str, bytes]], path: str) -> None:
        if path not in at[1]:
            self._send(handler, 404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        content = at[1][path]
        digest = hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else _blob(content)
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": at[0], "Accept-Ranges": "bytes"}
        if handler.command == "GET":
            self.fetched.append(path)
        status, asked = 200, handler.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = int(last) + 1 if last else len(content)
            headers["Content-Range"] = f"bytes {first}-{min(end, len(content)) - 1}/{len(content)}"
            status, content = 206, content[int(first) : end]
        self._send(handler, status, content, headers)

    def _read(self, handler: BaseHTTPRequestHandler) -> bytes:
        """The body of a request, of a known length or in chunks."""
        if "chunked" not in handler.headers.get("Transfer-Encoding", ""):
            return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        body = b""
        while size := int(handler.rfile.readline(), 16):
            body += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
        return body


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """End the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _entries(
    files: dict[str, bytes], folder: str, *, is_recursive: bool = False, is_listing: bool = True
) -> list[dict[str, Any]]:
    """What a listing says of the files, and of the folders, in a folder; or of a path itself."""
    found: dict[str, dict[str, Any]] = {}
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    for path, content in files.items():
        if not is_listing:
            if path == folder:
                found[path] = _entry(path, content)
            elif path.startswith(prefix):
                found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            continue
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if is_recursive else min(2, len(parts))):
            inner = prefix + "/".join(parts[:depth])
            found[inner] = {"type": "directory", "path": inner, "oid": "0" * 40, "size": 0}
        if is_recursive or len(parts) == 1:
            found[path] = _entry(path, content)
    return [found[path] for path in sorted(found)]


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry
