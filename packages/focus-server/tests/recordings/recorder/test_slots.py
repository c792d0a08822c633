"""Where each block goes and when a slot is over; no broker, no disk, and a clock that the test sets."""

import random
from dataclasses import replace

import numpy as np
import pytest

from focus_server.errors import BlockError
from focus_server.recordings.recorder.acks import Ack, Deliveries
from focus_server.recordings.recorder.coverage import empty_table, present_blocks, stored_table, to_gaps
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.slots import Slots


@pytest.fixture
def fibre(source):
    return RecordedFibre.of(source.announcement(), recording_s=1)


class Desk:
    """Slots with a plain model of the files: a table for each slot that was written."""

    def __init__(self, source, fibre):
        self.source, self.fibre = source, fibre
        self.files, self.tag, self.now_s = {}, 0, 0.0
        self.slots = Slots(lambda _, number: self.files.get(number))

    def take(self, numbers, groups=(0, 1)):
        """Deliver blocks; returns for each whether it was acknowledged at once."""
        at_once = []
        for number in numbers:
            for group in groups:
                self.tag += 1
                self.slots.heard(self.now_s)
                at_once.append(self.slots.take(self.fibre, self.source.block(number, group), self.tag, self.now_s))
        return at_once

    def close(self, now_s, connected_s=0.0):
        self.now_s = now_s
        self.slots.close_due(now_s, connected_s)

    def write(self):
        """Write the next slot as the shelf would; returns its number and the tags to acknowledge."""
        slot = self.slots.begin_writing()
        self.files[slot.number] = slot.have | slot.stored
        return slot.number, self.slots.written(slot, self.files[slot.number])


@pytest.fixture
def desk(source, fibre):
    return Desk(source, fibre)


def test_a_slot_is_ready_with_its_last_block_and_then_its_deliveries_are_due(desk):
    assert desk.take(range(9)) == [False] * 18
    assert desk.take([9, 10], groups=[0]) == [False, False]
    assert desk.slots.ready == 0
    desk.take([9], groups=[1])
    assert (desk.slots.ready, desk.slots.open) == (1, 1)
    assert desk.write() == (0, [*range(1, 20), 21])
    assert desk.take([4, 9]) == [True] * 4
    assert (desk.slots.counts.blocks, desk.slots.counts.duplicates) == (21, 4)


def test_the_samples_are_where_they_belong(desk, source):
    desk.take(reversed(range(10, 20)))
    slot = desk.slots.begin_writing()
    assert (slot.number, slot.first_sample) == (1, 200)
    assert np.array_equal(slot.data, source.values(200, 200))


def test_a_block_that_comes_twice_waits_for_the_file_both_times(desk):
    """The broker delivers again after an outage: then the second delivery is the only one that counts."""
    desk.take([0])
    assert desk.take([0], groups=[0]) == [False]
    desk.slots.forget_deliveries()
    desk.take(range(10))
    assert desk.write() == (0, list(range(4, 24)))


def test_a_hole_is_waited_for_until_each_group_is_two_seconds_past_it(desk):
    desk.take([*range(7), 8, 9])
    desk.take(range(10, 30))
    desk.take([30], groups=[0])
    desk.close(0.9)
    assert desk.slots.ready == 2  # the whole ones
    desk.close(1.0)
    assert desk.slots.ready == 3
    numbers = [desk.write()[0] for _ in range(3)]
    assert numbers == [1, 2, 0]
    assert not desk.files[0][7].any()


def test_a_group_that_lags_is_waited_for_as_long_as_it_sends(desk):
    desk.take(range(9))
    desk.take(range(9, 60), groups=[0])
    for now_s in (2.0, 4.0, 6.0, 8.0):
        desk.close(now_s)
        desk.take([8], groups=[1])
    for now_s in (10.0, 12.0, 12.9):
        desk.close(now_s)
        desk.slots.heard(now_s)  # an announcement
        assert desk.slots.ready == 0
    desk.close(13.0)
    desk.slots.heard(13.0)
    desk.close(13.1)
    assert desk.slots.ready > 0
    assert desk.write()[0] == 0


def test_while_the_broker_is_away_or_hangs_nothing_is_silent(desk):
    desk.take(range(5))
    desk.close(14.9)
    assert desk.slots.ready == 0
    desk.close(100.0, connected_s=85.1)
    assert desk.slots.ready == 0
    desk.close(100.2, connected_s=85.1)
    assert desk.slots.ready == 1


def test_after_a_hang_each_group_has_its_time_anew(desk):
    desk.take(range(5))
    desk.now_s = 9.0
    desk.take([5], groups=[0])
    desk.close(9.2)
    assert desk.slots.ready == 0
    for now_s in (11.0, 13.0, 14.0):
        desk.now_s = now_s
        desk.take([6], groups=[0])
    desk.close(14.1)
    assert desk.slots.ready == 0, "only group 1 is silent, but group 0 goes on with this slot"
    desk.take([5, 6, 7, 8, 9], groups=[1])
    desk.take([7, 8, 9], groups=[0])
    assert desk.write()[0] == 0
    assert desk.files[0].all()


