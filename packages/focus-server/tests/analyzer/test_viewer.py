"""What waits for a viewer, and what is dropped when it waits too long."""

import asyncio

import grpc
import pytest

from focus_server.analyzer.rows import Batch, Row, Shape
from focus_server.analyzer.viewer import End, Viewer, ViewerLimits
from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio

SHAPE = Shape(1, 1, 25, 1, 1)


def batch(*indices):
    return Batch(SHAPE, tuple(Row(index, 0, bytes(100), 0.0, 0.0) for index in indices))


def indices(item):
    return list(DataStream.FromString(item).row_index)


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def viewer(clock):
    return Viewer(ViewerLimits(wait_s=10, wait_bytes=1000), clock)


async def test_everything_that_waits_is_taken_at_once(viewer):
    for index in range(4):
        viewer.offer(batch(index))
    assert indices(await viewer.next()) == [0, 1, 2, 3]
    viewer.offer(batch(4))
    assert indices(await viewer.next()) == [4]
    assert viewer.dropped_lines == 0


async def test_beyond_its_size_the_oldest_is_dropped_and_counted(viewer):
    for index in range(15):
        viewer.offer(batch(2 * index, 2 * index + 1))
    assert indices(await viewer.next()) == list(range(20, 30))
    assert viewer.dropped_lines == 20


async def test_beyond_its_time_the_oldest_is_dropped_and_counted(viewer, clock):
    for index in range(4):
        clock.now = 4.0 * index
        viewer.offer(batch(index))
    clock.now = 14.1
    assert indices(await viewer.next()) == [2, 3]
    assert viewer.dropped_lines == 2


async def test_the_newest_is_kept_however_large_and_old_it_is(viewer, clock):
    viewer.offer(batch(*range(30)))
    clock.now = 100
    assert len(indices(await viewer.next())) == 30


async def test_next_waits_for_rows(viewer):
    waiting = asyncio.create_task(viewer.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    viewer.offer(batch(7))
    assert indices(await waiting) == [7]


async def test_the_end_comes_before_what_still_waits(viewer):
    end = End(grpc.StatusCode.UNAVAILABLE, "stop")
    viewer.offer(batch(1))
    viewer.end(end)
    viewer.end(End(grpc.StatusCode.NOT_FOUND, "later"))
    assert await viewer.next() is end


async def test_rows_of_other_channels_are_a_message_of_their_own(viewer):
    other = Shape(3, 5, 25, 3, 1)
    viewer.offer(batch(1))
    viewer.offer(batch(2))
    viewer.offer(Batch(other, batch(3).rows))
    viewer.offer(batch(4))
    assert viewer.waiting == (4, 400)
    read = [DataStream.FromString(await viewer.next()) for _ in range(3)]
    found = [(message.start_channel, message.end_channel, list(message.row_index)) for message in read]
    assert found == [(1, 1, [1, 2]), (3, 5, [3]), (1, 1, [4])]
    assert viewer.waiting == (0, 0)
