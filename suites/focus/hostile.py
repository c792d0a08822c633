"""What a hostile client does to a server, over the wire: each assault ends by itself and tells what it met."""

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import grpc
import grpc.aio

from fullspan.clients import Job

ANSWER_S: Final = 20.0
"""How long a server may take to answer or to close; a hostile client waits no longer."""
_BODY: Final = 10_000_000
_MASK: Final = b"\0\0\0\0"


@dataclass(slots=True)
class Target:
    """An address, and a living job of the server where an assault needs one; `met` counts what came back."""

    host: str
    port: int
    job: Job | None = None
    met: Counter[str] = field(default_factory=Counter)


Assault = Callable[[Target], Awaitable[None]]


async def connections_left_open(target: Target) -> None:
    """Open thousands of connections, say nothing, and leave them: each is closed by the server, sooner or later."""
    writers = []
    for _ in range(30):
        opened = await asyncio.gather(*(_open(target) for _ in range(100)))
        writers += [writer for reader, writer in filter(None, opened)]
    target.met["opened"] += len(writers)
    for writer in writers:
        writer.transport.abort()


async def heads_that_drip(target: Target) -> None:
    """Send the head of a request byte by byte, over many connections, until the server has enough."""
    await asyncio.gather(*(_drip(target) for _ in range(200)))


async def bodies_that_drip(target: Target) -> None:
    """Promise a body and send a byte of it now and then, until the server has enough."""
    head = _head("POST", "/configure", "Content-Type: application/json", "Content-Length: 60000")
    await asyncio.gather(*(_drip(target, head) for _ in range(200)))


async def large_bodies(target: Target) -> None:
    """Send 10 MB of JSON, said before and not, to routes that take a body and others."""
    for _ in range(5):
        for path in ("/configure", "/recordings_in_time_range", "/config/a", "/ack"):
            for how in (f"Content-Length: {_BODY}", "Transfer-Encoding: chunked"):
                await _send_much(target, _head("POST", path, "Content-Type: application/json", how))


async def malformed_bodies(target: Target) -> None:
    """Send what is no JSON, or far too deep, wide or large a number, again and again over one connection."""
    bodies = [b"{", b"\xff" * 1000, b"[" * 60_000, b'{"view_type":' + b"9" * 60_000 + b"}", os.urandom(60_000)]
    bodies += [json.dumps({"view_type": "1" * 60_000}).encode(), b"{" + b'"a":1,' * 9000 + b'"a":1}']
    for body in bodies * 30:
        await _ask(target, "POST", "/configure", "Content-Type: application/json", body=body)


