"""Each toxic does what it says to live connections, is counted, and ends when it is lifted."""

import asyncio
import dataclasses
import random
import socket
import statistics
import threading
import time
from contextlib import contextmanager

import pytest

from fullspan.stack.proxy import CLEAR, Counters, Toxics
from fullspan.stack.proxy.alarm import Alarm
from fullspan.stack.proxy.lane import Lane
from packages.fullspan.tests.stack.proxy.conftest import Peer

pytestmark = pytest.mark.anyio
MIB = 1 << 20


async def timed(receive):
    began = time.monotonic()
    got = await receive
    return got, time.monotonic() - began


async def one_way_ms(sender, receiver, count):
    samples = []
    for _ in range(count):
        began = time.monotonic()
        await sender.send(b"x" * 64)
        await receiver.receive(64)
        samples.append((time.monotonic() - began) * 1e3)
    return samples


def connected():
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


@contextmanager
def bare_relay(wait_ms):
    """Two ends of the plainest relay there is: a thread that reads, sleeps and writes on."""
    (near, inner), (outer, far) = connected(), connected()

    def relay():
        while data := inner.recv(64):
            time.sleep(wait_ms / 1e3)
            outer.sendall(data)

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield Peer(near), Peer(far)
    finally:
        near.shutdown(socket.SHUT_WR)
        thread.join()
        for end in (near, inner, outer, far):
            end.close()


async def one_way_and_beside_ms(sender, receiver, wait_ms, count):
    """How long pieces take through the link, and how much longer each than through a bare relay at the same moment.

    What the machine does meanwhile holds both up; what is left is the link's own.
    """
    with bare_relay(wait_ms) as bare:
        pairs = [await asyncio.gather(one_way_ms(sender, receiver, 1), one_way_ms(*bare, 1)) for _ in range(count)]
    return [link for [link], _ in pairs], [link - relay for [link], [relay] in pairs]


@pytest.mark.timed
async def test_latency_is_exact_in_each_direction_it_is_asked_for(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(latency_ms=15, direction="up"))
    up, beside = await one_way_and_beside_ms(client, upstream, 15, 40)
    assert min(up) >= 15
    assert abs(statistics.median(beside)) < 0.5
    down, beside = await one_way_and_beside_ms(upstream, client, 0, 40)
    assert min(down) < 15
    assert abs(statistics.median(beside)) < 0.5
    assert link.proxy.counters().delayed_bytes == 40 * 64
    link.proxy.set_toxics(CLEAR)
    _, beside = await one_way_and_beside_ms(client, upstream, 0, 40)
    assert abs(statistics.median(beside)) < 0.5


@pytest.mark.timed
async def test_latency_does_not_limit_throughput(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(latency_ms=50))
    data = random.Random(3).randbytes(32 * MIB)

    async def send():
        await client.send(data)
        client.half_close()

    (got, seconds), _ = await asyncio.gather(timed(upstream.until_end()), send())
    assert got == data
    assert 0.05 <= seconds < 1.0


async def test_jitter_spreads_but_keeps_the_order(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(latency_ms=10, jitter_ms=8))
    samples = await one_way_ms(client, upstream, 40)
    assert min(samples) >= 2
    assert max(samples) - min(samples) > 6
    message = b"".join(index.to_bytes(2, "big") for index in range(400))
    for start in range(0, len(message), 8):
        await client.send(message[start : start + 8])
        await asyncio.sleep(0)
    assert await upstream.receive(len(message)) == message


async def test_jitter_draws_from_all_of_its_width_and_nothing_beyond():
    alarm = Alarm()
    lane = Lane("up", Counters(), alarm, "seed")
    lane.set([Toxics(latency_ms=10, jitter_ms=8)])
    drawn = [lane.delay_s() * 1e3 for _ in range(1000)]
    alarm.close()
    assert 2 <= min(drawn) < 2.2
    assert 17.8 < max(drawn) <= 18
    assert statistics.mean(drawn) == pytest.approx(10, abs=0.5)


@pytest.mark.timed
async def test_latency_delays_the_end_too(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(latency_ms=60))
    await client.send(b"bye")
    client.half_close()
    got, seconds = await timed(upstream.until_end())
    assert got == b"bye"
    assert 0.055 <= seconds < 0.12


@pytest.mark.timed
async def test_a_lifted_latency_lets_go_at_once(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(latency_ms=60_000))
    await client.send(b"late")
    await link.settled(lambda counters: counters.delayed_bytes == 4)
    link.proxy.set_toxics(CLEAR)
    got, seconds = await timed(upstream.receive(4))
    assert got == b"late"
    assert seconds < 0.2


@pytest.mark.timed
async def test_bandwidth_is_shared_by_the_connections_of_a_link(link):
    pairs = [await link.connect() for _ in range(2)]
    link.proxy.set_toxics(Toxics(bandwidth_bytes_s=1_000_000, direction="up"))
    data = random.Random(4).randbytes(200_000)
    began = time.monotonic()

    async def carry(client, upstream):
        await client.send(data)
        assert await upstream.receive(len(data)) == data
        return time.monotonic() - began

    seconds = await asyncio.gather(*(carry(*pair) for pair in pairs))
    assert 0.38 <= max(seconds) < 0.5
    assert min(seconds) > 0.3
    await pairs[0][1].send(data)
    assert (await timed(pairs[0][0].receive(len(data))))[1] < 0.1


