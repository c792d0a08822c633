"""A real broker, a fibre of known samples published on it, and recorders in this process and in one of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from structlog.testing import capture_logs

from focus_server.fiber import Block, FiberAnnouncement, FiberGrid, announcement_key, encode, group_count, group_range
from focus_server.fiber.broker import BrokerAddress, BrokerConnection, Properties
from focus_server.recordings.recorder.consumer import queue_name
from focus_server.recordings.recorder.recorder import Recorder
from focus_server.settings import RecordSettings

SECOND = 10**9
NOWHERE = "mongodb://127.0.0.1:9/prisma?directConnection=true"


@pytest.fixture(scope="session")
def rabbitmq(one_rabbitmq):
    return one_rabbitmq.virtual_host("recorder")


@pytest.fixture(scope="session")
def recording_file(tmp_path_factory):
    """Noise of 50 channels and 777 samples, so that tiles and loops come soon; its JSON beside it."""
    path = tmp_path_factory.mktemp("recording") / "noise.npy"
    np.save(path, np.random.default_rng(5).normal(0, 3e-5, (50, 777)))
    info = {"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 1.5, "units": "1/s"}
    path.with_suffix(".json").write_text(json.dumps(info))
    return path


@dataclass
class Source:
    """A fibre whose every sample is known: 70 channels in two groups, 200 samples/s, begun `age_s` ago."""

    site: str
    age_s: int = 60
    rate: tuple[int, int] = (200, 1)
    channels: int = 70
    dtype: str = "int16"
    epoch: int = 1
    t0_ns: int = 0
    published: set = field(default_factory=set)

    def __post_init__(self):
        self.t0_ns = self.t0_ns or (time.time_ns() // SECOND - self.age_s) * SECOND
        self.grid = FiberGrid(self.t0_ns, *self.rate)
        self.scale = "0.5" if self.dtype == "int16" else "1"

    @property
    def groups(self):
        return range(group_count(self.channels))

    def values(self, first, count, channels=None):
        """What is published: [sample, channel], different for every sample, channel and epoch-independent."""
        n = np.arange(first, first + count, dtype=np.int64)[:, None]
        c = np.arange(1, (channels or self.channels) + 1, dtype=np.int64)[None, :]
        mixed = (n * 7919 + c * 104729 + n * c * 31) % 65521 - 32760
        return mixed.astype(self.dtype)

    def announcement(self, **changes):
        fields = {
            "site": self.site, "epoch": self.epoch, "t0_ns": self.t0_ns, "fs_num": self.rate[0],
            "fs_den": self.rate[1], "number_of_channels": self.channels, "dx": 2.5, "fiber_start_meters": 25.0,
            "fiber_description": "known", "fiber_source": {"kind": "test"}, "units": "1/s", "dtype": self.dtype,
            "scale": self.scale, "num_samples_per_trace": self.channels,
        }  # fmt: skip
        return FiberAnnouncement(**fields | changes)

    def block(self, number, group):
        first = self.grid.first_sample(number)
        low, high = group_range(group, self.channels)
        data = self.values(first, self.grid.first_sample(number + 1) - first)[:, low - 1 : high]
        return Block(
            self.site, group, self.epoch, number, first, *self.rate, self.t0_ns, low, high, self.dtype, self.scale, data
        )


class Publisher:
    """Publishes with confirms; what was confirmed is in the source's `published`."""

    def __init__(self, url):
        self.url = url
        self._connection = None

    async def connect(self):
        await self.close()
        self._connection = BrokerConnection(BrokerAddress(self.url))
        await self._connection.open()

    async def close(self):
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def announce(self, source, **changes):
        body = source.announcement(**changes).to_json()
        await self._connection.publish(announcement_key(source.site), body, Properties())

    async def send(self, source, blocks, groups=None):
        """Publish blocks of these numbers, of all groups or some; return once all are confirmed."""
        wanted = [(number, group) for number in blocks for group in (source.groups if groups is None else groups)]
        tasks = [asyncio.ensure_future(self._send_one(source, *one)) for one in wanted]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            raise failed[0]

    async def _send_one(self, source, number, group):
        await self.send_message(encode(source.block(number, group)))
        source.published.add((number, group))

    async def send_message(self, message):
        properties = Properties(headers=dict(message.headers), delivery_mode=2)
        await self._connection.publish(message.routing_key, message.body, properties)

    async def waiting(self, site):
        return await self._connection.waiting(queue_name(site))


@pytest.fixture
async def publisher(rabbitmq, anyio_backend):
    publisher = Publisher(rabbitmq.amqp_url)
    await publisher.connect()
    yield publisher
    await publisher.close()


@pytest.fixture
def source(request):
    """Make a fibre of a site of this test's own."""
    return Source("".join(sign if sign.isalnum() else "-" for sign in request.node.name)[:60])


