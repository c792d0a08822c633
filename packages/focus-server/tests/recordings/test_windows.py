from itertools import pairwise

from focus_server.recordings.windows import Windows

HOUR = 3_600_000


def pieces(windows, *answers, found=1):
    """What is asked for while answers take so long; None is one that did not come in time."""
    for took_s in answers:
        yield (*windows.piece, windows.is_a_try)
        if took_s is None:
            windows.too_wide()
        else:
            windows.answered(took_s, found)


def test_a_short_time_is_one_piece():
    windows = Windows(5, 2 * HOUR)
    assert list(pieces(windows, 1.0)) == [(5, 2 * HOUR, False)]
    assert not windows


def test_no_time_has_no_piece():
    assert not Windows(5, 5)
    assert not Windows(6, 5)


def test_pieces_grow_while_answers_are_quick_and_shrink_when_not():
    windows = Windows(0, 1000 * HOUR)
    asked = list(pieces(windows, 0.01, 0.01, None, 0.5, 0.01, 0.2, 0.5))
    assert asked == [
        (998 * HOUR, 1000 * HOUR, False),
        (990 * HOUR, 998 * HOUR, True),
        (958 * HOUR, 990 * HOUR, True),
        (988 * HOUR, 990 * HOUR, False),
        (986 * HOUR, 988 * HOUR, False),
        (978 * HOUR, 986 * HOUR, True),
        (976 * HOUR, 978 * HOUR, False),
    ]


def test_the_pieces_of_all_time_are_few_and_leave_nothing_out():
    windows = Windows(0, 60 * 366 * 24 * HOUR)
    asked = []
    while windows:
        asked += pieces(windows, 0.01, found=0)
    assert len(asked) < 8
    assert asked[-1][0] == 0
    assert all(later[0] == earlier[1] for later, earlier in pairwise(asked))
