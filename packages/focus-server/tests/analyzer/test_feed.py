"""What becomes of blocks: taken, doubled, late, strangers; and of fibres that change."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from focus_server.analyzer.feed import Feed
from focus_server.analyzer.fibre import Fibre

SAMPLES = 4000


@pytest.fixture
def fibre(source):
    data = np.random.default_rng(1).integers(-1000, 1000, (130, SAMPLES)).astype(np.int16)
    return source(data)


def seen(feed):
    return [frontier.sample for frontier in feed.samples.frontiers]


def test_all_samples_arrive(feed, fibre):
    made = feed(fibre)
    assert seen(made) == [SAMPLES] * 3
    np.testing.assert_array_equal(made.samples.ring.read(slice(0, 130), 0, SAMPLES), fibre.data)
    assert made.counts.taken == 120


def test_a_doubled_block_is_counted_and_left(feed, fibre):
    made = feed(fibre)
    assert not made.arrived(fibre.block(7, 1), 1.0)
    assert made.counts.duplicate == 1
    assert made.counts.taken == 120


def test_the_same_samples_in_another_epoch_change_nothing(feed, fibre):
    made = feed(fibre)
    altered = dataclasses.replace(fibre.block(7, 1), epoch=2, data=fibre.block(8, 1).data)
    assert not made.arrived(altered, 1.0)
    assert made.counts.too_late == 1
    np.testing.assert_array_equal(made.samples.ring.read(slice(0, 130), 0, SAMPLES), fibre.data)


def test_a_block_that_was_given_up_is_too_late(fibre):
    feed = Feed(100_000, 2.0, lambda _: None)
    feed.announced(fibre.announcement(), 0.0)
    for number in range(40):
        if number != 5:
            feed.arrived(fibre.block(number, 0), number / 10)
    assert feed.samples.frontiers[0].sample == 500
    assert feed.give_up(4.0)
    assert feed.samples.frontiers[0].sample == 4000
    assert not feed.arrived(fibre.block(5, 0), 4.1)
    assert (feed.counts.too_late, feed.counts.given_up_samples) == (1, 100)
    assert not feed.samples.ring.holds(0, 500, 600)


def test_a_silent_group_is_not_waited_for_while_others_go_on(fibre):
    feed = Feed(100_000, 2.0, lambda _: None)
    feed.announced(fibre.announcement(), 0.0)
    for number in range(40):
        for group in range(3):
            if group != 1 or number < 10:
                feed.arrived(fibre.block(number, group), number / 10)
    samples = feed.samples
    assert samples.frontier(1, 64, 3.9) == 4000
    assert samples.frontier(65, 128, 3.9) == 1000
    assert samples.frontier(1, 130, 3.9) == 2000
    assert samples.frontier(1, 130, 9.9) == 2000


def test_a_hang_in_the_middle_of_a_block_loses_nothing(fibre):
    feed = Feed(100_000, 2.0, lambda _: None)
    feed.announced(fibre.announcement(), 0.0)
    for number in range(10):
        for group in range(3):
            feed.arrived(fibre.block(number, group), number / 10)
    feed.arrived(fibre.block(10, 0), 1.0)
    assert feed.samples.frontier(1, 130, 6.0) == 1000
    feed.arrived(fibre.block(10, 1), 6.0)
    assert feed.samples.frontier(1, 130, 6.0) == 1000
    feed.arrived(fibre.block(10, 2), 6.0)
    assert feed.samples.frontier(1, 130, 6.0) == 1100


def test_blocks_before_their_announcement_wait_for_it(fibre):
    feed = Feed(100_000, 2.0, lambda _: None)
    for block in fibre.blocks():
        assert not feed.arrived(block, 0.0)
    feed.announced(fibre.announcement(), 0.5)
    assert seen(feed) == [SAMPLES] * 3


def test_a_block_of_another_shape_is_refused(feed, fibre, source):
    made = feed(fibre)
    stranger = source(fibre.data[:100]).block(39, 1)
    assert not made.arrived(dataclasses.replace(stranger, seq=99, first_sample=SAMPLES), 1.0)
    assert seen(made) == [SAMPLES] * 3


def test_a_new_epoch_on_the_same_grid_goes_on(feed, fibre):
    made = feed(fibre)
    ring = made.samples.ring
    again = dataclasses.replace(fibre, epoch=2)
    made.announced(again.announcement(), 5.0)
    assert made.samples.ring is ring
    for block in again.blocks(first_block=70):
        made.arrived(block, 5.0)
    made.give_up(7.1)
    assert seen(made) == [7000 + SAMPLES] * 3
    assert not ring.holds(0, 3900, 7100)
    assert ring.holds(0, 7000, 11000)


@pytest.mark.parametrize(
    "change",
    [
        {"t0_ns": 1_800_000_000_000_000_000},
        {"fs": Fraction(1999976, 1000)},
        {"scale": "0.25"},
        {"data": np.zeros((64, SAMPLES), np.int16)},
        {"data": np.zeros((130, SAMPLES), np.float32)},
    ],
)
def test_another_fibre_starts_with_an_empty_ring(fibre, change):
    fibres = []
    feed = Feed(100_000, 2.0, fibres.append)
    feed.announced(fibre.announcement(), 0.0)
    for block in fibre.blocks():
        feed.arrived(block, 0.0)
    other = dataclasses.replace(fibre, **change)
    feed.announced(other.announcement(), 1.0)
    feed.announced(other.announcement(), 2.0)
    assert fibres == [Fibre.of(fibre.announcement()), Fibre.of(other.announcement())]
    assert fibres[0].difference(fibres[1])
    assert seen(feed) == [None] * (3 if other.channels == 130 else 1)
    assert feed.state(2.0, 0).state == "waiting"


def test_the_feed_is_live_then_stale(feed, fibre):
    made = feed(fibre)
    newest_ns = fibre.grid.time_ns(SAMPLES)
    live = made.state(4.9, newest_ns + 250_000_000)
    assert (live.state, live.newest_sample_age_s) == ("live", 0.25)
    stale = made.state(5.1, newest_ns)
    assert stale.state == "stale"
    assert "waiting for fiber" in stale.detail
