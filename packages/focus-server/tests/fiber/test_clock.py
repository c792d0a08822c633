"""What the interrogator does when it slept: it catches up, unless it slept longer than anybody keeps blocks."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from focus_server.fiber import Block, FiberGrid, decode, interrogator
from focus_server.fiber.broker import BrokerAddress
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.interrogator import Fiber, Interrogator
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.recording import Recording

pytestmark = pytest.mark.anyio


class LeapingClock:
    """The wall clock, `ahead_ns` later."""

    ahead_ns = 0
    monotonic = staticmethod(time.monotonic)

    def time_ns(self) -> int:
        return time.time_ns() + self.ahead_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LeapingClock:
    clock = LeapingClock()
    monkeypatch.setattr(interrogator, "time", clock)
    return clock


@pytest.fixture
def play(recording_file: Path, tmp_path: Path) -> Callable[..., object]:
    """Play without a broker, leap after three blocks, and return what the outbox holds and what was said."""

    async def run(leap: Callable[[], None], blocks: int) -> tuple[list[Block], list[str]]:
        now_ns = time.time_ns()
        formula = ReplayFormula(Recording.load(recording_file), ReplayOptions(channels=3))
        fiber = Fiber("local", now_ns, FiberGrid(now_ns - now_ns % 10**9, 1000, 1), formula)
        stop = asyncio.Event()
        with structlog.testing.capture_logs() as events, Outbox(tmp_path) as outbox:
            player = Interrogator(fiber, outbox, BrokerAddress("amqp://a:b@127.0.0.1:1/"), structlog.get_logger())
            async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                tasks.create_task(player.run(stop))
                while outbox.waiting < 3:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.01)
                leap()
                while outbox.waiting < blocks:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.01)
                stop.set()
            kept = []
            while (taken := outbox.take()) is not None:
                kept.append(decode(*taken[1]))
        return kept, [event["event"] for event in events]

    return run


async def test_a_sleep_of_ten_seconds_is_caught_up(play, clock) -> None:
    def leap() -> None:
        clock.ahead_ns = 10 * 10**9

    blocks, events = await play(leap, 100)
    assert "interrogator.skipped" not in events
    assert [block.seq for block in blocks] == list(range(len(blocks)))
    assert [block.first_sample - blocks[0].first_sample for block in blocks] == [100 * n for n in range(len(blocks))]


async def test_a_sleep_of_two_minutes_is_left_out_on_the_grid(play, clock) -> None:
    def leap() -> None:
        clock.ahead_ns = 120 * 10**9

    blocks, events = await play(leap, 6)
    assert events.count("interrogator.skipped") == 1
    assert [block.seq for block in blocks] == list(range(len(blocks)))  # nothing was sent and lost
    steps = [after.first_sample - before.first_sample for before, after in itertools.pairwise(blocks)]
    assert sorted(steps)[:-1] == [100] * (len(steps) - 1)
    assert 119_000 < max(steps) < 122_000
    assert max(steps) % 100 == 0