async def requests_that_are_none(target: Target) -> None:
    """Talk what is no HTTP."""
    for _ in range(100):
        for sent in (os.urandom(300) + b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01" + bytes(200) + b"\r\n\r\n"):
            await _say(target, sent)


async def answers_never_read(target: Target) -> None:
    """Ask for much over many connections and read nothing of it."""
    request = _head("GET", "/openapi.json") * 50
    await asyncio.gather(*(_ask_and_never_read(target, request) for _ in range(50)))


async def websockets_that_talk(target: Target) -> None:
    """Watch the job, flood the server with pings and messages, and read nothing."""
    await asyncio.gather(*(_talk(target) for _ in range(20)))


async def websockets_to_nothing(target: Target) -> None:
    """Watch what does not exist, by the hundred."""
    nowhere = ["/ws/jobs/0-999999/streams/0", "/ws/jobs/x/streams/0", "/ws/a"]
    paths = [*nowhere, f"/ws/jobs/{_job(target).job_id}/streams/99"]
    for _ in range(15):
        await asyncio.gather(*(_say(target, _upgrade(target, path)) for path in paths for _ in range(5)))


async def garbage_to_the_stream_port(target: Target) -> None:
    """Send the job's gRPC port bytes that are no HTTP/2, messages that are no protobuf, and streams it has not."""
    at = _stream_port(target)
    for _ in range(50):
        await _say(at, os.urandom(1000))
        await _say(at, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(1000))
    address = f"{at.host}:{at.port}"
    async with grpc.aio.insecure_channel(address) as channel:
        for method in ("StreamData", "Nothing", "../StreamData"):
            call = channel.unary_stream(f"/pandadatastream.DataStreamService/{method}")
            for sent in (b"\xff" * 100, b"\x08", os.urandom(200), b"\x08\xff\xff\xff\xff\x0f", b"\0" * 100_000) * 10:
                try:
                    async with asyncio.timeout(ANSWER_S):
                        await anext(aiter(call(sent)))
                    target.met["rows"] += 1
                except grpc.aio.AioRpcError as error:
                    target.met[error.code().name] += 1


async def connections_to_the_stream_port(target: Target) -> None:
    """Open hundreds of connections to the job's gRPC port, say nothing, and leave them."""
    at = _stream_port(target)
    opened = [await _open(at) for _ in range(500)]
    target.met["opened"] += sum(it is not None for it in opened)
    for pair in filter(None, opened):
        pair[1].transport.abort()


ASSAULTS: Final[tuple[Assault, ...]] = (
    connections_left_open,
    heads_that_drip,
    bodies_that_drip,
    large_bodies,
    malformed_bodies,
    requests_that_are_none,
    answers_never_read,
    websockets_that_talk,
    websockets_to_nothing,
    garbage_to_the_stream_port,
    connections_to_the_stream_port,
)


async def answer(target: Target, sent: bytes) -> tuple[int, bytes, bytes]:
    """Send bytes as they are; return status, head (small letters) and body of the first answer."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(ANSWER_S):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            return int(head.split()[1]), head, await _body(reader, head)
    finally:
        writer.transport.abort()


def _job(target: Target) -> Job:
    assert target.job is not None, "this assault needs a job"
    return target.job


def _stream_port(target: Target) -> Target:
    """Return the gRPC port of the target's job as a target."""
    job = _job(target)
    return Target(job.host, job.stream_port, job, target.met)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
    return await reader.readexactly(int(lines.get(b"content-length", b"0")))


def _head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode("latin-1")


def _upgrade(target: Target, path: str) -> bytes:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return _head("GET", path, "Upgrade: websocket", "Connection: Upgrade", key, "Sec-WebSocket-Version: 13")


async def _open(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        return await asyncio.open_connection(target.host, target.port)
    except OSError as error:
        target.met[type(error).__name__] += 1
        return None


async def _ask(target: Target, method: str, path: str, *lines: str, body: bytes) -> None:
    status, _, _ = await answer(target, _head(method, path, *lines, f"Content-Length: {len(body)}") + body)
    target.met[str(status)] += 1


async def _say(target: Target, sent: bytes) -> None:
    """Send bytes and read until the server has said all, or long enough."""
    pair = await _open(target)
    if pair is None:
        return
    reader, writer = pair
    writer.write(sent)
    target.met[await _word(reader)] += 1
    writer.transport.abort()


async def _word(reader: asyncio.StreamReader) -> str:
    """Return the status of what a server says next, `closed` when it says nothing more, or `silence`."""
    try:
        async with asyncio.timeout(ANSWER_S):
            line = await reader.readline()
    except TimeoutError:
        return "silence"
    except (OSError, ValueError):
        return "closed"
    return line.split()[1].decode("ascii", "replace") if line.startswith(b"HTTP/1.1 ") else "closed"


async def _drip(target: Target, head: bytes = b"GET /ack HTTP/1.1\r\nX-A: ") -> None:
    pair = await _open(target)
    if pair is None:
        return
    reader, writer = pair
    writer.write(head)
    word = asyncio.create_task(_word(reader))
    while not word.done():
        with contextlib.suppress(OSError):
            writer.write(b"a")
        await asyncio.wait({word}, timeout=0.5)  # the pace of the dripping
    target.met[word.result()] += 1
    writer.transport.abort()


async def _send_much(target: Target, head: bytes) -> None:
    pair = await _open(target)
    if pair is None:
        return
    reader, writer = pair
    chunk = b" " * 100_000
    framed = b"%x\r\n%s\r\n" % (len(chunk), chunk) if b"chunked" in head else chunk
    writer.write(head)
    word = asyncio.create_task(_word(reader))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            for _ in range(_BODY // len(chunk)):
                writer.write(framed)
                await writer.drain()
    target.met[await word] += 1
    writer.transport.abort()


async def _ask_and_never_read(target: Target, request: bytes) -> None:
    pair = await _open(target)
    if pair is None:
        return
    _, writer = pair
    writer.transport.pause_reading()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(3):
            for _ in range(100):
                writer.write(request)
                await writer.drain()
    target.met["asked"] += 1
    writer.transport.abort()


async def _talk(target: Target) -> None:
    pair = await _open(target)
    if pair is None:
        return
    reader, writer = pair
    writer.write(_upgrade(target, f"/ws/jobs/{_job(target).job_id}/streams/0"))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()
            for _ in range(50):
                writer.write((b"\x89\x80" + _MASK) * 1000 + b"\x82\xfe\x75\x30" + _MASK + bytes(30_000))
                await writer.drain()
    target.met["closed" if writer.transport.is_closing() else "stalled"] += 1
    writer.transport.abort()