async def until(condition, what, timeout=60.0):
    """Wait for a condition, at most `timeout` seconds, and give what it gave."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} not within {timeout} s")
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
def wait_until():
    return until


@dataclass
class Running:
    """A recorder in this process."""

    folder: Path
    events: list

    def said(self, name):
        return [event for event in self.events if event["event"] == name]

    async def wait_said(self, name, timeout=60.0):
        return (await until(lambda: self.said(name), f"event {name}", timeout))[-1]


@pytest.fixture
def recorder(rabbitmq, tmp_path):
    """Record in this process: `async with recorder(source, recording_s=2)`."""

    @asynccontextmanager
    async def start(source, folder=tmp_path / "recordings", **options):
        settings = RecordSettings(
            **{
                "amqp_url": rabbitmq.amqp_url, "mongo_url": NOWHERE, "recordings_dir": folder, "site": source.site,
                "recording_s": 1, "min_free_bytes": 0, "retention_s": 3600,
            } | options
        )  # fmt: skip
        stop = asyncio.get_running_loop().create_future()
        with capture_logs() as events:
            task = asyncio.ensure_future(Recorder(settings).run(stop))
            running = Running(folder, events)
            try:
                ready = asyncio.ensure_future(running.wait_said("recorder.ready"))
                await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
                ready.cancel()
                if task.done():
                    await task
                yield running
            finally:
                stop.set_result(None)
                async with asyncio.timeout(60):
                    await task

    return start


class Process:
    """`focus-server record` as its own process."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    def events(self, name):
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    async def wait_event(self, name, timeout=60.0):
        return (await until(lambda: self.events(name), f"event {name} in {self.log}", timeout))[0]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def recorder_process(rabbitmq, tmp_path):
    """Record in a process of its own, which is ended with the block: `with recorder_process(source) as process`."""
    count = 0

    @contextmanager
    def start(source, *options):
        nonlocal count
        count += 1
        log = tmp_path / f"recorder-{count}.log"
        command = [sys.executable, "-m", "focus_server", "record", "--site", source.site, "--recording-s", "1"]
        command += ["--recordings-dir", str(tmp_path / "recordings"), "--min-free-bytes", "0", *options]
        environment = os.environ | {"FOCUS_AMQP_URL": rabbitmq.amqp_url, "FOCUS_MONGO_URL": NOWHERE}
        with (
            log.open("wb") as output,
            subprocess.Popen(command, env=environment, stderr=output, cwd=tmp_path) as process,
        ):
            try:
                yield Process(process, log)
            finally:
                process.kill()

    return start


@dataclass
class Found:
    """What is in all files of a folder: how often each block is there, and what differs from what was published."""

    files: dict = field(default_factory=dict)
    blocks: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    gaps: int = 0


@dataclass
class Seen:
    """What is in one file: its samples, the blocks that are whole, and whether all is as it was published."""

    samples: tuple[int, int]
    blocks: list
    gaps: int
    right: bool


def see(path, source):
    """Read a file with h5py alone and compare each sample with what was published."""
    with h5py.File(path, locking=False) as file:  # as the recorder in this process
        attributes = file["Acquisition"].attrs
        first, samples = int(attributes["focus_first_sample"]), int(attributes["focus_samples"])
        data = file["Acquisition/Raw[0]/RawData"][:]
        gaps = file["Acquisition/focus_gaps"][:]
        assert attributes["focus_gaps"] == bool(len(gaps))
    assert data.shape == (samples, source.channels)
    present = np.ones(data.shape, bool)
    for begin, end, low, high in gaps:
        present[begin - first : end - first, low - 1 : high] = False
    expected = source.values(first, samples)
    blank = np.isnan(data) if source.dtype == "float32" else data == 0
    right = np.array_equal(data[present], expected[present]) and bool(blank[~present].all())
    blocks = []
    for number in range(first * 10 * source.rate[1] // source.rate[0] - 1, 10**9):
        begin, end = source.grid.first_sample(number), source.grid.first_sample(number + 1)
        if begin >= first + samples:
            break
        if begin < first:
            continue
        for group in source.groups:
            low, high = group_range(group, source.channels)
            part = present[begin - first : end - first, low - 1 : high]
            assert part.all() or not part.any()
            if part.all():
                blocks.append((number, group))
    return Seen((first, first + samples), blocks, len(gaps), right)


@pytest.fixture
def look_at():
    """Look at all files of a folder: look_at(folder, source); each is read once for as long as it stays as it is."""
    seen = {}

    def look(folder, source):
        found = Found()
        for path in sorted(folder.rglob(f"{source.site}-*.h5")):
            state = path.stat()
            key = path, state.st_ino, state.st_mtime_ns
            if key not in seen:
                seen[key] = see(path, source)
            one = seen[key]
            found.files[path] = one.samples
            found.blocks.update(one.blocks)
            found.gaps += one.gaps
            if not one.right:
                found.wrong.append(path)
        return found

    return look


@pytest.fixture
def wait_recorded(tmp_path, look_at):
    """Wait until the files hold exactly what was published, each sample once and unaltered; give what was found."""

    async def wait(source, folder=tmp_path / "recordings", timeout=60.0):
        def all_there():
            found = look_at(folder, source)
            return found if set(found.blocks) >= source.published else None

        found = await until(all_there, f"all {len(source.published)} blocks of {source.site}", timeout)
        assert found.blocks == Counter(dict.fromkeys(source.published, 1))
        assert found.wrong == []
        assert list(folder.rglob("*.part")) == []
        return found

    return wait


@pytest.fixture
def nothing_waits(publisher):
    """Say that the broker holds nothing more for the recorder of a site; it must have been stopped before."""

    async def check(source):
        assert await publisher.waiting(source.site) == 0

    return check
