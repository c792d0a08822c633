"""A file that was written anew while nobody could be told: the catalogue learns it from the file."""

import os
import shutil
import time

import numpy as np
import pytest

from focus_server.recordings.catalogue import KnownFile
from focus_server.recordings.prodml import write_recording
from focus_server.recordings.rebuild import rebuild

pytestmark = pytest.mark.anyio

EVER = (0, 2**62)
EARLY = {"samples": 50, "channels": 3, "gaps": True}
WHOLE = {"samples": 80, "channels": 3}


@pytest.fixture
def write(make_entry, base):
    """Write the file of a slot as it was so long ago, and give its entry."""

    def written(slot, age_s, **changes):
        entry = make_entry(slot, **changes)
        gaps = np.array([[entry.first_sample, entry.first_sample + 5, 1, 1]] if entry.gaps else [], np.int64)
        path = write_recording(entry, np.zeros((entry.samples, 3), entry.dtype), gaps.reshape(-1, 4), base)
        os.utime(path, (time.time() - age_s, time.time() - age_s))
        return entry

    return written


def changed_ns(entry):
    return entry.file().stat().st_mtime_ns


async def test_what_was_written_anew_and_never_told_is_entered_from_the_file(catalogue, base, write):
    early = write(0, 120, **EARLY)
    other = write(1, 120, **EARLY)
    for entry in (early, other):
        await catalogue.finished(entry)
    assert await catalogue.find(*EVER) == [early, other]
    whole = write(0, 60, **WHOLE)
    done = await rebuild(catalogue, base)
    assert (done.renewed, done.added, done.closed, done.gone, done.changed) == (1, 0, 0, 0, True)
    assert await catalogue.find(*EVER) == [whole, other]
    assert not (await rebuild(catalogue, base)).changed
    assert await catalogue.finished_files(base) == {
        entry.path: KnownFile(entry.uuid, changed_ns(entry)) for entry in (whole, other)
    }


async def test_it_waits_until_it_is_settled_as_a_new_one_does(catalogue, base, write):
    await catalogue.finished(write(0, 120, **EARLY))
    whole = write(0, 1, **WHOLE)
    assert not (await rebuild(catalogue, base, 60)).changed
    assert (await rebuild(catalogue, base, 0)).renewed == 1
    assert await catalogue.find(*EVER) == [whole]


async def test_its_copy_does_not_take_its_place(catalogue, base, write):
    await catalogue.finished(write(0, 120, **EARLY))
    whole = write(0, 60, **WHOLE)
    shutil.copy(whole.file(), whole.file().with_name("a-copy.h5"))
    done = await rebuild(catalogue, base, 0)
    assert (done.renewed, done.unrecognized) == (1, 1)
    assert "copy" in done.sentences[0]
    assert await catalogue.find(*EVER) == [whole]


async def test_one_that_is_broken_now_is_said_so_once(catalogue, base, write):
    early = write(0, 120, **EARLY)
    await catalogue.finished(early)
    early.file().write_bytes(b"no recording")
    refused = {}
    done = await rebuild(catalogue, base, 0, refused=refused)
    assert (done.renewed, done.unrecognized, len(done.sentences)) == (0, 1, 1)
    assert (await rebuild(catalogue, base, 0, refused=refused)).sentences == ()


async def test_what_another_program_entered_stays_as_it_is(catalogue, database, base, write):
    early = write(0, 120, **EARLY)
    await catalogue.finished(early)
    guid = await catalogue.base_path(base)
    database[guid].update_one({}, {"$unset": {"file_changed_ns": ""}})
    write(0, 60, **WHOLE)
    assert not (await rebuild(catalogue, base, 0)).changed
    assert await catalogue.find(*EVER) == [early]
