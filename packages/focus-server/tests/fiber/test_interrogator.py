"""The interrogator as a process, on a real broker: every block is what the formula says, whatever breaks."""

import asyncio
import itertools
import re
import signal
import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from yarl import URL

from fullspan.stack.proxy import CLEAR, LinkProxy, Toxics

pytestmark = pytest.mark.anyio

BLOCK_S = 0.1
GROUPS = 3
CHANNELS = ("--channels", "130")  # 64 + 64 + 2


def by_group(arrivals: Sequence) -> list[list]:
    """Split first arrivals by group, each in its order of arrival."""
    groups = [[arrival.block for arrival in arrivals if arrival.block.group == group] for group in range(GROUPS)]
    assert sum(map(len, groups)) == len(arrivals)
    return groups


def end_of(block) -> int:
    return block.first_sample + block.samples


def check_contiguous(blocks: Sequence, first_seq: int = 0) -> None:
    """Check one epoch of one group: no seq and no sample is missing, doubled or out of order."""
    assert [block.seq for block in blocks] == list(range(first_seq, first_seq + len(blocks)))
    assert len({block.epoch for block in blocks}) == 1
    for one, following in itertools.pairwise(blocks):
        assert following.first_sample == end_of(one)


def due_ns(block) -> float:
    return block.t0_ns + end_of(block) * 10**9 * block.fs_den / block.fs_num


def lateness_s(arrivals: Sequence) -> list[float]:
    """Return how long after its last sample was due each block came."""
    return [(arrival.wall_ns - due_ns(arrival.block)) / 1e9 for arrival in arrivals]


class Link:
    """A way to the broker that can be broken; `url` leads through it."""

    def __init__(self, proxy: LinkProxy, url: str) -> None:
        self._proxy = proxy
        self.url = str(URL(url).with_port(proxy.address[1]))

    def breaks(self) -> None:
        """Reset every connection, and each new one."""
        self._proxy.set_toxics(Toxics(reset=True))

    def holds(self) -> None:
        self._proxy.set_toxics(CLEAR)


@pytest.fixture
async def link(rabbitmq):
    url = URL(rabbitmq.amqp_url)
    proxy = LinkProxy("interrogator-rabbitmq", url.host, url.port)
    await proxy.start()
    yield Link(proxy, rabbitmq.amqp_url)
    await proxy.aclose()


async def test_every_block_is_the_formula(player, reader, rabbitmq, expected_data):
    """At 1999.976 samples/s, in float32, with an offset and channels of NaN; the other tests play int16 at 1000."""
    options = ("--fs", "1999.976", "--dtype", "float32", "--dc", "12.5", "--nan-channels", "3,63-66", "--seed", "9")
    async with reader(rabbitmq.amqp_url, "exact") as seen:
        with player(rabbitmq.amqp_url, "--site", "exact", *options, *CHANNELS) as running:
            await seen.wait_blocks(20 * GROUPS)
            assert running.end() == 0
        await seen.wait(lambda: bool(seen.announcements), "an announcement")
    announced = seen.announcements[0]
    assert (announced.fs_num, announced.fs_den, announced.number_of_channels) == (249997, 125, 130)
    source = announced.fiber_source
    assert (source["dc"], source["nan_channels"], source["scale"]) == (12.5, [3, 63, 64, 65, 66], "1")
    assert len(seen.first_arrivals()) == len(seen.arrivals)  # nothing twice without a fault
    for group, blocks in enumerate(by_group(seen.first_arrivals())):
        check_contiguous(blocks)
        broken = [[2, 62, 63], [0, 1], []][group]
        for block in blocks:
            assert (block.ch_first, block.ch_last) == (64 * group + 1, min(64 * group + 64, 130))
            assert (block.fs_num, block.fs_den, block.t0_ns) == (249997, 125, announced.t0_ns)
            number = round(Fraction(block.first_sample * 10 * 125, 249997))
            assert block.first_sample == number * 249997 // 1250  # on the grid of 100 ms
            assert np.flatnonzero(np.isnan(block.data).all(axis=0)).tolist() == broken
            np.testing.assert_array_equal(block.data, expected_data(block, source))
    assert min(lateness_s(seen.arrivals)) >= 0  # no block before its last sample was due


