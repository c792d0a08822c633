"""A viewer's queue: order, the two limits, and that what is dropped is said."""

import asyncio
import json

import pytest

from focus_server.api.bridge import End, Viewer, ViewerLimits
from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def rows(*numbers, size=0):
    return DataStream(row_index=numbers, main_data=[bytes(size)] * len(numbers)).SerializeToString()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def viewer(clock):
    return Viewer(ViewerLimits(max_bytes=1000, max_age_s=10), clock)


async def test_what_waits_comes_in_order_and_as_the_same_bytes(viewer):
    first, second = rows(1), rows(2)
    viewer.offer(first)
    viewer.tell('{"type": "gap"}')
    viewer.offer(second)
    assert await viewer.next() is first
    assert await viewer.next() == '{"type": "gap"}'
    assert await viewer.next() is second


async def test_next_waits_for_something_to_come(viewer):
    waiting = asyncio.create_task(viewer.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    viewer.offer(rows(1))
    assert await asyncio.wait_for(waiting, 5) == rows(1)


async def test_beyond_the_bytes_the_oldest_lines_are_dropped_and_counted(viewer):
    messages = [rows(2 * n, 2 * n + 1, size=200) for n in range(4)]
    for message in messages:
        viewer.offer(message)
    kept = 1000 // len(messages[0])
    assert json.loads(await viewer.next()) == {"type": "dropped", "lines": 2 * (4 - kept)}
    assert [await viewer.next() for _ in range(kept)] == messages[-kept:]


async def test_a_message_larger_than_the_limit_is_dropped_too(viewer):
    viewer.offer(rows(1, size=2000))
    viewer.end(End.complete())
    assert json.loads(await viewer.next()) == {"type": "dropped", "lines": 1}
    assert await viewer.next() == End.complete()


async def test_beyond_the_age_the_oldest_are_dropped_even_when_nothing_new_comes(viewer, clock):
    viewer.offer(rows(1))
    viewer.tell("old news")
    clock.now = 6
    viewer.offer(rows(2))
    clock.now = 10.5
    assert json.loads(await viewer.next()) == {"type": "dropped", "lines": 1}
    assert await viewer.next() == rows(2)


async def test_the_end_comes_after_what_waits_and_the_first_end_counts(viewer):
    viewer.offer(rows(1))
    viewer.end(End.error(4404, "Invalid job_id", "no such job"))
    viewer.end(End.complete())
    assert await viewer.next() == rows(1)
    end = await viewer.next()
    assert (end.code, json.loads(end.frame)) == (4404, {"type": "error", "error": "Invalid job_id"})