async def test_a_limited_link_does_not_fill_memory(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(bandwidth_bytes_s=100_000))
    await client.send(b"x" * MIB)
    counters = link.proxy.counters()
    assert counters.delayed_bytes - counters.bytes_up < 10_000
    link.proxy.set_toxics(CLEAR)
    assert await upstream.receive(MIB) == b"x" * MIB


async def test_stalled_bytes_are_held_and_delivered_in_order_when_lifted(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(stall=True))
    for piece in (b"one ", b"two ", b"three"):
        await client.send(piece)
    client.half_close()
    assert await upstream.silent(0.2)
    assert (await link.settled(lambda counters: counters.stalled_bytes == 13)).bytes_up == 0
    link.proxy.set_toxics(CLEAR)
    assert await upstream.until_end() == b"one two three"
    assert link.proxy.counters().bytes_up == 13


async def test_a_stall_holds_little_and_then_slows_the_writer_down(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(stall=True))
    data = random.Random(5).randbytes(40 * MIB)
    sending = asyncio.create_task(client.send(data))
    await link.settled(lambda counters: counters.stalled_bytes >= MIB)
    assert await upstream.silent(0.2)
    assert link.proxy.counters().stalled_bytes < 2 * MIB
    assert not sending.done()
    link.proxy.set_toxics(CLEAR)
    assert await upstream.receive(len(data)) == data
    await sending


async def test_a_stall_holds_back_a_reset(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(stall=True))
    client.reset()
    assert await upstream.silent(0.2)
    link.proxy.set_toxics(CLEAR)
    assert await upstream.is_reset()


async def test_a_stall_of_one_direction_leaves_the_other(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(stall=True, direction="down"))
    await client.send(b"up")
    assert await upstream.receive(2) == b"up"
    await upstream.send(b"down")
    assert await client.silent(0.1)
    link.proxy.set_toxics(CLEAR)
    assert await client.receive(4) == b"down"


async def test_a_blackhole_swallows_and_a_connection_that_lost_bytes_is_reset_when_it_is_lifted(link):
    (client, upstream), (idle_client, idle_upstream) = await link.connect(), await link.connect()
    link.proxy.set_toxics(Toxics(blackhole=True))
    await client.send(b"gone for ever")
    assert await upstream.silent(0.2)
    assert (await link.settled(lambda counters: counters.blackholed_bytes == 13)).bytes_up == 0
    link.proxy.set_toxics(CLEAR)
    assert await client.is_reset()
    assert await upstream.is_reset()
    assert link.proxy.counters().resets == 1
    await idle_client.send(b"still here")
    assert await idle_upstream.receive(10) == b"still here"


async def test_a_blackhole_swallows_the_end_as_well(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(blackhole=True))
    client.close()
    assert await upstream.silent(0.2)
    link.proxy.set_toxics(CLEAR)
    assert await upstream.is_reset()
    await link.settled(lambda counters: counters.active == 0)


async def test_a_direction_that_stays_black_keeps_its_connections(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(blackhole=True))
    await client.send(b"lost")
    await link.settled(lambda counters: counters.blackholed_bytes == 4)
    link.proxy.set_toxics(Toxics(blackhole=True, direction="up"))
    await upstream.send(b"seen")
    assert await client.receive(4) == b"seen"
    assert link.proxy.counters().resets == 0


async def test_reset_hits_both_sides_of_live_and_of_new_connections(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(reset=True))
    assert await client.is_reset()
    assert await upstream.is_reset()
    for end in await link.connect():
        assert await end.is_reset()
    counters = await link.settled(lambda counters: counters.resets == 2)
    assert counters.active == 0
    link.proxy.set_toxics(CLEAR)
    client, upstream = await link.connect()
    await client.send(b"new")
    assert await upstream.receive(3) == b"new"


async def test_toxics_may_change_many_times_under_load_without_harm(link):
    client, upstream = await link.connect()
    data = random.Random(6).randbytes(48 * MIB)
    states = (
        Toxics(latency_ms=5),
        Toxics(stall=True),
        CLEAR,
        Toxics(latency_ms=2, jitter_ms=2),
        Toxics(bandwidth_bytes_s=10**8),
    )

    async def meddle():
        for index in range(60):
            link.proxy.set_toxics(states[index % len(states)])
            await asyncio.sleep(0.004)  # audit: sleep because the link changes at this pace
        link.proxy.set_toxics(CLEAR)

    sending = asyncio.create_task(client.send(data))
    got, _ = await asyncio.gather(upstream.receive(len(data)), meddle())
    await sending
    assert got == data
    assert link.proxy.counters().bytes_up == len(data)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"latency_ms": -1}, "latency_ms is -1"),
        ({"latency_ms": float("nan")}, "latency_ms is nan"),
        ({"jitter_ms": 5, "latency_ms": 2}, "jitter_ms 5 is more than latency_ms 2"),
        ({"bandwidth_bytes_s": -3}, "bandwidth_bytes_s is -3"),
        ({"direction": "sideways"}, "direction is 'sideways'; give both, up or down"),
    ],
)
def test_wrong_toxics_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(CLEAR, **wrong)
