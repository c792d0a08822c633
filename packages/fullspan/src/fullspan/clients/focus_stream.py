"""A job's gRPC stream: as the bare call, and as messages with a deadline on silence, for both kinds of code."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol, Self, cast

import anyio
import grpc
import grpc.aio

from fullspan.clients.errors import ClientError, NothingCame, StreamLost
from fullspan.clients.pandadatastream_pb2 import DataStream, StreamDataRequest

SILENCE_S: Final = 120.0
"""A large window of a slow fibre takes more than a minute until its first row."""
_METHOD: Final = "/pandadatastream.DataStreamService/StreamData"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 50_000_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

StreamCall = grpc.aio.UnaryStreamCall[StreamDataRequest, DataStream]


@asynccontextmanager
async def open_stream(host: str, port: int, stream_id: int = 0) -> AsyncIterator[StreamCall]:
    """Open a stream; iterate over what it gives for messages. A lost stream raises `grpc.aio.AioRpcError`."""
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=_OPTIONS) as channel:
        method = channel.unary_stream(
            _METHOD, request_serializer=StreamDataRequest.SerializeToString, response_deserializer=DataStream.FromString
        )
        call = method(StreamDataRequest(stream_id=stream_id))
        try:
            yield call
        finally:
            call.cancel()


class AsyncStreamReader:
    """An asynchronous iterator over a stream's messages, which ends when its job ends well.

    Raises `StreamLost` when it ends otherwise, and `NothingCame` after a silence of `silence_s` seconds.
    """

    def __init__(self, call: StreamCall, name: str, silence_s: float) -> None:
        self._call = call
        self._name = name
        self._silence_s = silence_s

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DataStream:
        try:
            with anyio.fail_after(self._silence_s):
                message = await self._call.read()
        except TimeoutError:
            raise _silent(self._name, self._silence_s) from None
        except grpc.aio.AioRpcError as error:
            raise StreamLost(self._name, error.code().name, error.details() or "") from error
        if isinstance(message, DataStream):
            return message
        raise StopAsyncIteration


@asynccontextmanager
async def read_stream_async(
    host: str, port: int, stream_id: int = 0, *, silence_s: float = SILENCE_S
) -> AsyncIterator[AsyncStreamReader]:
    """Open a stream as an iterator over its messages; leaving the context closes it."""
    async with open_stream(host, port, stream_id) as call:
        yield AsyncStreamReader(call, _name(host, port, stream_id), silence_s)


class _Call(Protocol):
    """A stream's call of the library that blocks, whose types leave these out."""

    def __next__(self) -> DataStream: ...
    def cancel(self) -> bool: ...
    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...


class StreamReader:
    """The same iterator for code that blocks."""

    def __init__(self, call: _Call, name: str, silence_s: float) -> None:
        self._call = call
        self._name = name
        self._silence_s = silence_s
        self._since_s: float | None = None
        self._was_silent = False
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._end_silence, name=f"watch {name}", daemon=True)
        self._watch.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> DataStream:
        self._since_s = time.monotonic()
        try:
            return next(self._call)
        except grpc.RpcError:
            raise self._lost() from None
        finally:
            self._since_s = None

    def close(self) -> None:
        """Close the stream."""
        self._over.set()
        self._call.cancel()
        self._watch.join()

    def _end_silence(self) -> None:
        """Cancel the call when somebody has waited for it for too long: a blocking read has no deadline of its own."""
        left_s = self._silence_s
        while not self._over.wait(left_s):
            since_s = self._since_s
            left_s = self._silence_s if since_s is None else since_s + self._silence_s - time.monotonic()
            if left_s <= 0:
                self._was_silent = True
                self._call.cancel()
                return

    def _lost(self) -> ClientError:
        if self._was_silent:
            return _silent(self._name, self._silence_s)
        return StreamLost(self._name, self._call.code().name, self._call.details() or "")


@contextmanager
def read_stream(host: str, port: int, stream_id: int = 0, *, silence_s: float = SILENCE_S) -> Iterator[StreamReader]:
    """Open a stream as an iterator over its messages; leaving the context closes it."""
    with grpc.insecure_channel(f"{host}:{port}", options=_OPTIONS) as channel:
        method = channel.unary_stream(
            _METHOD, request_serializer=StreamDataRequest.SerializeToString, response_deserializer=DataStream.FromString
        )
        call = cast(_Call, method(StreamDataRequest(stream_id=stream_id)))
        reader = StreamReader(call, _name(host, port, stream_id), silence_s)
        try:
            yield reader
        finally:
            reader.close()


def _name(host: str, port: int, stream_id: int) -> str:
    return f"the gRPC stream {stream_id} at {host}:{port}"


def _silent(name: str, silence_s: float) -> NothingCame:
    return NothingCame(f"{name} gave nothing for {silence_s:g} s; GET /jobs tells how its job is.")
