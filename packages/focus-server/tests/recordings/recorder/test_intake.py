"""What is taken, held, remembered and let go; no broker, and clocks that the test sets."""

from dataclasses import replace

import numpy as np
import pytest

from focus_server.fiber import announcement_key, encode, routing_key
from focus_server.recordings.prodml import sample_times_ns
from focus_server.recordings.recorder.disk import REFUSED_S, Disk
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.fibres import Fibres
from focus_server.recordings.recorder.intake import HELD_S, Intake
from focus_server.recordings.recorder.slots import Slots

SECOND = 10**9
RETENTION_S = 100


class Door:
    """An intake with files that do not exist."""

    def __init__(self, folder, source):
        self.source, self.tag, self.now_s = source, 0, 0.0
        self.now_ns = source.t0_ns + 50 * SECOND
        self.began = []
        self.fibres = Fibres(folder, source.site, 1)
        self.slots = Slots(lambda *_: None)
        began = lambda fibre, number: self.began.append((fibre.key, number))  # noqa: E731
        self.intake = Intake(source.site, RETENTION_S * SECOND, self.fibres, self.slots, began)

    def message(self, key, headers, body):
        self.tag += 1
        return self.intake.take(key, headers, body, self.tag, self.now_s, self.now_ns)

    def block(self, number, group=0, source=None):
        return self.message(*encode((source or self.source).block(number, group)))

    def announce(self, source=None, **changes):
        return self.message(
            announcement_key(self.source.site), {}, (source or self.source).announcement(**changes).to_json()
        )


@pytest.fixture
def door(tmp_path, source):
    return Door(tmp_path, source)


def test_blocks_wait_for_their_announcement_and_not_for_ever(door):
    assert door.block(0) == []
    door.now_s = 5.0
    assert door.block(1) == []
    assert door.announce(t0_ns=door.source.t0_ns + SECOND) == [3]  # of another fibre
    assert door.intake.drop_held(HELD_S - 0.1) == []
    assert door.intake.drop_held(HELD_S + 1.0) == [1]
    assert door.announce(epoch=5) == [4]
    assert door.slots.counts.blocks == 1
    assert door.intake.drop_held(1000.0) == []
    assert door.intake.refused == 1


def test_an_announcement_is_remembered_over_a_restart(door, tmp_path, source):
    door.announce()
    again = Door(tmp_path, source)
    assert again.block(3) == []
    assert again.slots.counts.blocks == 1
    assert again.began == [(again.fibres.of(source.block(3, 0)).key, 3)]


def test_what_a_restart_finds_of_fibres_may_be_broken(door, tmp_path, source):
    door.announce()
    (kept,) = tmp_path.glob(".*.fibres.json")
    kept.write_text(kept.read_text()[:-40])
    again = Door(tmp_path, source)
    assert again.block(3) == []
    assert again.slots.counts.blocks == 0
    assert again.announce() == [2]
    assert again.slots.counts.blocks == 1


def test_a_block_belongs_to_the_fibre_of_its_own_epoch(door, source):
    smaller = replace(source, channels=64, epoch=2)
    door.announce()
    door.announce(smaller)
    door.block(3, 0)
    door.block(3, 0, smaller)
    door.block(4, 0, replace(source, epoch=77))  # nobody knows this epoch: the newest that fits
    door.block(4, 1, replace(source, epoch=77))
    assert [(key[3], number) for key, number in door.began] == [(70, 3), (64, 3)]
    assert door.slots.counts.blocks == 4
    assert door.slots.open == 2


def test_what_is_older_than_the_retention_is_not_recorded(door, source):
    door.announce()
    door.now_ns = source.grid.time_ns(200) + RETENTION_S * SECOND
    assert door.block(9) == []
    door.now_ns += 1
    assert door.block(8) == [3]
    assert door.block(10) == []
    assert (door.slots.counts.blocks, door.intake.refused) == (2, 1)


@pytest.mark.parametrize("key", ["fiber.other", "metadata.x", "", routing_key("x", 0)])
def test_other_messages_are_acknowledged_and_counted(door, key):
    assert door.message(key, {}, b"{}") == [1]
    assert door.intake.refused == 1


def test_a_disk_that_refused_is_not_asked_again_at_once(tmp_path):
    disk = Disk(tmp_path, 0)
    assert disk.has_room(1, 10.0)
    disk.refused(OSError(5, "Input/output error"), 10.0)
    assert disk.paused_s == 10.0
    assert not disk.has_room(1, 10.0 + REFUSED_S - 0.1)
    assert disk.has_room(1, 10.0 + REFUSED_S)
    assert disk.paused_s is None
    assert not Disk(tmp_path, disk.free_bytes() + 2**40).has_room(1, 0.0)
    assert not Disk(tmp_path / "gone", 0).has_room(1, 0.0)


@pytest.mark.parametrize("rate", [(2000, 1), (249997, 125), (3333, 1), (99_999_999_999, 1_000_000)])
def test_sample_times_are_those_of_the_grid(source, rate, tmp_path):
    source = replace(source, rate=rate)
    fibre = RecordedFibre.of(source.announcement(), 1)
    for slot in (0, 7, 10**6):
        first, end = fibre.range(slot)
        times = sample_times_ns(fibre.entry(slot, str(tmp_path), first, end))
        some = np.linspace(0, end - first - 1, 50).astype(int)
        assert [int(times[i]) for i in some] == [fibre.grid.time_ns(first + int(i)) for i in some]
