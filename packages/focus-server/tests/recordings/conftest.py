"""A real MongoDB server for the tests of this folder, empty at the start of each test, and recordings to enter."""

import contextlib
import gc
import importlib
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pymongo
import pytest
from structlog.testing import capture_logs

from focus_server.cli import main
from focus_server.fiber import FiberGrid
from focus_server.recordings import RecordingEntry
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import recording_uuid
from focus_server.recordings.source import ArraySource, no_gaps, part_of
from fullspan.testing import running_mongodb

SECOND = 1_000_000_000
T0_NS = 1_700_000_000 * SECOND
PATIENCE_S = 10
"""Where deadlines are not what is tested, a busy machine has more time."""


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory):
    with running_mongodb(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture(scope="session")
def other_program(mongo_server):
    with contextlib.closing(pymongo.MongoClient(mongo_server.url, timeoutMS=5000, tz_aware=True)) as client:
        yield client.get_default_database()


@pytest.fixture
def database(other_program):
    """The database as another program sees it; emptied before the test."""
    for name in other_program.list_collection_names():
        other_program.drop_collection(name)
    return other_program


@pytest.fixture
def mongo(mongo_server, database):
    return mongo_server


@pytest.fixture
def outage(mongo):
    """The server for a test that kills or hangs it and lets it come back, or looks for it where it is not.

    Such a test is marked by `filterwarnings("ignore:unclosed:ResourceWarning")`.
    """
    yield mongo
    with warnings.catch_warnings():  # the driver leaves a socket behind when it is closed while it connects
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def another_catalogue(mongo):
    """Make catalogues of the same database: `async with another_catalogue() as catalogue`."""
    return lambda: Catalogue(MongoAddress(mongo.url), PATIENCE_S)


@pytest.fixture
async def catalogue(another_catalogue, anyio_backend):
    async with another_catalogue() as opened:
        yield opened


@pytest.fixture
def run(mongo, tmp_path, monkeypatch, capsys):
    """Run a command line in this process: how it ends, what it prints, what it complains of, and its log."""
    for command in ("import", "export"):  # a log that is set up anew would be that of all tests
        monkeypatch.setattr(f"focus_server.recordings.{command}_command.configure_logging", lambda level: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def in_a_thread():  # a command has an event loop of its own, and so may the test
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0

    def ran(*arguments, url=mongo.url):
        monkeypatch.setenv("FOCUS_MONGO_URL", url)
        monkeypatch.setattr(sys, "argv", ["focus-server", *map(str, arguments)])
        capsys.readouterr()
        with ThreadPoolExecutor(1) as threads, capture_logs() as log:
            code = threads.submit(in_a_thread).result(60)
        return SimpleNamespace(code=code, log=str(log), **capsys.readouterr()._asdict())

    return ran


@pytest.fixture
def base(make_entry):
    """The empty folder that entries lie in."""
    path = Path(make_entry().base_path)
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def dascore():
    """DASCore, which takes a second to be imported, also where no test asks for it."""
    return importlib.import_module("dascore")


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


@pytest.fixture(scope="session")
def make_source():
    """Make samples in memory that use the whole range of their type, with NaN and 0 where they are missing."""

    def make(samples=500, channels=5, rate=(249997, 125), dtype="int16", gaps=None, first_sample=1_000_003, **other):
        grid = FiberGrid(T0_NS + 123_456_789, *rate)
        random = np.random.default_rng(samples * channels)
        data = random.integers(0, 2**16, (samples, channels), np.uint16).view(np.int16)
        if dtype == "float32":
            data = random.integers(0, 2**32, (samples, channels), np.uint32).view(np.float32)
        table = no_gaps() if gaps is None else np.add(gaps, [first_sample, first_sample, 0, 0])
        for begin, end, low, high in table:
            data[begin - first_sample : end - first_sample, low - 1 : high] = np.nan if dtype == "float32" else 0
        fields = {
            "uuid": "00000000-0000-0000-0000-000000000000", "base_path": "", "site": "north_1", "channels": channels,
            "dx": 5.717333349679848, "fiber_start_meters": -120.47233438491821, "units": "nstrain/s µ%",
            "dtype": dtype, "scale": "1.14E-9", "samples": samples, "t0_ns": grid.t0_ns, "fs_num": rate[0],
            "fs_den": rate[1], "first_sample": first_sample, "first_channel": 7, "gaps": gaps is not None,
            "start_ns": grid.time_ns(first_sample), "end_ns": grid.time_ns(first_sample + samples),
        }  # fmt: skip
        entry = RecordingEntry(**fields | other)
        return ArraySource(part_of(entry, first_sample, first_sample + samples, 1, channels), data, table)

    return make
