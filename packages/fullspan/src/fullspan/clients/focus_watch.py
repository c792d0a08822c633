"""A job's WebSocket stream, as a page reads it: rows, and frames that tell the stream's state."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import anyio
import websockets.asyncio.client
import websockets.sync.client
from google.protobuf.message import DecodeError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fullspan.clients.errors import ClientError, NothingCame, NotUnderstood, Refused, StreamLost, Unreachable
from fullspan.clients.pandadatastream_pb2 import DataStream

_OPTIONS: Final[Mapping[str, Any]] = {
    "compression": None,
    "proxy": None,
    "max_size": 50_000_000,
    "open_timeout": 10.0,
    "close_timeout": 1.0,
}
"""How both clients connect; times in s, sizes in bytes."""
_COMPLETE: Final = 1000


@dataclass(frozen=True, slots=True)
class StateFrame:
    """What the server says about a stream: `filling`, `gap`, `dropped`, `display`, `complete` or `error`."""

    kind: str
    attributes: Mapping[str, Any]


class _Frames:
    """What both readers have in common: what a frame means, and what the end of the connection."""

    def __init__(self, name: str, silence_s: float) -> None:
        self.name = name
        self.silence_s = silence_s
        self._why = ""

    def read(self, frame: str | bytes) -> DataStream | StateFrame:
        try:
            if isinstance(frame, bytes):
                return DataStream.FromString(frame)
            attributes = dict(json.loads(frame))
            state = StateFrame(str(attributes.pop("type")), attributes)
        except (DecodeError, KeyError, TypeError, ValueError) as error:
            raise NotUnderstood(f"a frame of {self.name} is not what the contract says: {error!r}") from error
        if state.kind == "error":
            self._why = str(attributes.get("error", ""))
        return state

    def end(self, closed: ConnectionClosed) -> StreamLost | None:
        """Say why the connection is closed; None when the job was complete."""
        if closed.rcvd is None:
            return StreamLost(self.name, "1006", self._why or "the connection was lost")
        if closed.rcvd.code == _COMPLETE:
            return None
        return StreamLost(self.name, str(int(closed.rcvd.code)), self._why or closed.rcvd.reason)

    def silent(self) -> NothingCame:
        return NothingCame(f"{self.name} gave nothing for {self.silence_s:g} s; GET /jobs tells how its job is.")


class AsyncWatch:
    """An asynchronous iterator over a stream's messages and state frames, which ends when its job is complete.

    Raises `StreamLost` when it ends otherwise, and `NothingCame` after a silence of its `silence_s` seconds.
    """

    def __init__(self, connection: websockets.asyncio.client.ClientConnection, frames: _Frames) -> None:
        self._connection = connection
        self._frames = frames

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DataStream | StateFrame:
        try:
            with anyio.fail_after(self._frames.silence_s):
                frame = await self._connection.recv()
        except TimeoutError:
            raise self._frames.silent() from None
        except ConnectionClosed as closed:
            raise self._frames.end(closed) or StopAsyncIteration from None
        return self._frames.read(frame)


class Watch:
    """The same iterator for code that blocks."""

    def __init__(self, connection: websockets.sync.client.ClientConnection, frames: _Frames) -> None:
        self._connection = connection
        self._frames = frames

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> DataStream | StateFrame:
        try:
            frame = self._connection.recv(timeout=self._frames.silence_s)
        except TimeoutError:
            raise self._frames.silent() from None
        except ConnectionClosed as closed:
            raise self._frames.end(closed) or StopIteration from None
        return self._frames.read(frame)


@asynccontextmanager
async def watch_async(
    base_url: str, job_id: str, stream: int, silence_s: float, headers: Mapping[str, str]
) -> AsyncIterator[AsyncWatch]:
    """Open a stream's WebSocket; leaving the context closes it."""
    url = _url(base_url, job_id, stream)
    try:
        connection = await websockets.asyncio.client.connect(url, additional_headers=headers, **_OPTIONS)
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise _not_open(url, error) from error
    try:
        yield AsyncWatch(connection, _Frames(_name(job_id, stream), silence_s))
    finally:
        # It takes as long as its options say at most, also when who watches was cancelled.
        with anyio.CancelScope(shield=True):
            await connection.close()


@contextmanager
def watch(base_url: str, job_id: str, stream: int, silence_s: float, headers: Mapping[str, str]) -> Iterator[Watch]:
    """Open a stream's WebSocket; leaving the context closes it."""
    url = _url(base_url, job_id, stream)
    try:
        connection = websockets.sync.client.connect(url, additional_headers=headers, **_OPTIONS)
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise _not_open(url, error) from error
    with connection:
        yield Watch(connection, _Frames(_name(job_id, stream), silence_s))


def _url(base_url: str, job_id: str, stream: int) -> str:
    parts = urlsplit(base_url)
    path = f"{parts.path.rstrip('/')}/ws/jobs/{quote(job_id, safe='')}/streams/{stream}"
    return urlunsplit(("wss" if parts.scheme == "https" else "ws", parts.netloc, path, "", ""))


def _name(job_id: str, stream: int) -> str:
    return f"the WebSocket of job {job_id}, stream {stream},"


def _not_open(url: str, error: Exception) -> ClientError:
    path = urlsplit(url).path
    if not isinstance(error, InvalidStatus):
        return Unreachable(f"the WebSocket {path} could not be opened ({type(error).__name__}: {error})")
    try:
        body = json.loads(error.response.body or b"")
    except ValueError:
        body = None
    return Refused(f"WS {path}", error.response.status_code, body if isinstance(body, dict) else {}, None)
