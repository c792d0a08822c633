"""How a connection ends on one side is how it ends on the other: half-close, close, reset."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio


async def keep_writing(peer):
    async with asyncio.timeout(5):
        while True:
            await peer.send(b"anybody?")
            await asyncio.sleep(0.005)


async def test_half_close_from_the_client_keeps_the_way_back_open(link):
    client, upstream = await link.connect()
    await client.send(b"question")
    client.half_close()
    assert await upstream.until_end() == b"question"
    await upstream.send(b"a long " * 100_000)
    upstream.close()
    assert await client.until_end() == b"a long " * 100_000
    assert (await link.settled(lambda counters: counters.active == 0)).resets == 0


async def test_half_close_from_the_upstream_keeps_the_way_there_open(link):
    client, upstream = await link.connect()
    await upstream.send(b"banner")
    upstream.half_close()
    assert await client.until_end() == b"banner"
    await client.send(b"thanks")
    client.half_close()
    assert await upstream.until_end() == b"thanks"
    await link.settled(lambda counters: counters.active == 0)


async def test_a_reset_of_the_client_reaches_the_upstream(link):
    client, upstream = await link.connect()
    client.reset()
    assert await upstream.is_reset()
    assert (await link.settled(lambda counters: counters.active == 0)).resets == 0


async def test_a_reset_of_the_upstream_reaches_the_client(link):
    client, upstream = await link.connect()
    upstream.reset()
    assert await client.is_reset()
    await link.settled(lambda counters: counters.active == 0)


async def test_what_was_sent_before_a_reset_still_arrives(link):
    client, upstream = await link.connect()
    await upstream.send(b"last words")
    assert await client.receive(4) == b"last"
    upstream.reset()
    assert await client.receive(6) == b" words"
    assert await client.is_reset()


async def test_writing_to_a_side_that_closed_for_good_ends_in_a_reset(link):
    """The upstream closes, the client has read its end and goes on writing: as on a direct connection it is reset."""
    client, upstream = await link.connect()
    upstream.close()
    assert await client.until_end() == b""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await keep_writing(client)
    await link.settled(lambda counters: counters.active == 0)


async def test_a_close_with_unread_data_is_a_reset_for_the_writer(link):
    client, upstream = await link.connect()
    await client.send(b"x" * 100_000)
    assert await upstream.receive(10) == b"x" * 10
    upstream.close()
    assert await client.is_reset()
    await link.settled(lambda counters: counters.active == 0)


async def test_a_client_that_leaves_before_the_upstream_answers(link):
    client = await link.connect_client()
    client.reset()
    await link.settled(lambda counters: counters.connections == 1 and counters.active == 0)