def test_a_late_block_opens_its_slot_again_and_many_are_written_together(desk):
    desk.take([*range(4), *range(6, 30)])
    desk.close(5.0)
    assert [desk.write()[0] for _ in range(3)] == [1, 2, 0]
    assert desk.take([4]) == [False, False]
    desk.close(5.9)
    assert desk.slots.ready == 0
    desk.take([5], groups=[0])
    desk.close(6.5)
    assert desk.slots.ready == 0
    desk.close(6.9)
    number, tags = desk.write()
    assert (number, len(tags)) == (0, 3)
    assert desk.files[0].sum() == 19
    assert desk.slots.counts.late == 3


def test_blocks_that_come_while_their_slot_is_written_are_kept(desk):
    desk.take([*range(9)])
    desk.close(15.0)
    slot = desk.slots.begin_writing()
    desk.take([3], groups=[0])  # is in the file that is being written: acknowledged with it
    desk.take([9], groups=[0])  # is not
    tags = desk.slots.written(slot, slot.have)
    assert tags == list(range(1, 20))
    desk.files[0] = slot.have
    desk.close(30.0)
    assert desk.write() == (0, [20])


def test_what_the_disk_does_not_take_is_the_next_to_be_written_with_what_came_meanwhile(desk, source):
    desk.take([*range(9)])
    desk.close(15.0)
    slot = desk.slots.begin_writing()
    desk.take(range(9, 20))
    assert desk.slots.ready == 2
    desk.slots.not_written(slot)
    again = desk.slots.begin_writing()
    assert again.number == 0
    assert again.is_complete
    assert np.array_equal(again.data, source.values(0, 200))
    assert desk.slots.written(again, again.have) == list(range(1, 21))


def test_the_oldest_are_given_up_and_counted(desk, fibre):
    desk.take(range(30))
    assert desk.slots.give_up(fibre.end_ns(1)) == list(range(1, 21))
    assert desk.slots.counts.given_up == 20
    assert desk.write()[0] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"first_sample": 21}, "on the fibre's grid"),
        ({"ch_last": 63}, "none of a fibre of 70"),
        ({"group": 2, "ch_first": 129, "ch_last": 130}, "none of a fibre of 70"),
    ],
)
def test_a_block_that_does_not_fit_the_fibre_is_refused(desk, source, fibre, changes, says):
    with pytest.raises(BlockError, match=says):
        desk.slots.take(fibre, replace(source.block(1, 0), **changes), 1, 0.0)


def test_gaps_and_tables_say_the_same(source, fibre):
    chance = np.random.default_rng(7)
    for density in (0.1, 0.5, 0.95, 1.0):
        for _ in range(50):
            table = chance.random((10, 2)) < density
            first, end = present_blocks(table)
            if first == end:
                continue
            gaps = to_gaps(fibre, 3, table)
            samples = fibre.grid.first_sample(30 + first), fibre.grid.first_sample(30 + end)
            entry = fibre.entry(3, "/", *samples)
            assert np.array_equal(stored_table(fibre, 3, entry, gaps), table)
            missing = np.zeros((200, 70), bool)
            for begin, after, low, high in gaps:
                missing[begin - 600 : after - 600, low - 1 : high] = True
            expected = ~np.repeat(table, 20, axis=0)[:, [0] * 64 + [1] * 6]
            expected[: 20 * first] = expected[20 * end :] = False
            assert np.array_equal(missing, expected)
    assert len(to_gaps(fibre, 0, empty_table(fibre))) == 0


def test_deliveries_are_settled_with_the_fewest_acknowledgements():
    chance = random.Random(3)
    deliveries, waiting, tag = Deliveries(), set(), 0
    for _ in range(300):
        for _ in range(chance.randrange(5)):
            tag += 1
            deliveries.delivered(tag)
            waiting.add(tag)
        settled = {one for one in waiting if chance.random() < 0.4}
        acks = deliveries.settle([*settled, 10**6])
        told = set()
        for ack in acks:
            told |= {one for one in waiting if one <= ack.tag} if ack.multiple else {ack.tag}
        assert told == settled
        assert sum(ack.multiple for ack in acks) <= 1
        waiting -= settled
        assert len(deliveries) == len(waiting)
    assert Deliveries().settle([1]) == []
    for one in (1, 2, 3):
        deliveries.delivered(tag + one)
    assert deliveries.settle([*waiting, tag + 1, tag + 2, tag + 3]) == [Ack(tag + 3, multiple=True)]


@pytest.mark.parametrize("rate", [(200, 1), (249997, 125), (3333, 1), (10, 1)])
def test_every_block_of_a_grid_has_its_number_and_its_slot_its_name(source, rate):
    source = replace(source, rate=rate, t0_ns=1_700_000_000_123_456_789)
    fibre = RecordedFibre.of(source.announcement(), recording_s=2)
    for number in (0, 1, 19, 20, 12345):
        assert fibre.number(source.block(number, 1)) == number
    begin, end = fibre.range(1)
    assert (begin, end) == (source.grid.first_sample(20), source.grid.first_sample(40))
    site = source.site
    assert fibre.name(0) == f"{site}/20231114/{site}-20231114T221320.123Z-0.h5"
    assert fibre.uuid(0) != fibre.uuid(1)
    assert fibre.uuid(1) == RecordedFibre.of(source.announcement(epoch=9, dx=7.0), recording_s=2).uuid(1)
