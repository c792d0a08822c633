"""The newest samples, wherever the ring's edge lies."""

import numpy as np
import pytest

from focus_server.analyzer.ring import Ring

DATA = np.arange(70 * 1000, dtype=np.int32).reshape(1000, 70).astype(np.int16)


def filled(samples, blocks, size=100):
    ring = Ring(70, samples, np.dtype(np.int16))
    for block in blocks:
        for group, channels in ((0, slice(0, 64)), (1, slice(64, 70))):
            ring.write(group, block * size, DATA[block * size : (block + 1) * size, channels])
    return ring


@pytest.mark.parametrize("begin", [0, 99, 400, 750])
def test_what_is_written_is_read(begin):
    ring = filled(1000, range(10))
    assert ring.holds(0, begin, begin + 250)
    np.testing.assert_array_equal(ring.read(slice(3, 70), begin, begin + 250), DATA[begin : begin + 250, 3:].T)


@pytest.mark.parametrize("begin", [620, 650, 700, 750])
def test_reading_across_the_edge(begin):
    ring = filled(380, range(10))
    np.testing.assert_array_equal(ring.read(slice(0, 70), begin, begin + 250), DATA[begin : begin + 250].T)


def test_scattered_channels():
    ring = filled(380, range(10))
    rows = np.array([2, 40, 69])
    np.testing.assert_array_equal(ring.read(rows, 700, 900), DATA[700:900, rows].T)


def test_what_is_too_old_is_overwritten():
    ring = filled(380, range(10))
    assert not ring.holds(0, 619, 700)
    assert ring.holds(0, 620, 1000)
    assert ring.overwritten(0, 619)
    assert not ring.overwritten(0, 620)


def test_blocks_may_come_in_any_order():
    ring = filled(1000, [3, 1, 0, 2])
    np.testing.assert_array_equal(ring.read(slice(0, 70), 0, 400), DATA[:400].T)
    assert ring.holds(1, 0, 400)


def test_a_hole_is_known():
    ring = filled(1000, [0, 1, 3])
    assert ring.holds(0, 0, 200)
    assert not ring.holds(0, 199, 201)
    assert not ring.holds(0, 0, 400)
    assert ring.holds(0, 300, 400)


def test_a_hole_does_not_show_what_was_in_its_place_before():
    ring = filled(300, [0, 1, 2, 4])
    assert not ring.holds(0, 300, 400)
    assert ring.holds(0, 400, 500)
    assert ring.holds(0, 200, 300)


def test_a_block_that_is_older_than_the_ring_is_left_out():
    ring = filled(300, [5, 1])
    assert not ring.holds(0, 100, 200)
    np.testing.assert_array_equal(ring.read(slice(0, 70), 500, 600), DATA[500:600].T)


def test_of_a_block_that_is_partly_too_old_the_rest_is_taken():
    ring = filled(250, [5, 3])
    assert not ring.holds(0, 349, 400)
    assert ring.holds(0, 350, 400)
    np.testing.assert_array_equal(ring.read(slice(0, 70), 350, 400), DATA[350:400].T)
