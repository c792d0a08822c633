"""Packets of a link are dropped by the kernel: as many as were asked for, in the direction that was asked for."""

import socket

import pytest

from fullspan.errors import StackError
from fullspan.stack.proxy import CLEAR, Toxics
from fullspan.stack.proxy.sieve import Sieve, why_not
from fullspan.stack.proxy.toxics import merged

pytestmark = pytest.mark.anyio
# A draw of 10 % in 2,000 packets lies outside this once in a hundred million runs.
PACKETS, LOST = 2000, range(125, 277)


def datagrams(share):
    """Send datagrams to a socket behind a sieve; return how many arrived and how many the sieve counted."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        sieve = Sieve()
        sieve.add(receiver)
        sieve.set(share)
        arrived = 0
        for _ in range(PACKETS):
            sender.sendto(b"x", receiver.getsockname())
            try:
                arrived += len(receiver.recv(1))
            except BlockingIOError:
                continue
        counted = sieve.dropped()
        sieve.set(0.0)
        sender.sendto(b"x", receiver.getsockname())
        assert receiver.recv(1) == b"x"
        sieve.remove(receiver)
        assert sieve.dropped() == counted
    return arrived, counted


def test_ten_percent_are_ten_percent():
    """Datagrams are not repeated by anybody, so they show what the rule itself does."""
    arrived, counted = datagrams(0.1)
    assert arrived + counted == PACKETS
    assert counted in LOST


@pytest.mark.parametrize(("share", "lost"), [(0.0, 0), (1e-12, 0), (1.0, PACKETS)])
def test_none_and_all(share, lost):
    assert datagrams(share) == (PACKETS - lost, lost)


async def test_a_partition_in_one_direction_only(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(loss=1.0, direction="up"))
    await upstream.send(b"down")
    assert await client.receive(4) == b"down"
    await client.send(b"up")
    assert await upstream.silent(0.3)
    link.proxy.set_toxics(CLEAR)
    assert await upstream.receive(2) == b"up"


async def test_all_bytes_arrive_in_order_through_loss(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(loss=0.1))
    # Small pieces are packets of their own; the kernel's repetitions make the stream whole again.
    for number in range(60):
        await client.send(number.to_bytes(2, "big"))
        await upstream.send(number.to_bytes(2, "big"))
    link.proxy.set_toxics(CLEAR)
    whole = b"".join(number.to_bytes(2, "big") for number in range(60))
    assert await upstream.receive(120) == whole
    assert await client.receive(120) == whole


async def test_who_connects_while_packets_are_lost_is_served_afterwards(link):
    link.proxy.set_toxics(Toxics(loss=1.0))
    with socket.socket() as late:
        late.setblocking(False)
        assert late.connect_ex(link.proxy.address)
        await link.settled(lambda counters: counters.lost_packets > 0)
        assert link.proxy.counters().connections == 0
    link.proxy.set_toxics(CLEAR)
    client, upstream = await link.connect()
    await client.send(b"hello")
    assert await upstream.receive(5) == b"hello"


async def test_a_kernel_that_refuses_leaves_the_link_as_it_was(link, monkeypatch):
    def refuse(_sock, _share):
        raise PermissionError(1, "Operation not permitted")

    link.proxy.set_toxics(Toxics(latency_ms=1))
    monkeypatch.setattr("fullspan.stack.proxy.sieve._attach", refuse)
    with pytest.raises(StackError, match=r"'a-b' can lose no packets: the kernel refuses a filter \(Operation not"):
        link.proxy.set_toxics(Toxics(loss=0.5))
    assert link.proxy.toxics == Toxics(latency_ms=1)
    assert why_not() == "this kernel lets this user put no filter on a socket (Operation not permitted)"
    client, upstream = await link.connect()
    await client.send(b"hello")
    assert await upstream.receive(5) == b"hello"


def test_toxics_that_hold_together():
    both = merged([Toxics(latency_ms=10, jitter_ms=2, loss=0.5), Toxics(latency_ms=5, bandwidth_bytes_s=9, loss=0.5)])
    assert both == Toxics(latency_ms=15, jitter_ms=2, bandwidth_bytes_s=9, loss=0.75)
    assert merged([Toxics(bandwidth_bytes_s=9), Toxics(bandwidth_bytes_s=5), Toxics(stall=True)]) == Toxics(
        bandwidth_bytes_s=5, stall=True
    )
    assert merged([]) == CLEAR


async def test_layers_of_different_directions(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(stall=True, direction="up"), Toxics(latency_ms=5, direction="down"))
    await client.send(b"up")
    await upstream.send(b"down")
    assert await client.receive(4) == b"down"
    assert await upstream.silent(0.1)
    counters = link.proxy.counters()
    assert (counters.stalled_bytes, counters.delayed_bytes, counters.queued_bytes) == (2, 4, 0)
    link.proxy.set_toxics(Toxics(latency_ms=5, direction="down"))
    assert await upstream.receive(2) == b"up"


async def test_an_end_that_comes_late_is_not_late_any_more_when_the_link_is_clear(link):
    client, upstream = await link.connect()
    link.proxy.set_toxics(Toxics(close_ms=60_000))
    await client.send(b"bye")
    client.half_close()
    assert await upstream.receive(3) == b"bye"
    assert await upstream.silent(0.1)
    assert link.proxy.counters().delayed_ends == 1
    link.proxy.set_toxics(CLEAR)
    assert await upstream.until_end() == b""


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(ValueError, match=r"give a share of all packets, 0 to 1 \(0\.1 is 10 %\)"):
        Toxics(loss=share)
