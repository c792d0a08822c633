"""The whole recorder on a real broker: every published sample is in the files once, whatever happens on the way."""

import json
import os
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from focus_server.errors import FocusError
from focus_server.fiber import encode
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording
from focus_server.recordings.prodml import read_entry
from focus_server.recordings.recorder.fibre import RecordedFibre

pytestmark = pytest.mark.anyio

SECOND = 10**9


async def test_every_published_sample_is_in_one_file_and_acknowledged(
    source, publisher, recorder, wait_recorded, nothing_waits
):
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(30))
        await publisher.send(source, range(5, 25))
        await publisher.send(source, range(30, 50))
        found = await wait_recorded(source)
        state = await running.wait_said("recorder.state")
    await nothing_waits(source)
    assert state["rabbitmq"] == "up"
    assert [end - begin for begin, end in found.files.values()] == [200] * 5
    assert found.gaps == 0
    assert running.said("recorder.stopped")[0]["files"] == 5
    for path, (begin, end) in found.files.items():
        with h5py.File(path) as file:
            times_us = file["Acquisition/Raw[0]/RawDataTime"][:]
        assert times_us.tolist() == [source.grid.time_ns(n) // 1000 for n in range(begin, end)]
        entry = read_entry(path, running.folder)
        assert (entry.start_ns, entry.end_ns) == (source.grid.time_ns(begin), source.grid.time_ns(end))
        assert entry.file() == path
        assert (entry.dx, entry.fiber_start_meters, entry.units, entry.gaps) == (2.5, 25.0, "1/s", False)


async def test_a_broken_rate_and_float_samples_with_a_hole_that_is_filled_late(
    source, publisher, recorder, wait_recorded, nothing_waits, wait_until
):
    source = replace(source, rate=(249997, 1250), dtype="float32")
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, [*range(12), *range(15, 20)])
        await publisher.send(source, range(12, 14), groups=[1])
        await publisher.send(source, range(20, 40))
        found = await wait_recorded(source)
        # [0, 10) whole; [10, 20) without 12 and 13 of group 0 and 14 of both
        assert found.gaps == 2
        second = sorted(found.files)[1]
        before = read_entry(second, running.folder)
        assert before.gaps

        await publisher.send(source, [13, 14])
        found = await wait_recorded(source)
        assert found.gaps == 1
        await publisher.send(source, [12], groups=[0])
        found = await wait_recorded(source)
        assert found.gaps == 0
        after = read_entry(second, running.folder)
        assert (after.uuid, after.gaps) == (before.uuid, False)
        assert len(found.files) == 4
    assert found.files[second] == (after.first_sample, after.end_sample)
    await nothing_waits(source)
    stopped = running.said("recorder.stopped")[0]
    assert (stopped["files"], stopped["rewritten"]) == (4, 2)


@pytest.mark.timed
async def test_what_is_not_in_a_file_when_it_stops_waits_with_the_broker(
    source, publisher, recorder, look_at, wait_until, wait_recorded
):
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(15))
        await wait_until(lambda: len(look_at(running.folder, source).files) == 1, "the first file")
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    assert list(running.folder.rglob("*.part")) == []
    assert await publisher.waiting(source.site) == 10
    # Nobody announces the fibre to the next run: it remembers it.
    async with recorder(source):
        await publisher.send(source, range(15, 20))
        found = await wait_recorded(source)
    assert len(found.files) == 2
    assert await publisher.waiting(source.site) == 0


