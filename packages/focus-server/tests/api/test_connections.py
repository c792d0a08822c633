"""Connections that are left open, fall silent, talk nonsense or take nothing, and those that must not suffer by it."""

import asyncio
import contextlib
import json
import socket

import anyio
import pytest
from structlog.testing import capture_logs

from focus_server.api.connections import ConnectionLimits, Connections, Phase
from focus_server.api.server import Server, listen
from focus_server.settings import ServeSettings

pytestmark = pytest.mark.anyio

WAIT_S = 60
ACK = b"GET /ack HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /ws/jobs/0-1/streams/0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextlib.asynccontextmanager
async def running(folder, send_bytes=None, **settings):
    """A server as `serve` runs it, in this loop; gives it and its port."""
    made = ServeSettings(analyzer_socket=folder / "analyzer.sock", **settings)
    with listen("127.0.0.1", 0, no_auth=False) as listener:
        if send_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
        server = Server(made, listener)
        server.capture_signals = contextlib.nullcontext
        task = asyncio.create_task(server.serve(sockets=[listener]))
        port = listener.getsockname()[1]
        try:
            with anyio.fail_after(WAIT_S):
                while not server.started:
                    assert not task.done(), "the server ended before it was ready"
                    await asyncio.sleep(0.01)
            yield server, port
        finally:
            server.should_exit = True
            await task


@pytest.fixture(scope="module")
async def served(anyio_backend, folder):
    async with running(folder) as (server, port):
        yield server, port


@pytest.fixture
def hasty(served, monkeypatch):
    """Let the server's deadlines be short."""
    server, _ = served

    def limits(**changes):
        monkeypatch.setattr(server.connections, "limits", ConnectionLimits(look_s=0.02, **changes))

    return limits


OPENED = []
"""The writers of the connections of the test that runs."""


@pytest.fixture(autouse=True)
async def hang_up(anyio_backend):
    """Close what a test has opened, however it ends: what it left open would be a later test's failure."""
    yield
    while OPENED:
        OPENED.pop().close()


async def dial(port):
    """Open a connection that is closed with the test; gives its reader and its writer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    OPENED.append(writer)
    return reader, writer


async def ask(port, request, until=b"}"):
    """Send bytes and read an answer's status, and its JSON body, and whether the server closed afterwards."""
    reader, writer = await dial(port)
    writer.write(request)
    with anyio.fail_after(WAIT_S):
        raw = await reader.read()
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), head.lower()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET /ack\r\n\r\n\r\n",
        b"GET  /ack HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /ack HTTP/1.1\r\nHost: localhost\r\nBad Header: 1\r\n\r\n",
        b"GET /ack HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\x00\r\n\r\n",
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nContent-Length: \xb2\r\n\r\n",
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
        b"GET /ack HTTP/1.1\r\n" + b"X-Long: " + b"a" * 70_000,
    ],
)
async def test_what_is_no_request_is_refused_in_the_one_form(served, nonsense):
    status, body, head = await ask(served[1], nonsense)
    assert status in {400, 501}
    assert set(body) == {"error", "detail"}
    assert b"content-type: application/json" in head
    assert b"connection: close" in head


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400), (b"Sec-WebSocket-Version: 13\r\n", 426)],
)
async def test_a_broken_handshake_is_refused_in_the_one_form(served, line, status):
    assert line in UPGRADE
    answered, body, head = await ask(served[1], UPGRADE.replace(line, b""))
    assert answered in {400, status}
    assert set(body) == {"error", "detail"}
    assert b"content-type: application/json" in head


async def test_a_websocket_where_there_is_none_is_refused_in_the_one_form(served):
    for path in (b"/ack", b"/ws/jobs/0-1", b"/liveView/x"):
        status, body, _ = await ask(served[1], UPGRADE.replace(b"/ws/jobs/0-1/streams/0", path))
        assert (status, set(body)) == (403, {"error", "detail"})
        assert "no WebSocket at this path" in body["error"]


