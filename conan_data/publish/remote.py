"""A repository on the Hub that is written to: one commit that holds all, or nothing.

Large files are uploaded first, by their hashes, so what arrived once is never sent again; then one commit makes them,
the small files and the removals visible together. It names the commit that it was made on top of, so that nothing that
somebody else pushed in between is lost, and so that a commit whose answer was lost is not made twice.

Every fault becomes one line (`UserError`), without the token and without addresses that hold one.
"""

import json
import logging
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from conan_data import hub
from conan_data.errors import UserError
from conan_data.manifest import MANIFEST
from conan_data.publish.config import Refusal
from conan_data.publish.plan import Plan
from conan_data.redact import redact

log = logging.getLogger(__name__)
WAITS = (2.0, 10.0, 30.0)
"""Seconds before the commit is tried again, where the Hub is ill."""
_TYPES = {"dataset": "data set", "model": "model", "space": "space"}
_KEPT = (".gitattributes", "README.md")
"""What a new repository may hold already."""
_RERUN = "run the same command again: what is uploaded is not sent twice"


@dataclass(frozen=True)
class Head:
    """What a repository holds now."""

    commit: str
    is_private: bool


class Remote:
    """The repository `name`; raises `UserError` where no token of the Hub is on this machine."""

    def __init__(self, name: str, repo_type: str) -> None:
        token = get_token()
        if token is None:
            raise UserError("no token of the Hub on this machine: hf auth login, or set HF_TOKEN")
        self.name = name
        self.repo_type = repo_type
        self.token = token
        self._api = HfApi(endpoint=hub.HUB.endpoint, token=token)

    @property
    def endpoint(self) -> str:
        """Address of the Hub."""
        return self._api.endpoint

    @property
    def page(self) -> str:
        """Address of the repository."""
        return f"{self.endpoint}/{'datasets/' if self.repo_type == 'dataset' else ''}{self.name}"

    def head(self) -> Head | None:
        """Return the newest commit; None where there is no such repository."""
        found = self._info(self.repo_type)
        return found and Head(found.sha, bool(found.private))

    def create(self, *, public: bool, allow: Collection[Refusal]) -> Head:
        """Create the repository. Raises `UserError` where one of another kind has its name, unless told."""
        if "same-name" not in allow:
            for other in _TYPES.keys() - {self.repo_type}:
                if self._info(other) is not None:
                    raise UserError(
                        f"{self.name} is a {_TYPES[other]} on the Hub, and this is a {_TYPES[self.repo_type]}; choose "
                        "another name, or --allow same-name"
                    )
        with self._told():
            self._api.create_repo(self.name, repo_type=self.repo_type, private=not public)
        head = self.head()
        if head is None:
            raise UserError(f"{self.name}: was created, and is not there; {_RERUN}")
        return head

    def files(self, head: Head) -> dict[str, RepoFile]:
        """Return the files of a commit by path."""
        with self._told():
            tree = self._api.list_repo_tree(
                self.name, repo_type=self.repo_type, revision=head.commit, recursive=True
            )
            return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def former(self, head: Head, files: Collection[str]) -> dict[str, Any] | None:
        """Return the manifest that an earlier push left; None where there is none of ours."""
        if MANIFEST not in files:
            return None
        with self._told(), tempfile.TemporaryDirectory() as folder:
            file = self._api.hf_hub_download(
                self.name, MANIFEST, repo_type=self.repo_type, revision=head.commit, local_dir=folder
            )
            content = Path(file).read_bytes()
        try:
            found = json.loads(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) and "job_hash" in found else None

    def replaced(
        self, plan: Plan, head: Head, files: Collection[str], allow: Collection[Refusal]
    ) -> list[str]:
        """Return the files of an earlier push that are no part of this one, which the commit removes.

        Raises `UserError` where the repository holds something else, unless told.
        """
        former = self.former(head, files)
        if former is None or former.get("kind") != plan.kind:
            others = sorted(set(files) - set(_KEPT))
            if others and "other-contents" not in allow:
                what = f"a {former['kind']}" if former else f"files of another origin ({others[0]})"
                raise UserError(
                    f"{self.name} holds {what}, and this is a {plan.kind}; choose another name, or --allow other-contents"
                )
            if former is None:
                return []
        own = {entry["path"] for entry in former["files"]}
        return sorted((own & set(files)) - {upload.path for upload in plan.uploads})

    def commit(self, plan: Plan, head: Head, *, removed: Sequence[str], message: str) -> str:
        """Upload and commit; return the hash of the commit. Tries again where the Hub is ill for a moment."""
        operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            *(CommitOperationAdd(upload.path, upload.content) for upload in plan.uploads),
            *(CommitOperationDelete(path) for path in removed),
        ]
        for wait in (*WAITS, None):
            try:
                with self._told():
                    return self._api.create_commit(
                        self.name,
                        operations,
                        repo_type=self.repo_type,
                        parent_commit=head.commit,
                        commit_message=message,
                    ).oid
            except _TemporaryError as error:
                if (now := self._arrived(plan)) is not None:
                    return now
                if wait is None:
                    raise
                log.warning("%s; trying again in %.0f s", error, wait)
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _arrived(self, plan: Plan) -> str | None:
        """Return the newest commit where it holds all of `plan`: then only the Hub's answer was lost."""
        try:
            head = self.head()
            return head.commit if head and holds(self.files(head), plan) else None
        except UserError:
            return None

    def _info(self, repo_type: str) -> Any:
        try:
            with self._told():
                return self._api.repo_info(self.name, repo_type=repo_type)
        except _MissingError:
            return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (
            HfHubHTTPError,
            httpx2.HTTPError,
            OfflineModeIsEnabled,
            LocalEntryNotFoundError,
            HFValidationError,
            RuntimeError,
            ValueError,
        ) as error:
            raise self._refused(error) from error

    def _refused(self, error: BaseException) -> UserError:
        """Return the one line for a fault of the Hub, or of the way to it."""
        if (
            isinstance(error, RuntimeError) and error.__cause__ is not None
        ):  # An upload of one of several files.
            return self._refused(error.__cause__)
        if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
            return UserError(f"{self.name}: the Hub is switched off here (HF_HUB_OFFLINE); nothing was sent")
        if isinstance(error, HfHubHTTPError | httpx2.HTTPStatusError):
            return self._answered(error)
        if isinstance(error, httpx2.HTTPError | OSError):
            return _TemporaryError(
                f"{self.name}: the Hub cannot be reached ({type(error).__name__}); {_RERUN}"
            )
        return UserError(f"{self.name}: {redact(' '.join(str(error).split()))[:300]}")

    def _answered(self, error: Any) -> UserError:
        status = error.response.status_code
        said = redact(str(getattr(error, "server_message", "") or "").strip())[:200]
        why = f" ({said})" if said else ""
        if status == 401:
            return UserError("the Hub does not know the token: it is wrong or expired; hf auth login")
        if isinstance(error, RepositoryNotFoundError):
            return _MissingError(
                f"{self.name}: no such {_TYPES[self.repo_type]} on the Hub, or not for this token"
            )
        if status == 403:
            return UserError(
                f"{self.name}: the token may not write there{why}; take one with the right to write: hf auth login"
            )
        if status in (409, 412):
            return UserError(
                f"{self.name}: somebody else changed it in between{why}; look, and run the same command again"
            )
        if status == 429 or status >= 500:
            return _TemporaryError(f"{self.name}: the Hub answers {status}{why}; {_RERUN}")
        return UserError(f"{self.name}: the Hub refuses it ({status}){why}")


class _TemporaryError(UserError):
    """A fault that may be over the next time."""


class _MissingError(UserError):
    """There is no such repository."""


def holds(files: dict[str, RepoFile], plan: Plan) -> bool:
    """Return whether the files of a commit are those of a plan, by their hashes."""
    for upload in plan.uploads:
        there = files.get(upload.path)
        if there is None or there.size != upload.size:
            return False
        if (there.lfs.sha256 if there.lfs else there.blob_id) != (
            upload.hash if there.lfs else upload.git_hash
        ):
            return False
    return True
