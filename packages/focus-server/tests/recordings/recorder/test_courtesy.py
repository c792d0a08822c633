"""The recorder gives way for the first seconds of a backlog, and never longer."""

import pytest

from focus_server.recordings.recorder.courtesy import LONGEST_S, PAUSE_S, Courtesy

SECOND = 10**9


def headers(taken_s):
    """Of a block whose first sample was taken so many seconds after 100 s."""
    return {"t0_ns": 100 * SECOND, "first_sample": round(taken_s * 1000), "fs_num": 1000, "fs_den": 1}


def test_what_is_in_time_is_read_at_once():
    assert Courtesy().pause_s(headers(5), 105 * SECOND + SECOND // 2, 0) == 0


def test_a_backlog_is_read_slowly_at_first_and_then_as_fast_as_it_comes():
    courtesy = Courtesy()
    at = [courtesy.pause_s(headers(5), 115 * SECOND, 50 + seconds) for seconds in (0, LONGEST_S - 0.1, LONGEST_S, 60)]
    assert at == [PAUSE_S, PAUSE_S, 0, 0]


def test_the_next_backlog_is_another_one():
    courtesy = Courtesy()
    assert courtesy.pause_s(headers(5), 115 * SECOND, 0) == PAUSE_S
    assert courtesy.pause_s(headers(5), 115 * SECOND, 100) == 0
    assert courtesy.pause_s(headers(15), 115 * SECOND, 101) == 0
    assert courtesy.pause_s(headers(15), 120 * SECOND, 110) == PAUSE_S


@pytest.mark.parametrize("odd", [{}, {"t0_ns": "x"}, headers(5) | {"fs_num": 0}, headers(5) | {"fs_den": 1.5}])
def test_what_is_no_block_is_not_judged(odd):
    assert Courtesy().pause_s(odd, 10**18, 0) == 0