@pytest.mark.timed
async def test_a_hang_and_a_lost_connection_cost_no_block_and_no_order(player, reader, rabbitmq, link, expected_data):
    """The broker hangs for a moment; then the connection to it breaks, and the next one is that of a retry."""
    async with reader(rabbitmq.amqp_url, "hang") as seen:
        with player(link.url, "--site", "hang", *CHANNELS) as running:
            await seen.wait_blocks(5 * GROUPS)
            assert np.median(lateness_s(seen.arrivals)) < 0.5
            rabbitmq.hang()
            try:
                await running.wait_event("behind", 3)  # said within 3 s
                await asyncio.sleep(0.5)  # audit: sleep because the hang goes on that long
            finally:
                rabbitmq.resume()
            resumed_ns = time.time_ns()
            await seen.wait(lambda: due_ns(seen.arrivals[-1].block) > resumed_ns, "a block due after the hang", 5)
            assert time.time_ns() - resumed_ns < 2e9
            await running.wait_event("caught_up", 3)
            assert not running.events("disconnected")  # a short hang is waited for
            link.breaks()
            try:
                await running.wait_event("disconnected")
            finally:
                link.holds()
            broken_ns = time.time_ns()
            await seen.wait(lambda: due_ns(seen.arrivals[-1].block) > broken_ns, "a block due after the break")
            await running.wait_event("resent", 5)
            running.end()
        assert len(running.events("connected")) == 2
        assert running.events("connected")[1]["backlog_blocks"] > 0
    source = seen.announcements[0].fiber_source
    for blocks in by_group(seen.first_arrivals()):
        check_contiguous(blocks)
        for block in blocks:
            np.testing.assert_array_equal(block.data, expected_data(block, source))


async def test_a_killed_interrogator_sends_its_old_blocks_first(player, reader, rabbitmq, expected_data):
    """Blocks wait on disk because the broker hangs; the interrogator is killed and started; the broker goes on."""
    async with reader(rabbitmq.amqp_url, "epochs") as seen:
        options = ("--site", "epochs", *CHANNELS)
        try:
            with player(rabbitmq.amqp_url, *options) as first:
                await seen.wait_blocks(5 * GROUPS)
                rabbitmq.hang()
                await asyncio.sleep(1)  # audit: sleep because blocks pile up meanwhile
                first.end(signal.SIGKILL)
            killed = time.monotonic()
            with player(rabbitmq.amqp_url, *options) as second:
                began = await second.wait_event("start")
                away_s = time.monotonic() - killed
                rabbitmq.resume()
                await second.wait_event("resent")
                await seen.wait(lambda: seen.arrivals[-1].block.epoch == began["epoch"], "a block of the new run")
                await seen.wait_blocks(10 * GROUPS)
                second.end()
        finally:
            rabbitmq.resume()
    assert began["waiting"] >= 8 * GROUPS  # about a second was not confirmed
    source = seen.announcements[-1].fiber_source
    for blocks in by_group(seen.first_arrivals()):
        epochs = [block.epoch for block in blocks]
        assert epochs == sorted(epochs)  # all of the old run before anything new
        old = [block for block in blocks if block.epoch != began["epoch"]]
        new = [block for block in blocks if block.epoch == began["epoch"]]
        check_contiguous(old)
        check_contiguous(new)
        assert len(old) >= 13
        gap = new[0].first_sample - end_of(old[-1])
        assert gap % 100 == 0  # the same grid of 100 samples a block
        assert 0 <= gap / 1000 <= away_s + 3 * BLOCK_S
        assert new[0].t0_ns == old[0].t0_ns
        for block in blocks:
            np.testing.assert_array_equal(block.data, expected_data(block, source))


async def test_it_starts_without_a_broker_and_a_stop_keeps_what_waits(player, reader, rabbitmq):
    async with reader(rabbitmq.amqp_url, "late") as seen:
        wrong = re.sub(r":[^:@]+@", ":not-the-password@", rabbitmq.amqp_url)
        with player(wrong, "--site", "late") as running:
            complaint = await running.wait_event("disconnected")
            await asyncio.sleep(0.5)  # audit: sleep because blocks pile up meanwhile
            assert running.end(signal.SIGINT) == 130
            stopped = running.events("stopped")[0]
        assert complaint["cause"] == "the broker refuses the user or the password"
        assert "not-the-password" not in running.log.read_text()
        assert stopped["waiting"] == stopped["played"] > 0  # 50 channels are one group
        with player(rabbitmq.amqp_url, "--site", "late") as running:
            assert (await running.wait_event("start"))["waiting"] == stopped["waiting"]
            await seen.wait_blocks(stopped["waiting"] + 3)
            assert running.end() == 0
            assert running.events("stopped")[0]["waiting"] == 0
    blocks = [arrival.block for arrival in seen.first_arrivals()]
    check_contiguous(blocks[: stopped["waiting"]])
    check_contiguous(blocks[stopped["waiting"] :])


@pytest.mark.timed
async def test_a_stop_while_the_broker_hangs_is_quick(player, reader, rabbitmq):
    async with reader(rabbitmq.amqp_url, "stop") as seen:
        with player(rabbitmq.amqp_url, "--site", "stop") as running:
            await seen.wait_blocks(3)
            rabbitmq.hang()
            try:
                await asyncio.sleep(0.5)  # audit: sleep because the hang goes on that long
                asked = time.monotonic()
                assert running.end() == 0
                assert time.monotonic() - asked < 4
            finally:
                rabbitmq.resume()
            stopped = running.events("stopped")[0]
            assert 0 < stopped["waiting"] < stopped["played"]
