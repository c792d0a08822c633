"""A real MongoDB server for the tests of this folder, empty at the start of each test, and recordings to enter."""

import contextlib
import gc
import warnings

import pymongo
import pytest

from focus_server.recordings import RecordingEntry
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import recording_uuid
from fullspan.testing import running_mongodb

SECOND = 1_000_000_000
T0_NS = 1_700_000_000 * SECOND
PATIENCE_S = 10
"""Where deadlines are not what is tested, a busy machine has more time."""


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory):
    with running_mongodb(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture
def database(mongo_server):
    """The database as another program sees it; emptied before the test."""
    with contextlib.closing(pymongo.MongoClient(mongo_server.url, timeoutMS=5000, tz_aware=True)) as client:
        found = client.get_default_database()
        for name in found.list_collection_names():
            found.drop_collection(name)
        yield found


@pytest.fixture
def mongo(mongo_server, database):
    """The server; a test may kill or hang it, but starts and resumes it again."""
    yield mongo_server
    with warnings.catch_warnings():  # the driver leaves a socket behind when it is closed while it connects
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def catalogue(mongo, anyio_backend):
    async with Catalogue(MongoAddress(mongo.url), PATIENCE_S) as opened:
        yield opened


@pytest.fixture
def make_entry(tmp_path):
    """Make the entry of slot k of a fibre at `fs` = 1000/1 samples/s, 10 s a slot; anything can be set otherwise."""

    def make(slot=0, **changes):
        fields = {
            "base_path": str(tmp_path / "recordings"),
            "site": "local",
            "channels": 70,
            "dx": 2.0,
            "units": "1/s",
            "dtype": "int16",
            "scale": "0.5",
            "samples": 10_000,
            "t0_ns": T0_NS,
            "fs_num": 1000,
            "fs_den": 1,
            "first_sample": slot * 10_000,
            "path": f"local/20231114/local-{slot}.h5",
            **changes,
        }
        period_ns = SECOND * fields["fs_den"] // fields["fs_num"]
        start_ns = fields["t0_ns"] + fields["first_sample"] * period_ns
        times = {"start_ns": start_ns, "end_ns": start_ns + fields["samples"] * period_ns}
        key = tuple(fields[name] for name in ("t0_ns", "fs_num", "fs_den", "channels", "dtype", "scale"))
        identity = {"uuid": recording_uuid(fields["site"], key, slot)}
        return RecordingEntry.model_validate({**identity, **times, **fields})

    return make


@pytest.fixture
def running(make_entry):
    """Make the entry of a slot that is being recorded."""
    return lambda slot=0, **changes: make_entry(slot, **{"end_ns": None, "path": None, "samples": 0, **changes})
