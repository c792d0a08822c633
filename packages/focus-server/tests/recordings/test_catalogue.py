import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import Int64

from focus_server.errors import CatalogueDown
from focus_server.recordings.catalogue import KnownFile
from focus_server.recordings.document import to_document

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
T0_NS = 1_700_000_000 * SECOND
EVER = (0, 2**62)


def folder(entry):
    return Path(entry.base_path)


def collection(database, path):
    return database[database.base_paths.find_one({"base_path": str(path)})["guid"]]


async def test_the_indexes_exist(catalogue, database, make_entry):
    guid = await catalogue.base_path(folder(make_entry()))
    await catalogue.prepare()
    await catalogue.prepare()
    indexes = database[guid].index_information()
    assert {index["key"][0][0] for index in indexes.values()} == {"_id", "start_time", "end_time", "uuid", "deleted"}
    assert [index["key"][0][0] for index in indexes.values() if index.get("unique")] == ["uuid"]
    assert database.base_paths.index_information()["base_path_1"]["unique"]
    assert database.jobs.index_information()["job_id_1"]["unique"]


async def test_indexes_come_to_base_paths_that_another_program_entered(catalogue, database):
    guid = "0123456789abcdef0123456789abcdef"
    database.base_paths.insert_one({"base_path": "/data", "guid": guid, "is_archive": False})
    await catalogue.prepare()
    assert database[guid].index_information()["uuid_1"]["unique"]


async def test_a_base_path_has_one_guid(catalogue, another_catalogue, database, tmp_path):
    async with another_catalogue() as other:
        guids = await asyncio.gather(*(it.base_path(tmp_path) for it in (catalogue, other) * 4))
    assert len(set(guids)) == 1
    document = database.base_paths.find_one({}, {"_id": 0})
    assert document == {"base_path": str(tmp_path), "guid": guids[0], "is_archive": False}
    assert await catalogue.base_path(tmp_path / "other") != guids[0]


