import os
import time

import h5py
import numpy as np
import pytest

from focus_server.errors import CatalogueDown
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.prodml import write_recording
from focus_server.recordings.rebuild import rebuild

pytestmark = pytest.mark.anyio

EVER = (0, 2**62)
SMALL = {"samples": 50, "channels": 3}
NO_GAPS = np.empty((0, 4), np.int64)
NOWHERE = MongoAddress("mongodb://127.0.0.1:9/prisma")


@pytest.fixture
def write(make_entry, base):
    """Write the file of a slot, old enough to be settled, and give its entry."""

    def written(slot=0, **changes):
        entry = make_entry(slot, **{**SMALL, **changes})
        path = write_recording(entry, np.zeros((entry.samples, entry.channels), entry.dtype), NO_GAPS, base)
        os.utime(path, (time.time() - 60, time.time() - 60))
        return entry

    return written


async def test_a_file_without_a_document_gets_the_one_it_had(catalogue, base, write):
    entries = [write(0), write(1, scale="1.5e-3", gaps=True)]
    told = []
    done = await rebuild(catalogue, base, progress=lambda *at: told.append(at))
    assert (done.added, done.closed, done.unrecognized, done.gone) == (2, 0, 0, 0)
    assert await catalogue.find(*EVER) == entries
    assert told[-1] == (2, 2)
    again = await rebuild(catalogue, base)
    assert not again.changed


async def test_a_running_document_is_closed_by_its_file(catalogue, base, write, running):
    await catalogue.begun(running(0, **{**SMALL, "samples": 0}))
    entry = write(0)
    done = await rebuild(catalogue, base)
    assert (done.added, done.closed) == (0, 1)
    assert await catalogue.find(*EVER) == [entry]


async def test_a_stale_document_without_a_file_is_closed(catalogue, base, running):
    await catalogue.begun(running(0))
    assert (await rebuild(catalogue, base)).closed == 1
    assert await catalogue.find(*EVER) == []


async def test_a_young_file_is_left_to_the_recorder(catalogue, base, write):
    entry = write()
    os.utime(entry.file(), (time.time(), time.time()))
    assert not (await rebuild(catalogue, base, 60)).changed
    assert (await rebuild(catalogue, base, 0)).added == 1


async def test_what_is_being_written_is_left_alone(catalogue, base, write):
    entry = write()
    entry.file().rename(entry.file().with_name(f".{entry.file().name}.part"))
    assert await rebuild(catalogue, base, 0) == await rebuild(catalogue, base, 0)
    assert await catalogue.find(*EVER) == []


async def test_files_that_are_no_recordings_are_counted_and_not_opened_again(catalogue, base, write, monkeypatch):
    entry = write()
    (base / "foreign").mkdir()
    (base / "foreign" / "text.h5").write_text("not HDF5")
    with h5py.File(base / "foreign" / "other.h5", "w") as file:
        file["x"] = 1
    cut = write(1).file()
    os.truncate(cut, cut.stat().st_size // 2)
    refused = {}
    done = await rebuild(catalogue, base, 0, refused=refused)
    assert (done.added, done.unrecognized, len(done.sentences)) == (1, 3, 3)
    assert [sentence.partition(":")[0] for sentence in done.sentences] == [
        "foreign/other.h5", "foreign/text.h5", "local/20231114/local-1.h5",
    ]  # fmt: skip
    assert await catalogue.unrecognized_folders(base) == {"foreign": 2, "local/20231114": 1}

    again = await rebuild(catalogue, base, 0, refused=refused)
    assert (again.unrecognized, again.sentences) == (3, ())
    write(1)
    (base / "foreign" / "text.h5").unlink()
    healed = await rebuild(catalogue, base, 0, refused=refused)
    assert (healed.added, healed.unrecognized) == (1, 1)
    assert await catalogue.unrecognized_folders(base) == {"foreign": 1}
    assert [it.path for it in await catalogue.find(*EVER)] == [entry.path, "local/20231114/local-1.h5"]


async def test_a_copy_does_not_take_the_place_of_the_recording(catalogue, base, write):
    entry = write()
    copy = base / "local" / "20231114" / "local-0-copy.h5"
    copy.write_bytes(entry.file().read_bytes())
    for _ in range(2):
        done = await rebuild(catalogue, base, 0)
        assert (done.unrecognized, "copy" in done.sentences[0]) == (1, True)
    assert len(await catalogue.find(*EVER)) == 1


async def test_a_moved_file_is_found_where_it_is_now(catalogue, base, write):
    entry = write()
    await rebuild(catalogue, base)
    moved = base / "elsewhere.h5"
    entry.file().rename(moved)
    await rebuild(catalogue, base)
    assert [it.file() for it in await catalogue.find(*EVER)] == [moved]


async def test_a_document_whose_file_is_gone_is_deleted(catalogue, base, write):
    kept, gone = write(0), write(1)
    await rebuild(catalogue, base)
    gone.file().unlink()
    assert (await rebuild(catalogue, base)).gone == 1
    assert await catalogue.find(*EVER) == [kept]


async def test_an_empty_folder_is_no_proof_that_files_are_gone(catalogue, base, write):
    entry = write()
    await rebuild(catalogue, base)
    base.rename(away := base.with_name("unmounted"))
    base.mkdir()
    assert not (await rebuild(catalogue, base)).changed
    base.rmdir()
    away.rename(base)
    assert await catalogue.find(*EVER) == [entry]


async def test_a_recording_that_is_being_deleted_does_not_come_back_unless_wished(catalogue, base, write):
    entry = write()
    await catalogue.finished(entry)
    await catalogue.deleted(base, [entry.uuid])
    assert not (await rebuild(catalogue, base)).changed
    assert await catalogue.find(*EVER) == []
    assert (await rebuild(catalogue, base, restore=True)).added == 1
    assert await catalogue.find(*EVER) == [entry]


async def test_links_are_not_followed(catalogue, base, write, tmp_path):
    entry = write()
    outside = tmp_path / "outside"
    outside.mkdir()
    entry.file().rename(outside / "x.h5")
    (base / "x.h5").symlink_to(outside / "x.h5")
    (base / "folder").symlink_to(outside)
    assert await rebuild(catalogue, base, 0) == await rebuild(catalogue, base, 0)
    assert await catalogue.find(*EVER) == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_an_outage_is_caught_up(outage, catalogue, base, write):
    entries = [write(slot) for slot in range(3)]
    async with Catalogue(NOWHERE, 0.5) as hurried:
        with pytest.raises(CatalogueDown):
            await hurried.finished(entries[0])
        with pytest.raises(CatalogueDown):
            await rebuild(hurried, base)
    assert (await rebuild(catalogue, base)).added == 3
    assert await catalogue.find(*EVER) == entries