async def test_a_chunk_that_breaks_off_the_body_is_refused(served):
    head = (
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    status, body, _ = await ask(served[1], head)
    assert (status, body["detail"]) == (400, "malformed request")


async def test_a_silent_connection_is_closed_and_a_slow_one_told_so(served, hasty):
    hasty(head_s=0.5)
    reader, writer = await dial(served[1])
    with anyio.fail_after(WAIT_S):
        assert await reader.read() == b""
    writer.close()
    status, body, _ = await ask(served[1], b"GET /ack HTTP/1.1\r\nHost: loc")
    assert status == 408
    assert "did not arrive in time" in body["error"]


async def test_dripping_bytes_do_not_renew_the_deadline(served, hasty):
    hasty(head_s=0.3)
    reader, writer = await dial(served[1])
    ended = asyncio.create_task(end_of(reader))
    with anyio.fail_after(WAIT_S):
        while not ended.done():
            writer.write(b"a")
            await asyncio.wait({ended}, timeout=0.02)
    writer.close()
    assert (await ended)[:12] in {b"HTTP/1.1 408", b""}  # nothing when the last byte crossed the end


async def test_the_second_request_of_a_connection_has_the_same_deadline(served, hasty):
    reader, writer = await dial(served[1])
    writer.write(ACK)
    with anyio.fail_after(WAIT_S):
        await reader.readuntil(b"{}")
        hasty(head_s=0.2)
        writer.write(ACK[:20])
        late = await reader.read()
    writer.close()
    assert late.startswith(b"HTTP/1.1 408")


async def test_an_idle_connection_is_kept_and_answered_again(served, hasty):
    reader, writer = await dial(served[1])
    with anyio.fail_after(WAIT_S):
        for _ in range(3):
            writer.write(ACK)
            await reader.readuntil(b"{}")
            hasty(head_s=0.05)  # not before: a connection that was just opened has it, too
            await asyncio.sleep(0.15)  # audit: sleep because this is three times the deadline for a head that was begun
    writer.close()


async def test_pipelined_requests_are_all_answered(served):
    reader, writer = await dial(served[1])
    writer.write(ACK * 20)
    with anyio.fail_after(WAIT_S):
        for _ in range(20):
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_new_connections_displace_silent_ones_first_then_idle_ones(folder):
    async with running(folder, max_connections=8) as (server, port):
        asked = [await dial(port) for _ in range(4)]
        with anyio.fail_after(WAIT_S):
            for reader, writer in asked:
                writer.write(ACK)
                await reader.readuntil(b"{}")
            silent = [await dial(port) for _ in range(20)]
            ends = [asyncio.create_task(end_of(reader)) for reader, _ in silent]
            assert await asyncio.gather(*ends[:16]) == [b""] * 16
            for reader, writer in asked:  # they had asked something, so they are still there
                writer.write(ACK)
                await reader.readuntil(b"{}")
            assert server.connections.ended["displaced"] == 16
            for task in ends:
                task.cancel()
            for _, writer in (*asked, *silent):
                writer.close()


async def end_of(reader):
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def phases(server):
    return [kept.phase for kept in server.connections._kept.values()]


async def test_when_all_are_busy_a_new_one_is_told_to_come_again(folder):
    head = (
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    async with running(folder, max_connections=8) as (server, port):
        busy = [await dial(port) for _ in range(8)]
        for _, writer in busy:
            writer.write(head)
        with anyio.fail_after(WAIT_S):
            while len(phases(server)) < 8 or set(phases(server)) != {Phase.BUSY}:  # noqa: ASYNC110 - bytes on their way
                await asyncio.sleep(0.01)
        status, body, answered = await ask(port, b"")
        assert (status, body["detail"]) == (503, "connections")
        assert b"retry-after: 1" in answered
        for _, writer in busy:
            writer.close()


async def test_an_answer_that_is_not_taken_is_given_up(folder, monkeypatch):
    loop = asyncio.get_running_loop()
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20
    async with running(folder, send_bytes=4096) as (server, port):
        monkeypatch.setattr(server.connections, "limits", ConnectionLimits(look_s=0.02, busy_s=0.2))
        with socket.socket() as client, anyio.fail_after(WAIT_S), contextlib.suppress(ConnectionError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            while not server.connections.ended["answer not taken"]:  # asked for, never read
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await loop.sock_sendall(client, request)
        assert server.connections.ended["answer not taken"] == 1


async def test_a_viewer_that_talks_too_much_is_closed(analyzer, served, monkeypatch):
    monkeypatch.setattr("focus_server.api.http._TALK_BYTES", 2000)
    analyzer.add_job()
    reader, writer = await dial(served[1])
    writer.write(UPGRADE)
    with anyio.fail_after(WAIT_S):
        await reader.readuntil(b"\r\n\r\n")
        writer.write((b"\x89\x84" + bytes(4) + b"ping") * 40)  # fewer than may be sent: each is answered
        await reader.readexactly(2 + 4)
        with contextlib.suppress(ConnectionError):
            writer.write((b"\x82\xfe\x03\xe8" + bytes(4) + bytes(1000)) * 10)
            await writer.drain()
        said = await end_of(reader)
    writer.close()
    assert b"\x88" in said
    assert (1008).to_bytes(2, "big") + b"viewers have nothing to send" in said


async def test_messages_of_a_viewer_are_thrown_away(analyzer, served):
    analyzer.add_job()
    server, port = served
    reader, writer = await dial(port)
    writer.write(UPGRADE)
    with anyio.fail_after(WAIT_S):
        await reader.readuntil(b"\r\n\r\n")
        for kind in (b"\x81", b"\x82", b"\x01", b"\x00", b"\x00", b"\x80"):  # whole ones, then one in four pieces
            writer.write(kind + b"\x84" + bytes(4) + b"\xff\xfe{}")
        writer.write(b"\x89\x84" + bytes(4) + b"last")
        await reader.readuntil(b"last")
    viewer = next(it.connection for it in server.connections._kept.values() if it.phase is Phase.VIEWER)
    assert viewer.queue.empty()
    assert viewer.frames == []
    writer.close()


async def test_a_viewer_beyond_the_limit_is_told_so(analyzer, folder):
    analyzer.add_job()
    async with running(folder, max_viewers=2) as (_, port):
        first = [await dial(port) for _ in range(2)]
        with anyio.fail_after(WAIT_S):
            for reader, writer in first:
                writer.write(UPGRADE)
                await reader.readuntil(b"\r\n\r\n")
            await analyzer.wait_for_streams()
            reader, writer = await dial(port)
            writer.write(UPGRADE)
            told = await reader.readuntil(b"too many viewers")
        assert b"All 2 viewers" in told
        assert (1013).to_bytes(2, "big") in told
        for _, open_writer in (*first, (reader, writer)):
            open_writer.close()


class Told:
    """A connection that notes what is done with it."""

    def __init__(self):
        self.transport = self
        self.closing = self.aborted = self.given_up = False

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = self.aborted = True

    def give_up(self):
        self.given_up = self.closing = True


def test_what_does_not_take_the_last_words_is_cut():
    now = [0.0]
    connections = Connections(ConnectionLimits(goodbye_s=5), clock=lambda: now[0])
    kept = Told()
    connections.opened(kept)
    kept.closing = True
    for moment, cut in ((1, False), (5, False), (6.5, True)):
        now[0] = moment
        connections.look()
        assert kept.aborted is cut
    connections.lost(kept)
    assert len(connections) == 0


def test_viewers_are_neither_late_nor_displaced_nor_counted():
    now = [0.0]
    connections = Connections(ConnectionLimits(most=2, most_viewers=3, head_s=5), clock=lambda: now[0])
    viewers = [Told() for _ in range(3)]
    for viewer in viewers:
        assert connections.opened(viewer)
        assert connections.watched(viewer)
    others = [Told() for _ in range(5)]
    assert all(connections.opened(it) for it in others)
    assert [it.aborted for it in others] == [True, True, True, False, False]
    now[0] = 1000
    connections.look()
    assert [it.given_up for it in others] == [False, False, False, True, True]
    assert not any(viewer.closing for viewer in viewers)
    one_more = Told()
    connections.opened(one_more)
    assert not connections.watched(one_more)


async def test_the_log_is_told_in_sum():
    connections = Connections(ConnectionLimits(look_s=0.01, tell_s=0.05))
    connections.ended["malformed"] = 1000
    with capture_logs() as log:
        watch = asyncio.create_task(connections.watch())
        with anyio.fail_after(WAIT_S):
            while connections.ended:  # noqa: ASYNC110 - the watch has nothing to say it by
                await asyncio.sleep(0.01)
        watch.cancel()
    assert [(line["event"], line["reasons"]) for line in log] == [("connections.ended", {"malformed": 1000})]


def test_the_server_asks_for_the_files_that_it_needs(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    with listen("127.0.0.1", 0, no_auth=False) as listener:
        limits = Server(ServeSettings(analyzer_socket=tmp_path / "x"), listener).connections.limits
    assert (limits.most, limits.most_viewers, asked) == (1000, 600, [(1984, 4096)])
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    with listen("127.0.0.1", 0, no_auth=False) as listener:
        limits = Server(ServeSettings(analyzer_socket=tmp_path / "x"), listener).connections.limits
    assert (limits.most, limits.most_viewers) == (400, 240)
