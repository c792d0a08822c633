"""Lines put together of what streams bring: complete, in order, each once, and never more than allowed."""

import asyncio

import pytest

from focus_server.api.puller_rows import LAGGARD_S, Budget, PulledLines
from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio

GROUPS = [(1, 2), (3, 3), (4, 4)]
MANY = 2**30


def message(stream, *rows, values=2, groups=GROUPS):
    low, high = groups[stream]
    data = [bytes([row % 256]) * (4 * values * (high - low + 1)) for row in rows]
    return DataStream(start_channel=low, end_channel=high, row_index=rows, main_data=data)


def lines(height=100, groups=GROUPS, most_bytes=MANY, budget=None, patient=False):
    return PulledLines(groups, height, most_bytes, budget or Budget(MANY), patient=patient)


def taken(waiting, most=MANY, most_bytes=MANY, now_s=0.0):
    return [line.index for line in waiting.take(most, most_bytes, now_s)]


def single(rows, **options):
    waiting = lines(groups=[(5, 5)], **options)
    for row in rows:
        waiting.add(0, message(0, row, groups=[(5, 5)]), 0.0)
    return waiting


def test_a_line_waits_for_all_streams_and_is_given_once():
    waiting = lines()
    waiting.add(0, message(0, 0, 1, 2), 0.0)
    waiting.add(1, message(1, 0, 1), 0.0)
    assert taken(waiting) == []
    waiting.add(2, message(2, 0, 1, 2), 0.0)
    assert taken(waiting, most=1) == [0]
    waiting.add(2, message(2, 1, 2), 0.0)  # after a reconnection it comes again
    assert taken(waiting) == [1]
    assert taken(waiting) == []
    waiting.add(1, message(1, 2), 0.0)
    [line] = waiting.take(9, MANY, 0.0)
    assert [(part.first_channel, part.last_channel, part.values) for _, part in sorted(line.parts.items())] == [
        (1, 2, 2),
        (3, 3, 2),
        (4, 4, 2),
    ]
    assert line.parts[1].data == b"\2" * 8


def test_a_line_that_a_stream_has_passed_is_without_it():
    waiting = lines()
    for stream in range(3):
        waiting.add(stream, message(stream, 0), 0.0)
    waiting.add(0, message(0, 1, 2), 0.0)
    waiting.add(1, message(1, 2), 0.0)
    waiting.add(2, message(2, 1, 2), 0.0)
    found = waiting.take(9, MANY, 0.0)
    assert [line.index for line in found] == [0, 1, 2]
    assert (found[1].parts[1].data, found[1].parts[1].values) == (b"", 2)
    assert all(part.data for part in found[2].parts.values())


def test_a_line_has_the_channels_that_its_streams_have_now():
    waiting = lines()
    for stream in range(3):
        waiting.add(stream, message(stream, 0), 0.0)
    moved = [(8, 9), (10, 10), (11, 11)]
    for stream in range(2):
        waiting.add(stream, message(stream, 1, groups=moved), 0.0)
    waiting.add(2, message(2, 2, groups=moved), 0.0)
    _, line = waiting.take(9, MANY, 0.0)
    assert [(part.first_channel, part.last_channel) for _, part in sorted(line.parts.items())] == moved
    assert line.parts[2].data == b""


def test_a_live_line_does_not_wait_for_ever_and_what_comes_later_is_passed_over():
    waiting = lines()
    waiting.add(0, message(0, 7, 8), 10.0)
    assert taken(waiting, now_s=10.0 + LAGGARD_S) == []
    assert taken(waiting, now_s=10.1 + LAGGARD_S) == [7, 8]
    for stream in (1, 2):
        waiting.add(stream, message(stream, 7, 8, 9), 20.0)
    assert taken(waiting, now_s=20.0) == []
    waiting.add(0, message(0, 9), 20.0)
    assert taken(waiting, now_s=20.0) == [9]


