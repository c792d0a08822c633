"""Documents that somebody else wrote: none spoils the answer, none leads out of its base path."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import CodecOptions, Int64, decode, encode
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS

from focus_server.errors import RecordingError
from focus_server.recordings.document import from_document, to_document
from focus_server.recordings.ranges import Span

pytestmark = pytest.mark.anyio

EVER = (0, 2**62)


@pytest.fixture
async def documents(catalogue, database, make_entry):
    await catalogue.finished(make_entry())
    return database[database.base_paths.find_one()["guid"]]


UNUSABLE = [
    {"path": "/etc/passwd"},
    {"path": "../../etc/passwd"},
    {"path": "local/../../../x.h5"},
    {"path": "local/\0.h5"},
    {"path": {"$gt": ""}},
    {"path": None},
    {"uuid": "../../x"},
    {"samples": -1},
    {"samples": "many"},
    {"fs_den": 0},
    {"dx": float("nan")},
    {"dtype": "object"},
    {"scale": "__import__('os')"},
    {"t0_ns": None},
]


async def test_a_document_that_cannot_be_used_is_left_out(catalogue, documents, make_entry):
    hostile = [{**to_document(make_entry(slot)), **change} for slot, change in enumerate(UNUSABLE, 1)]
    documents.insert_many(hostile)
    found = await catalogue.find(*EVER)
    assert [UNUSABLE[entry.first_sample // 10_000 - 1] for entry in found if entry != make_entry()] == []
    assert found == [make_entry()]


async def test_a_link_that_leads_out_is_left_out(catalogue, documents, make_entry, tmp_path):
    base = tmp_path / "recordings"
    base.mkdir()
    (base / "out").symlink_to(tmp_path)
    documents.insert_one(to_document(make_entry(1, path="out/secret.h5")))
    assert await catalogue.find(*EVER) == [make_entry()]


def test_a_date_beyond_python_is_still_a_time(make_entry):
    far = {**to_document(make_entry(1)), "end_time": DatetimeMS(2**60), "end_ns": None}
    found = decode(encode(far), CodecOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO))
    assert Span.of(found, 0).end_ns == 2**60 * 1_000_000
    with pytest.raises(RecordingError, match="see its end_ns"):
        from_document("/data", {**found, "end_ns": 2**64})


async def test_a_document_with_dates_only_counts_as_a_range(catalogue, documents, make_entry):
    start, end = (datetime.fromtimestamp(at, UTC) for at in (1_600_000_000.5, 1_600_000_060))
    documents.insert_one({"uuid": "foreign", "start_time": start, "end_time": end, "deleted": False})
    entry = make_entry()
    foreign = (1_600_000_000_500_000_000, 1_600_000_060_000_000_000)
    assert await catalogue.ranges(*EVER) == [foreign, (entry.start_ns, entry.end_ns)]
    assert await catalogue.find(*EVER) == [entry]


async def test_a_base_path_cannot_point_at_another_collection(catalogue, documents, database, make_entry):
    guids = ["jobs", "base_paths", "system.users", "", "$cmd", None, 7, ["x"], {"$gt": ""}]
    hostile = [{"base_path": f"/some/{guid}", "guid": guid, "is_archive": False} for guid in guids]
    database.base_paths.insert_many(hostile)
    database.jobs.insert_one({**to_document(make_entry(1)), "job_id": "0-1"})
    assert await catalogue.find(*EVER) == [make_entry()]
    await catalogue.prepare()
    assert set(database.jobs.index_information()) == {"_id_", "job_id_1"}


async def test_times_beyond_every_date_are_answered(catalogue, documents, make_entry):
    for start_ns, end_ns in ((-(2**70), 2**70), (0, 10**30), (-5, 10**19)):
        assert await catalogue.find(start_ns, end_ns) == [make_entry()]
    assert await catalogue.find(10**25, 10**30) == []


async def test_operators_in_arguments_are_values(catalogue, documents, database, make_entry):
    assert await catalogue.deleted(Path(make_entry().base_path), ['{"$gt": ""}', "$where"]) == 0
    await catalogue.unrecognized(Path(make_entry().base_path), '$where: {"$gt": ""}', 1)
    await catalogue.save_job({"job_id": '{"$gt": ""}', "state": {"$set": Int64(1)}})
    await catalogue.save_job({"job_id": {"$gt": ""}, "state": "x"})
    assert database.jobs.count_documents({}) == 2
    assert await catalogue.find(*EVER) == [make_entry()]
