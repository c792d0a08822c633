"""A clear link passes everything unchanged, in both directions, at any speed of either side."""

import asyncio
import hashlib
import os
import random
import select
import socket

import pytest

from fullspan.errors import StackError
from fullspan.stack.proxy import LinkProxy

pytestmark = pytest.mark.anyio
MIB = 1 << 20


async def test_bytes_pass_both_ways_and_are_counted(link):
    client, upstream = await link.connect()
    await client.send(b"ping")
    assert await upstream.receive(4) == b"ping"
    await upstream.send(b"pong pong")
    assert await client.receive(9) == b"pong pong"
    counters = link.proxy.counters()
    assert (counters.connections, counters.active) == (1, 1)
    assert (counters.bytes_up, counters.bytes_down) == (4, 9)
    assert (counters.delayed_bytes, counters.stalled_bytes, counters.blackholed_bytes, counters.resets) == (0, 0, 0, 0)


async def test_large_transfers_in_both_directions_at_once_are_unchanged(link):
    client, upstream = await link.connect()
    up, down = random.Random(1).randbytes(24 * MIB), random.Random(2).randbytes(17 * MIB + 13)

    async def send(peer, data):
        await peer.send(data)
        peer.half_close()

    got = await asyncio.gather(client.until_end(), upstream.until_end(), send(client, up), send(upstream, down))
    assert hashlib.sha256(got[0]).digest() == hashlib.sha256(down).digest()
    assert hashlib.sha256(got[1]).digest() == hashlib.sha256(up).digest()
    counters = await link.settled(lambda counters: counters.active == 0)
    assert (counters.bytes_up, counters.bytes_down) == (len(up), len(down))


async def test_a_slow_reader_slows_the_writer_down(link):
    """What is taken from a writer whose reader sleeps is bounded by socket buffers, and nothing of it is lost."""
    client, upstream = await link.connect()
    piece, taken = os.urandom(MIB), 0
    digest = hashlib.sha256()
    for _ in range(256):
        try:
            async with asyncio.timeout(0.3):
                count = await asyncio.get_running_loop().run_in_executor(None, _send_some, client.sock, piece)
        except TimeoutError:
            break
        if count == 0:
            break
        digest.update(piece[:count])
        taken += count
    assert MIB // 4 < taken < 48 * MIB
    assert link.proxy.counters().bytes_up < taken
    got = await upstream.receive(taken)
    assert hashlib.sha256(got).digest() == digest.digest()
    await client.send(b"end")
    assert await upstream.receive(3) == b"end"


def _send_some(sock, piece):
    """What a socket takes within 0.2 s."""
    _, writable, _ = select.select([], [sock], [], 0.2)
    return sock.send(piece) if writable else 0


async def test_many_connections_do_not_mix(link):
    async def talk(index):
        client, upstream = pairs[index]
        text = f"connection {index} ".encode() * 50
        await asyncio.gather(client.send(text), upstream.send(text[::-1]))
        return await upstream.receive(len(text)) == text and await client.receive(len(text)) == text[::-1]

    # Accepted in order of connection, because each is connected before the next.
    pairs = [await link.connect() for _ in range(200)]
    assert await asyncio.gather(*map(talk, range(200))) == [True] * 200
    assert link.proxy.counters().active == 200
    for client, upstream in pairs:
        client.close()
        upstream.close()
    assert (await link.settled(lambda counters: counters.active == 0)).connections == 200


async def test_tamper_alters_one_direction_with_a_state_per_connection(linked):
    def numbering():
        seen = 0

        def tamper(data):
            nonlocal seen
            seen += 1
            return b"%d:" % seen + data.upper()

        return tamper

    async with linked(tamper_down=numbering) as link:
        for _ in range(2):
            client, upstream = await link.connect()
            await client.send(b"untouched")
            assert await upstream.receive(9) == b"untouched"
            await upstream.send(b"abc")
            assert await client.receive(5) == b"1:ABC"
            await upstream.send(b"def")
            assert await client.receive(5) == b"2:DEF"


async def test_an_unreachable_upstream_resets_the_client_and_is_counted(link):
    link.listener.close()
    client = await link.connect_client()
    assert await client.is_reset()
    counters = await link.settled(lambda counters: counters.active == 0)
    assert (counters.connections, counters.refused, counters.resets) == (1, 1, 0)


async def test_the_upstream_may_come_back_on_its_port(link):
    port = link.listener.getsockname()[1]
    link.listener.close()
    assert await (await link.connect_client()).is_reset()
    link.listener = socket.create_server(("127.0.0.1", port))
    link.listener.setblocking(False)
    client, upstream = await link.connect()
    await client.send(b"again")
    assert await upstream.receive(5) == b"again"


async def test_a_taken_port_is_named(link):
    port = link.proxy.address[1]
    with pytest.raises(StackError, match=rf"link 'c-d' cannot listen on 127.0.0.1:{port}: Address already in use"):
        await LinkProxy("c-d", "127.0.0.1", 1, listen_port=port).start()


async def test_there_is_no_address_before_the_start():
    with pytest.raises(StackError, match="not started"):
        _ = LinkProxy("c-d", "127.0.0.1", 1).address


async def test_closing_resets_both_sides_and_leaves_no_handle(linked):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    async with linked() as link:
        client, upstream = await link.connect()
        await client.send(b"x" * 100)
        assert await upstream.receive(1) == b"x"
        await link.proxy.aclose()
        assert await client.is_reset()
        assert await upstream.is_reset()
        with pytest.raises(StackError):
            _ = link.proxy.address
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