def test_a_live_picture_begins_where_all_streams_have_begun():
    waiting = lines()
    waiting.add(0, message(0, 5, 6), 0.0)
    waiting.add(1, message(1, 6), 0.0)
    waiting.add(2, message(2, 7), 0.0)
    assert taken(waiting) == []
    for stream in (0, 1):
        waiting.add(stream, message(stream, 7), 0.0)
    [line] = waiting.take(9, MANY, 0.0)
    assert (line.index, all(part.data for part in line.parts.values())) == (7, True)


def test_a_recording_begins_where_its_first_stream_does():
    waiting = lines(patient=True)
    waiting.add(0, message(0, 0, 1), 0.0)
    waiting.add(1, message(1, 1), 0.0)
    waiting.add(2, message(2, 1), 0.0)
    assert taken(waiting) == [0, 1]


def test_a_stream_that_ended_is_not_waited_for():
    waiting = lines(patient=True)
    for stream in (0, 1):
        waiting.add(stream, message(stream, 0, 1), 0.0)
    waiting.end(2, 0.0)
    assert taken(waiting) == [0, 1]


@pytest.mark.parametrize(
    ("options", "left", "dropped"),
    [
        ({"height": 4}, [6, 7, 8, 9], 6),
        ({"most_bytes": 3 * 8}, [7, 8, 9], 7),
        ({"budget": Budget(MANY, used=MANY - 2 * 8)}, [8, 9], 8),
        ({"budget": Budget(MANY, used=2 * MANY)}, [9], 9),
    ],
)
def test_of_a_live_job_the_last_lines_are_kept(options, left, dropped):
    waiting = single(range(10), **options)
    assert len(waiting) == len(left)
    assert taken(waiting) == left
    assert waiting.dropped == dropped


def test_lines_that_wait_for_a_stream_are_bounded_too():
    waiting = lines(most_bytes=3 * 16)
    for row in range(10):
        waiting.add(0, message(0, row), 0.0)
    assert taken(waiting, now_s=2 * LAGGARD_S) == [7, 8, 9]
    assert waiting.dropped == 7


def test_an_answer_has_a_line_however_large_it_is():
    waiting = single(range(5))
    assert taken(waiting, most_bytes=1) == [0]
    assert taken(waiting, most_bytes=23) == [1, 2]
    assert taken(waiting, most_bytes=24) == [3, 4]


def test_what_is_taken_or_forgotten_is_given_back_to_the_budget():
    budget = Budget(MANY)
    waiting = lines(budget=budget)
    waiting.add(0, message(0, 0, 1), 0.0)
    assert budget.used == 2 * 16
    for stream in (1, 2):
        waiting.add(stream, message(stream, 0), 0.0)
    assert budget.used == 2 * 16 + 2 * 8
    assert taken(waiting) == [0]
    assert budget.used == 16
    waiting.clear()
    assert budget.used == 0


async def test_a_recording_is_read_on_when_there_is_room_and_no_stream_is_behind():
    waiting = lines(height=2, patient=True)
    for stream in (0, 1, 2):
        async with asyncio.timeout(60):
            await waiting.room(stream)
        waiting.add(stream, message(stream, 0, 1, 2), 0.0)
    assert len(waiting) == 3
    rooms = [asyncio.create_task(waiting.room(stream)) for stream in range(3)]
    done, _ = await asyncio.wait(rooms, timeout=0)
    assert not done
    assert taken(waiting, most=2) == [0, 1]
    async with asyncio.timeout(60):
        await asyncio.gather(*rooms)
    waiting.add(0, message(0, 3), 0.0)
    ahead, behind = (asyncio.create_task(waiting.room(stream)) for stream in (0, 1))
    async with asyncio.timeout(60):
        await behind
    assert not ahead.done()
    for stream in (1, 2):
        waiting.add(stream, message(stream, 3), 0.0)
    assert taken(waiting) == [2, 3]
    async with asyncio.timeout(60):
        await ahead