async def test_the_document_of_a_recording(catalogue, database, make_entry):
    entry = make_entry(3, gaps=True, first_sample=30_001, fs_num=1999976, fs_den=1000)
    await catalogue.finished(entry)
    document = collection(database, entry.base_path).find_one({}, {"_id": 0})
    start_ms = (entry.start_ns // 1_000_000) / 1000
    assert document == {
        "uuid": entry.uuid,
        "start_time": datetime.fromtimestamp(start_ms, UTC),
        "end_time": datetime.fromtimestamp((entry.end_ns // 1_000_000) / 1000, UTC),
        "deleted": False,
        "path": "local/20231114/local-3.h5",
        "channels": 70,
        "first_channel": 1,
        "dx": 2.0,
        "prr": 1999.976,
        "units": "1/s",
        "dtype": "int16",
        "samples": 10_000,
        "site": "local",
        "scale": "0.5",
        "fiber_start_meters": 0.0,
        "t0_ns": T0_NS,
        "fs_num": 1999976,
        "fs_den": 1000,
        "first_sample": 30_001,
        "start_ns": entry.start_ns,
        "end_ns": entry.end_ns,
        "gaps": True,
    }
    exact = {"channels", "samples", "t0_ns", "fs_num", "fs_den", "first_sample", "start_ns", "end_ns"}
    assert {type(document[name]) for name in exact} == {Int64}
    assert await catalogue.find(*EVER) == [entry]


async def test_a_recording_is_live_then_historic_then_deleted(catalogue, database, make_entry, running):
    entry = make_entry()
    await catalogue.begun(running())
    documents = collection(database, entry.base_path)
    assert (documents.find_one()["end_time"], documents.find_one()["deleted"]) == (None, False)
    assert await catalogue.find(*EVER) == []
    assert await catalogue.known(folder(entry)) == {entry.uuid: False}

    await catalogue.finished(entry)
    await catalogue.begun(running())  # the same slot again, after a restart
    assert await catalogue.find(*EVER) == [entry]
    assert await catalogue.known(folder(entry)) == {entry.uuid: True}
    assert await catalogue.finished_files(folder(entry)) == {entry.path: KnownFile(entry.uuid, None)}
    assert documents.count_documents({}) == 1

    assert await catalogue.deleted(folder(entry), [entry.uuid, "unknown"]) == 1
    assert documents.find_one()["deleted"] is True
    assert (await catalogue.find(*EVER), await catalogue.ranges(*EVER)) == ([], [])
    assert await catalogue.known(folder(entry)) == {}
    assert await catalogue.deleted_among(folder(entry), [entry.uuid, "unknown"]) == {entry.uuid}


async def test_the_same_recording_from_many_sides_is_one_document(
    catalogue, another_catalogue, database, make_entry, running
):
    async with another_catalogue() as other:
        calls = [it.finished(make_entry()) for it in (catalogue, other) * 4]
        calls += [it.begun(running()) for it in (catalogue, other) * 4]
        await asyncio.gather(*calls)
    assert collection(database, make_entry().base_path).count_documents({}) == 1
    assert await catalogue.find(*EVER) == [make_entry()]


async def test_half_open_ranges_to_the_nanosecond(catalogue, make_entry):
    for slot in (2, 0, 1):
        await catalogue.finished(make_entry(slot))
    for start_s, end_s, slots in [
        (0, 10, [0]),
        (10, 20, [1]),
        (9.999999999, 10, [0]),
        (9.999999999, 10.000000001, [0, 1]),
        (-5, 0, []),
        (-5, 0.000000001, [0]),
        (30, 40, []),
        (29.999999999, 40, [2]),
        (-100, 100, [0, 1, 2]),
    ]:
        start_ns, end_ns = (T0_NS + round(at * SECOND) for at in (start_s, end_s))
        assert await catalogue.find(start_ns, end_ns) == [make_entry(slot) for slot in slots], (start_s, end_s)
        joined = [(make_entry(slots[0]).start_ns, make_entry(slots[-1]).end_ns)] if slots else []
        assert await catalogue.ranges(start_ns, end_ns) == joined, (start_s, end_s)


async def test_ranges_are_joined_only_where_no_sample_is_missing(catalogue, make_entry):
    fs = {"fs_num": 1999976, "fs_den": 1000}
    period_ns = SECOND * 1000 / 1999976
    at = T0_NS
    ends = []
    for slot in range(4):  # slot 2 comes a sample late
        start_ns = at if slot != 2 else at + int(period_ns) + 1
        at = start_ns + 10 * SECOND
        ends.append((start_ns, at))
        await catalogue.finished(make_entry(slot, start_ns=start_ns, end_ns=at, **fs))
    other = make_entry(9, site="other", start_ns=ends[0][1], end_ns=ends[0][1] + 5)
    await catalogue.finished(other)
    expected = sorted([(ends[0][0], ends[1][1]), (other.start_ns, other.end_ns), (ends[2][0], ends[3][1])])
    assert await catalogue.ranges(*EVER) == expected


async def test_a_running_recording_ends_now(catalogue, make_entry, running):
    t0_ns = time.time_ns() - 15 * SECOND
    await catalogue.finished(make_entry(0, t0_ns=t0_ns))
    await catalogue.begun(running(1, t0_ns=t0_ns))
    before = time.time_ns()
    [(start_ns, end_ns)] = await catalogue.ranges(*EVER)
    assert start_ns == t0_ns
    assert before <= end_ns <= time.time_ns()
    assert await catalogue.ranges(time.time_ns() + SECOND, 2**62) == []
    assert [it.first_sample for it in await catalogue.find(*EVER)] == [0]


async def test_archived_base_paths_are_left_out(catalogue, database, make_entry, tmp_path):
    places = [str(tmp_path / name) for name in ("one", "two", "archive")]
    for slot, place in enumerate(places):
        await catalogue.finished(make_entry(slot, base_path=place))
    database.base_paths.update_one({"base_path": places[2]}, {"$set": {"is_archive": True}})
    assert [it.base_path for it in await catalogue.find(*EVER)] == places[:2]
    assert await catalogue.ranges(*EVER) == [(T0_NS, T0_NS + 20 * SECOND)]


async def test_a_stale_recording_is_closed_and_never_taken_for_a_file(catalogue, database, make_entry, running):
    now_ns = time.time_ns()
    old = running(0, t0_ns=now_ns - 25 * 3600 * SECOND)
    young = running(1, t0_ns=now_ns - 23 * 3600 * SECOND)
    for entry in (old, young):
        await catalogue.begun(entry)
    await catalogue.finished(make_entry(2, t0_ns=now_ns - 48 * 3600 * SECOND))
    assert await catalogue.close_stale() == 1
    assert await catalogue.close_stale() == 0
    document = collection(database, old.base_path).find_one({"uuid": old.uuid})
    assert (document["end_time"], document["end_ns"]) == (document["start_time"], old.start_ns)
    assert document["deleted"] is True
    assert await catalogue.known(folder(old)) == {
        young.uuid: False,
        make_entry(2, t0_ns=now_ns - 48 * 3600 * SECOND).uuid: True,
    }
    assert len(await catalogue.find(*EVER)) == 1


async def test_deleted_recordings_are_forgotten_after_two_days(catalogue, database, make_entry):
    now_ns = time.time_ns()
    hours = (1, 47, 49, 50)
    entries = [make_entry(0, t0_ns=now_ns - ago * 3600 * SECOND) for ago in hours]
    for entry in entries:
        await catalogue.finished(entry)
    base = folder(entries[0])
    documents = collection(database, base)
    documents.insert_one({"uuid": "foreign", "end_time": datetime(2020, 1, 1, tzinfo=UTC), "deleted": True})
    assert await catalogue.forget(base) == 0
    await catalogue.deleted(base, [entry.uuid for entry in entries[:3]])
    assert await catalogue.forget(base) == 1
    left = {document["uuid"] for document in documents.find()}
    assert left == {"foreign", *(entries[k].uuid for k in (0, 1, 3))}


async def test_a_day_of_recordings_is_found_piece_by_piece(catalogue, database, make_entry):
    first = make_entry(0)
    guid = await catalogue.base_path(folder(first))
    day = [to_document(make_entry(slot)) for slot in range(0, 8640, 45)]
    database[guid].insert_many(day)
    found = await catalogue.find(*EVER)
    assert [entry.first_sample for entry in found] == [slot * 10_000 for slot in range(0, 8640, 45)]
    end = make_entry(8595).end_ns
    assert len(await catalogue.ranges(first.start_ns, end)) == 192
    assert len(await catalogue.ranges(end - 3600 * SECOND, end)) == 8


async def test_unrecognized_files_are_counted_by_folder(catalogue, database, tmp_path):
    before = datetime.now(UTC)
    await catalogue.unrecognized(tmp_path, "a", 3)
    await catalogue.unrecognized(tmp_path, "b", 1)
    await catalogue.unrecognized(tmp_path, "b", 2)
    assert await catalogue.unrecognized_folders(tmp_path) == {"a": 3, "b": 2}
    guid = database.base_paths.find_one()["guid"]
    note = database[f"{guid}-unrecognized_recordings"].find_one({"folder_name": "b"}, {"_id": 0})
    assert set(note) == {"folder_name", "file_count", "update_time"}
    assert abs((note["update_time"] - before).total_seconds()) < 10
    await catalogue.unrecognized(tmp_path, "a", 0)
    assert await catalogue.unrecognized_folders(tmp_path) == {"b": 2}


async def test_a_job_is_one_document(catalogue, database):
    await catalogue.save_job({"job_id": "0-1", "state": "ready"})
    await catalogue.save_job({"job_id": "0-1", "state": "live", "viewers": 1})
    await catalogue.save_job({"job_id": "0-2", "state": "ready"})
    found = list(database.jobs.find({}, {"_id": 0}).sort("job_id"))
    assert found == [{"job_id": "0-1", "state": "live", "viewers": 1}, {"job_id": "0-2", "state": "ready"}]


async def test_a_dropped_database_is_filled_again(catalogue, database, make_entry):
    entry = make_entry()
    await catalogue.finished(entry)
    for name in database.list_collection_names():
        database.drop_collection(name)
    guid = await catalogue.base_path(folder(entry))
    await catalogue.finished(entry)
    assert await catalogue.find(*EVER) == [entry]
    assert database[guid].index_information()["uuid_1"]["unique"]


async def test_the_state_is_what_the_last_call_found(another_catalogue):
    async with another_catalogue() as catalogue:
        assert catalogue.state.state == "unknown"
        await catalogue.ping()
        assert (catalogue.state.state, catalogue.state.detail) == ("up", "MongoDB answers.")
    with pytest.raises(CatalogueDown, match="closed"):
        await catalogue.ping()
