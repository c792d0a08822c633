"""The orchestrator of one machine: a client of the analyzer's HTTP interface on its UNIX socket."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from focus_server.contract import (
    IDEMPOTENCY_KEY,
    VIEWER,
    AnalyzerFigures,
    AnalyzerStatus,
    ChannelRange,
    ConfigureAnswer,
    ConfigureRequest,
    Displays,
    ErrorBody,
    JobList,
    JobState,
    LiveMetadata,
    Refusal,
)
from focus_server.recordings import RecordingEntry

Answer = TypeVar("Answer", bound=BaseModel)

_SAFE_TO_REPEAT: Final = frozenset({"GET", "DELETE"})
_NONE: Final[Mapping[str, str]] = {}
_KEPT_S: Final = 2.0
"""Less than the 5 s after which the analyzer closes an idle connection, perhaps just as a request goes out on it."""
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes; the kernel takes 107, and a longer path is reached through a handle on its folder."""


class LocalAnalyzer:
    """The analyzer of this machine. One that is down is a 503, and the next call finds it when it is back.

    `timeout_s` bounds every call but `configure`, which has `configure_timeout_s`.
    """

    def __init__(self, socket_path: Path, timeout_s: float = 2.0, configure_timeout_s: float = 5.0) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._configure_timeout_s = configure_timeout_s
        self._folder: int | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections to the analyzer."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)

    async def status(self) -> AnalyzerStatus:
        """Tell how the analyzer and what it depends on are doing."""
        return await self._ask("GET", "/status", AnalyzerStatus)

    async def figures(self) -> AnalyzerFigures:
        """Tell what the analyzer has done since it started."""
        return await self._ask("GET", "/figures", AnalyzerFigures)

    async def live_metadata(self) -> LiveMetadata:
        """Describe the live fibre."""
        return await self._ask("GET", "/live_metadata", LiveMetadata)

    async def channels(self) -> ChannelRange:
        """Give the channel numbers of the fibre."""
        return await self._ask("GET", "/channels", ChannelRange)

    async def configure(
        self,
        request: ConfigureRequest,
        key: str | None = None,
        recordings: Sequence[RecordingEntry] | None = None,
        viewer: str | None = None,
    ) -> ConfigureAnswer:
        """Make a job, of recordings or live. A second call makes a second job, unless both carry the same key."""
        given = {IDEMPOTENCY_KEY: key, VIEWER: viewer}
        headers = {name: value for name, value in given.items() if value is not None}
        if recordings is None:
            return await self._ask("POST", "/jobs", ConfigureAnswer, request.wire(), headers)
        order = {"request": request.wire(), "recordings": [entry.model_dump(mode="json") for entry in recordings]}
        return await self._ask("POST", "/history", ConfigureAnswer, order, headers)

    async def jobs(self, key: str | None = None) -> JobList:
        """List the jobs that live; with a key only those that were made with it, the newest last."""
        return await self._ask("GET", "/jobs" if key is None else f"/jobs?key={quote(key, safe='')}", JobList)

    async def job(self, job_id: str) -> ConfigureAnswer:
        """Give what `configure` answered for this job."""
        return await self._ask("GET", f"/jobs/{job_id}", ConfigureAnswer)

    async def state(self, job_id: str) -> JobState:
        """Tell how a job is doing."""
        return await self._ask("GET", f"/jobs/{job_id}/state", JobState)

    async def displays(self, after: int) -> Displays:
        """Give the displays that have changed after a revision; the analyzer waits a moment for one."""
        return await self._ask("GET", f"/displays?after={after}", Displays)

    async def cancel(self, job_id: str) -> None:
        """End a job, its streams and its port."""
        await self._call("DELETE", f"/jobs/{job_id}")

    async def _ask(
        self, method: str, path: str, model: type[Answer], body: object = None, headers: Mapping[str, str] = _NONE
    ) -> Answer:
        content = await self._call(method, path, body, headers)
        try:
            return model.model_validate_json(content)
        except ValidationError:
            raise _not_understood() from None

    async def _call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] = _NONE) -> bytes:
        try:
            return await self._send(method, path, body, headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, _NoFolderError):
            if self._folder is not None:  # the folder behind the handle may have been replaced
                await self.aclose()
            raise Refusal(
                503, "The analyzer is not running; try again when it is.", "analyzer: no connection", retry_after=1
            ) from None
        except TimeoutError:
            raise _no_answer(method) from None
        except aiohttp.ClientError:
            raise _cut_off(method) from None

    async def _send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        timeout_s = self._configure_timeout_s if method == "POST" else self._timeout_s
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(1.0, timeout_s))
        try:
            return await self._exchange(method, path, body, headers, timeout)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError) as error:
            # A kept connection ends when the analyzer restarts; a new one tells whether it is there.
            unsafe = method not in _SAFE_TO_REPEAT and IDEMPOTENCY_KEY not in headers
            if unsafe or isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await self._exchange(method, path, body, headers, timeout)

    async def _exchange(
        self, method: str, path: str, body: object, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> bytes:
        url = URL(f"http://analyzer{path}", encoded=True)
        session = self._connections()
        asked = session.request(method, url, json=body, headers=headers, timeout=timeout, allow_redirects=False)
        async with asked as response:
            content = await response.read()
        if response.status >= 400:
            raise _refusal_of(response, content)
        return content

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.UnixConnector(self._address(), limit=100, keepalive_timeout=_KEPT_S)
            # Cookies have no place between two programs of one machine.
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _address(self) -> str:
        if len(os.fsencode(self._path)) <= _LONGEST_SOCKET_PATH:
            return str(self._path)
        try:
            self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _NoFolderError from error
        return f"/proc/self/fd/{self._folder}/{self._path.name}"


class _NoFolderError(Exception):
    """The folder of the analyzer's socket is not there."""


def _refusal_of(response: aiohttp.ClientResponse, content: bytes) -> Refusal:
    try:
        body = ErrorBody.model_validate_json(content)
    except ValidationError:
        return _not_understood()
    retry_after = response.headers.get("Retry-After", "")
    return Refusal(response.status, body.error, body.detail, int(retry_after) if retry_after.isdigit() else None)


def _not_understood() -> Refusal:
    return Refusal(
        502,
        "The analyzer gave an answer that this server does not understand; both must be of the same version.",
        "analyzer: unexpected answer",
    )


def _no_answer(method: str) -> Refusal:
    unknown = " Whether a job was made is unknown; GET /jobs tells." if method == "POST" else ""
    return Refusal(
        503, f"The analyzer did not answer in time; try again.{unknown}", "analyzer: time-out", retry_after=2
    )


def _cut_off(method: str) -> Refusal:
    unknown = " Whether a job was made is unknown; GET /jobs tells." if method == "POST" else ""
    return Refusal(
        503, f"The analyzer stopped before it answered; try again.{unknown}", "analyzer: connection lost", retry_after=1
    )