@pytest.mark.timed
async def test_with_little_free_disk_it_pauses_and_resumes_and_gives_up_the_oldest(
    source, publisher, recorder, tmp_path, look_at, wait_until, nothing_waits
):
    """Free space is real: a file of 3 GB is allocated, and what must stay free lies between."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    ballast = tmp_path / "ballast"
    try:
        async with recorder(source, min_free_bytes=free - 3 * 2**29, pause_keep_s=1) as running:
            await publisher.announce(source)
            await publisher.send(source, range(10))
            await wait_until(lambda: len(look_at(folder, source).files) == 1, "the first file")
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 3 * 2**30)
            paused = await running.wait_said("recorder.paused")
            assert paused["free_bytes"] < paused["min_free_bytes"] == free - 3 * 2**29
            assert "must stay so" in paused["cause"]
            await publisher.send(source, range(10, 30))
            given_up = await running.wait_said("recorder.given_up")
            assert given_up["blocks"] in (20, 40)
            await wait_until(lambda: sum(event["blocks"] for event in running.said("recorder.given_up")) == 40, "40")
            assert len(look_at(folder, source).files) == 1
            ballast.unlink()
            await running.wait_said("recorder.resumed")
            await publisher.send(source, range(30, 40))
            await wait_until(lambda: len(look_at(folder, source).files) == 2, "a file after the pause")
        found = look_at(folder, source)
        assert set(found.blocks) == {(n, g) for n in [*range(10), *range(30, 40)] for g in (0, 1)}
        assert found.wrong == []
        await nothing_waits(source)
    finally:
        ballast.unlink(missing_ok=True)


@pytest.mark.timed
async def test_a_short_pause_loses_nothing(source, publisher, recorder, tmp_path, wait_recorded, nothing_waits):
    folder = tmp_path / "recordings"
    folder.mkdir()
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    ballast = tmp_path / "ballast"
    try:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 3 * 2**30)
        async with recorder(source, min_free_bytes=free - 3 * 2**29) as running:
            await running.wait_said("recorder.paused")
            await publisher.announce(source)
            await publisher.send(source, range(50))
            assert running.said("recorder.resumed") == []
            ballast.unlink()
            found = await wait_recorded(source)
            assert len(found.files) == 5
        await nothing_waits(source)
    finally:
        ballast.unlink(missing_ok=True)


async def test_what_the_disk_refuses_is_tried_again(source, publisher, recorder, tmp_path, wait_recorded):
    day = tmp_path / "recordings" / RecordedFibre.of(source.announcement(), 1).name(0)
    day.parent.parent.mkdir(parents=True)
    day.parent.write_text("a file where the day's folder belongs")
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(20))
        paused = await running.wait_said("recorder.paused")
        assert "the disk does not take the file: " in paused["cause"]
        assert list(day.parent.parent.rglob("*.h5")) == []
        day.parent.unlink()
        found = await wait_recorded(source)
        assert len(found.files) == 2
        await running.wait_said("recorder.resumed")


async def test_what_is_too_old_is_deleted_in_the_catalogue_and_on_the_disk(
    source, publisher, recorder, tmp_path, mongo, database, wait_until, look_at
):
    source = replace(source, t0_ns=time.time_ns() // SECOND * SECOND - 100 * SECOND)
    folder = tmp_path / "recordings"
    mine = folder / source.site / "20200101" / "notes.h5"
    mine.parent.mkdir(parents=True)
    mine.write_text("nobody's business")

    def documents():
        base = database["base_paths"].find_one({"base_path": str(folder)})
        return {} if base is None else {it["path"]: it for it in database[base["guid"]].find({})}

    async with recorder(source, retention_s=110, mongo_url=mongo.url):
        await publisher.announce(source)
        await publisher.send(source, range(30))
        await wait_until(lambda: len(look_at(folder, source).files) == 3, "three files")
        await wait_until(lambda: sum(it["end_time"] is not None for it in documents().values()) == 3, "documents")
    names = {str(path.relative_to(folder)) for path in look_at(folder, source).files}
    assert documents().keys() == names
    for path, document in documents().items():
        entry = read_entry(folder / path, folder)
        assert (document["uuid"], document["deleted"]) == (entry.uuid, False)
        assert (document["start_ns"], document["end_ns"]) == (entry.start_ns, entry.end_ns)
    async with recorder(source, retention_s=98.5, mongo_url=mongo.url):
        await wait_until(lambda: list(folder.rglob(f"{source.site}-*.h5")) == [], "an empty folder")
        await wait_until(lambda: all(document["deleted"] for document in documents().values()), "notes of it")
    assert mine.exists()


async def test_the_catalogue_may_die_and_is_made_up_when_it_is_back(
    source, publisher, recorder, mongo, database, wait_recorded, wait_until
):
    def documents():
        """How many are finished, and how many are still being recorded."""
        base = database["base_paths"].find_one({})
        found = [] if base is None else list(database[base["guid"]].find({}))
        finished = sum(it["end_time"] is not None for it in found)
        return finished, len(found) - finished

    async with recorder(source, mongo_url=mongo.url) as running:
        await publisher.announce(source)
        await publisher.send(source, range(15))
        await wait_until(lambda: documents() == (1, 1), "a finished document and a running one")
        mongo.kill()
        try:
            await publisher.send(source, range(15, 40))
            found = await wait_recorded(source)
            assert len(found.files) == 4
            await running.wait_said("catalogue.down")
        finally:
            mongo.start()
        await wait_until(lambda: documents() == (4, 0), "four finished documents")


async def test_what_cannot_be_recorded_is_let_go_and_said_once(
    source, publisher, recorder, wait_recorded, nothing_waits, wait_until
):
    stranger = replace(source, t0_ns=source.t0_ns + SECOND, published=set())
    async with recorder(source) as running:
        await publisher.send(source, range(3))  # held until the announcement comes
        await publisher.announce(source)
        good = encode(source.block(0, 0))
        await publisher.send_message(good._replace(body=good.body[:-2]))
        await publisher.send_message(good._replace(headers=good.headers | {"crc32": 1}))
        await publisher.send_message(good._replace(headers=good.headers | {"schema": 9}))
        shifted = encode(replace(source.block(4, 0), first_sample=81))
        ahead = encode(replace(source.block(4, 0), first_sample=source.grid.first_sample(10**6)))
        await publisher.send_message(shifted)
        await publisher.send_message(ahead)
        await publisher.send_message(ahead)
        await publisher.announce(source, epoch=7, number_of_channels=5000)
        await publisher.send(source, range(3, 10))
        await wait_recorded(source)
        complaints = [event["cause"] for event in running.said("message.refused")]
        await publisher.announce(stranger, epoch=8)
        await wait_until(
            lambda: any(event["epoch"] == 8 for event in running.said("recorder.fibre")), "the other fibre was heard of"
        )
    assert len(complaints) == 6
    for part in ("a body|body has", "crc32", "schema 9", "on the fibre's grid", "an hour ahead", "2222 can be"):
        assert any(any(words in complaint for words in part.split("|")) for complaint in complaints), part
    await nothing_waits(source)


async def test_two_fibres_of_one_site_on_the_same_grid_are_kept_apart(source, publisher, recorder, wait_until):
    """An interrogator that comes back with fewer channels goes on on its grid, in the middle of a slot."""
    smaller = replace(source, channels=64, epoch=2, published=set())
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(6))
        await publisher.announce(smaller)
        await publisher.send(smaller, range(6, 10))
        await publisher.send(smaller, range(10, 40))
        await wait_until(lambda: len(list(running.folder.rglob("*.h5"))) == 5, "five files")
        files = sorted(running.folder.rglob("*.h5"))
    entries = [read_entry(path, running.folder) for path in files]
    assert sorted((entry.channels, entry.first_sample, entry.samples, entry.gaps) for entry in entries) == [
        (64, 120, 80, False), (64, 200, 200, False), (64, 400, 200, False), (64, 600, 200, False),
        (70, 0, 120, False),
    ]  # fmt: skip
    assert len({entry.uuid for entry in entries}) == 5


async def test_a_folder_has_one_recorder_and_files_of_one_length(source, publisher, recorder, wait_recorded):
    async with recorder(source) as running:
        with pytest.raises(FocusError, match="Another recorder uses the folder"):
            async with recorder(source):
                pass
        await publisher.announce(source)
        await publisher.send(source, range(10))
        await wait_recorded(source)
    with pytest.raises(FocusError, match="are 1 s long, not 2 s; set recording_s to 1"):
        async with recorder(source, recording_s=2):
            pass
    part = running.folder / source.site / "20260101" / ".x.h5.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    async with recorder(source) as running:
        assert running.said("recorder.start")[0]["unfinished_files_deleted"] == 1
        assert not part.exists()


async def test_the_preroll_is_what_the_formula_gives_and_is_written_once(
    source, publisher, recorder, wait_until, tmp_path, recording_file
):
    formula = ReplayFormula(Recording.load(recording_file), ReplayOptions(channels=70, seed=3))
    source.scale = formula.scale
    source.values = lambda first, count: formula.samples(first, count)
    source.announcement = announced_with(source, formula)
    options = {"preroll_s": 3.2, "preroll_recording": recording_file}

    def spans(folder):
        entries = [read_entry(path, folder) for path in sorted(folder.rglob("*.h5"))]
        return [(entry.first_sample, entry.end_sample, entry.gaps) for entry in entries]

    async with recorder(source, **options) as running:
        await publisher.announce(source)
        await publisher.send(source, range(64, 90))
        expected = [(640, 800, False), (800, 1000, False), (1000, 1200, False), (1200, 1400, False)]
        expected += [(1400, 1600, False), (1600, 1800, False)]
        await wait_until(lambda: spans(running.folder) == expected, "the pre-roll")
        await running.wait_said("preroll.done")
    for path in running.folder.rglob("*.h5"):
        entry = read_entry(path, running.folder)
        with h5py.File(path) as file:
            assert np.array_equal(
                file["Acquisition/Raw[0]/RawData"][:], formula.samples(entry.first_sample, entry.samples)
            )
    (marker,) = running.folder.glob(".*.preroll.json")
    assert json.loads(marker.read_text()) == {"first_block": 64, "done": True}
    # A gap that comes later stays one, and so does what was deleted.
    sorted(running.folder.rglob("*.h5"))[1].unlink()
    async with recorder(source, **options) as running:
        await publisher.send(source, range(110, 120))
        await wait_until(lambda: (2200, 2400, False) in spans(running.folder), "the next file")
    assert spans(running.folder) == [expected[0], *expected[2:], (2200, 2400, False)]


def announced_with(source, formula):
    plain = source.announcement
    return lambda **changes: plain(**{"fiber_source": formula.describe(), "scale": formula.scale} | changes)
