"""SciPy as the oracle, blocks and recordings made of plain arrays, a real broker, the analyzer as its own process."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import aio_pika
import grpc
import grpc.aio
import httpx
import numpy as np
import pytest

from focus_server.analyzer.engine import Engine
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.making import JobMaker
from focus_server.analyzer.store import JobStore
from focus_server.contract import ConfigureRequest
from focus_server.fiber import Block, FiberAnnouncement, announcement_key, encode, group_count, group_range
from focus_server.fiber.grid import FiberGrid
from focus_server.recordings import RecordingEntry
from focus_server.recordings.entry import recording_uuid
from focus_server.recordings.prodml import write_recording
from focus_server.settings import AnalyzerSettings
from fullspan.clients.focus_stream import open_stream
from fullspan.testing import RunningRabbitMQ

WAIT_S = 60
TOLERANCE_DB = 0.01


class Oracle:
    """What `signal.md` says a row must be, computed by SciPy in float64."""

    @staticmethod
    def amplitude(samples, fs, nfft, hop, scale=1.0):
        """A of each line [..., line, bin] of `samples` [..., time]."""
        # Takes a second, also where no test asks it.
        from scipy.signal import spectrogram
        from scipy.signal.windows import hann

        _, _, power = spectrogram(
            samples.astype(np.float64) * scale,
            fs=float(fs),
            window=hann(nfft, sym=False),
            nperseg=nfft,
            noverlap=nfft - hop,
            detrend="constant",
            scaling="density",
            mode="psd",
        )
        return np.sqrt(np.moveaxis(power, -1, -2))

    @staticmethod
    def deviation_db(row, expected, first_bin=0):
        """The largest deviation of bins within 100 dB of each line's maximum, bin 0 excluded; NaN is infinite."""
        assert row.shape == expected.shape
        skip = 1 if first_bin == 0 else 0
        row, expected = row[..., skip:].astype(np.float64), expected[..., skip:]
        counted = expected >= expected.max(axis=-1, keepdims=True) * 1e-5
        with np.errstate(divide="ignore"):
            deviation = np.abs(20 * np.log10(row / expected))[counted]
        return float("inf") if np.isnan(deviation).any() else float(deviation.max())


@pytest.fixture(scope="session", autouse=True)
async def one_loop(anyio_backend):
    """One event loop for all tests: gRPC hands the last events of a closed server to the loop that it was made in."""


@pytest.fixture(scope="session")
def oracle():
    return Oracle


@dataclass(frozen=True)
class Source:
    """A fibre made of an array [channel, time]: its announcement and its blocks of 100 ms."""

    data: np.ndarray
    fs: Fraction = Fraction(1000)
    t0_ns: int = 1_700_000_000_000_000_000
    scale: str = "1"
    site: str = "local"
    epoch: int = 1

    @property
    def channels(self):
        return len(self.data)

    @property
    def dtype(self):
        return self.data.dtype.name

    @property
    def grid(self):
        return FiberGrid(self.t0_ns, self.fs.numerator, self.fs.denominator)

    def announcement(self):
        return FiberAnnouncement(
            site=self.site,
            epoch=self.epoch,
            t0_ns=self.t0_ns,
            fs_num=self.fs.numerator,
            fs_den=self.fs.denominator,
            number_of_channels=self.channels,
            dx=2.5,
            fiber_start_meters=100.0,
            fiber_description="an array",
            fiber_source={"kind": "array"},
            units="1/s",
            dtype=self.dtype,
            scale=self.scale,
            num_samples_per_trace=self.channels,
        )

    def block(self, number, group, first_block=0):
        """Block `number` of the array; on the fibre it is block `first_block` + `number`."""
        begin, end = self.grid.first_sample(first_block + number), self.grid.first_sample(first_block + number + 1)
        offset = self.grid.first_sample(first_block)
        low, high = group_range(group, self.channels)
        return Block(
            site=self.site,
            group=group,
            epoch=self.epoch,
            seq=number,
            first_sample=begin,
            fs_num=self.fs.numerator,
            fs_den=self.fs.denominator,
            t0_ns=self.t0_ns,
            ch_first=low,
            ch_last=high,
            dtype=self.dtype,
            scale=self.scale,
            data=np.ascontiguousarray(self.data[low - 1 : high, begin - offset : end - offset].T),
        )

    def blocks(self, first_block=0):
        """All whole blocks, in the order in which an interrogator sends them."""
        offset, number = self.grid.first_sample(first_block), 0
        while self.grid.first_sample(first_block + number + 1) - offset <= self.data.shape[1]:
            for group in range(group_count(self.channels)):
                yield self.block(number, group, first_block)
            number += 1


@pytest.fixture(scope="session")
def source():
    return Source


class Archive:
    """Writes an array as recordings of `recording_s` seconds below a folder, as a recorder does.

    `lost` are (first_sample, end_sample, first_channel, last_channel) that the recorder never got.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, source, recording_s=1, lost=()):
        """The entries of all whole recordings of the array, the first one of which is the fibre's first."""
        entries = []
        while (end := source.grid.first_sample(10 * recording_s * (len(entries) + 1))) <= source.data.shape[1]:
            begin = source.grid.first_sample(10 * recording_s * len(entries))
            entries.append(self._write_one(source, len(entries), begin, end, lost))
        return entries

    def moved(self, source, first_sample):
        """One recording of the whole array, whose first sample is this one of the fibre."""
        return self._write_one(
            source, first_sample, first_sample, first_sample + source.data.shape[1], (), first_sample
        )

    def _write_one(self, source, slot, begin, end, lost, offset=0):
        data = source.data[:, begin - offset : end - offset].T.copy()
        gaps = [
            (max(low, begin), min(high, end), *channels) for low, high, *channels in lost if low < end > begin < high
        ]
        for low, high, first, last in gaps:
            data[low - begin : high - begin, first - 1 : last] = 0 if data.dtype == np.int16 else np.nan
        key = (source.t0_ns, source.fs.numerator, source.fs.denominator, source.channels, source.dtype, source.scale)
        entry = RecordingEntry(
            uuid=recording_uuid(source.site, key, slot),
            base_path=str(self.folder),
            path=f"{source.site}/{source.t0_ns}-{slot}.h5",
            start_ns=source.grid.time_ns(begin),
            end_ns=source.grid.time_ns(end),
            site=source.site,
            channels=source.channels,
            dx=2.5,
            units="1/s",
            dtype=source.dtype,
            scale=source.scale,
            samples=end - begin,
            t0_ns=source.t0_ns,
            fs_num=source.fs.numerator,
            fs_den=source.fs.denominator,
            first_sample=begin,
            gaps=bool(gaps),
        )
        write_recording(entry, data, np.array(gaps, np.int64).reshape(-1, 4), self.folder)
        return entry


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "recordings")


@pytest.fixture(scope="module")
def shared_archive(tmp_path_factory):
    """As `archive`, for recordings that all tests of a file play and none alters."""
    return Archive(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def feed():
    """Make a feed that has taken a source: feed(source, ring_samples=..., give_up_s=...)."""

    def make(source, ring_samples=200_000, give_up_s=2.0, first_block=0):
        made = Feed(ring_samples, give_up_s, lambda fibre: None)
        made.announced(source.announcement(), 0.0)
        for block in source.blocks(first_block):
            made.arrived(block, 0.0)
        return made

    return make


@pytest.fixture(scope="session")
def rabbitmq(one_rabbitmq: RunningRabbitMQ) -> RunningRabbitMQ:
    return one_rabbitmq.virtual_host("analyzer")


class AnalyzerProcess:
    """`focus-server analyze` as its own process, with its log and a client of its HTTP interface."""

    def __init__(self, folder: Path, url: str, **settings):
        self.folder = folder
        self.socket = folder / "analyzer.sock"
        self.log = folder / "analyzer.log"
        self.environment = os.environ | {
            "FOCUS_AMQP_URL": url,
            "FOCUS_STATE_DIR": str(folder / "state"),
            "FOCUS_ANALYZER_SOCKET": str(self.socket),
            "FOCUS_RING_SAMPLES": "65536",
        }
        self.environment |= {f"FOCUS_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = None

    def start(self, ready=("analyzer.ready", "rabbitmq.up")):
        """Start it and wait until it says that it is ready and reads the broker, or what else is waited for."""
        with self.log.open("ab") as log:
            begin = log.tell()
            command = [sys.executable, "-m", "focus_server", "analyze"]
            self.process = subprocess.Popen(command, env=self.environment, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + WAIT_S
        while not set(ready) <= {event["event"] for event in self.events(begin)}:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"not ready: {self.log.read_text()}"
            time.sleep(0.02)

    def events(self, begin=0):
        return [json.loads(line) for line in self.log.read_bytes()[begin:].splitlines()]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def client(self):
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        return httpx.AsyncClient(transport=transport, base_url="http://analyzer", timeout=WAIT_S)


@contextlib.contextmanager
def analyzers(folder):
    made = []

    def make(url, **settings):
        made.append(AnalyzerProcess(folder, url, **settings))
        return made[-1]

    yield make
    for process in made:
        if process.process is not None and process.process.poll() is None:
            process.end()


@pytest.fixture
def analyzer_process(tmp_path):
    """Make analyzers that are not started yet: analyzer_process(url, **settings); they are ended with the test."""
    with analyzers(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def shared_analyzer_process(tmp_path_factory):
    """As `analyzer_process`, for all tests of a file; one that kills it starts it again."""
    with analyzers(tmp_path_factory.mktemp("analyzer")) as make:
        yield make


@pytest.fixture
def analyzer(analyzer_process, rabbitmq):
    """Start analyzers: analyzer(**settings)."""

    def start(**settings):
        process = analyzer_process(rabbitmq.amqp_url, **settings)
        process.start()
        return process

    return start


class Publisher:
    """Sends blocks and announcements over the real broker."""

    def __init__(self, exchange):
        self._exchange = exchange

    async def announce(self, source):
        message = aio_pika.Message(source.announcement().to_json())
        await self._exchange.publish(message, announcement_key(source.site), mandatory=False)

    async def send(self, block):
        await self.send_raw(*encode(block))

    async def send_raw(self, key, headers, body):
        await self._exchange.publish(aio_pika.Message(body, headers=dict(headers)), key, mandatory=False)

    async def play(self, source, first_block=0):
        await self.announce(source)
        for block in source.blocks(first_block):
            await self.send(block)


@pytest.fixture
async def publisher(rabbitmq):
    async with await aio_pika.connect(rabbitmq.amqp_url, timeout=60) as connection:
        channel = await connection.channel()
        yield Publisher(await channel.declare_exchange("prisma", aio_pika.ExchangeType.TOPIC, durable=True))


@pytest.fixture(scope="session")
def until():
    """Wait for something: await until(condition, "what is waited for"); the condition may be a coroutine function."""

    async def wait(condition, what, timeout=WAIT_S):
        deadline = time.monotonic() + timeout
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
            await asyncio.sleep(0.02)

    return wait


class Rows:
    """What one viewer has read of a stream: row index -> values [channel, bin]."""

    def __init__(self, call):
        self._call = call
        self.order = []
        self.values = {}
        self.stamps = {}
        self.messages = []

    async def read(self, until, timeout=WAIT_S):
        """Read until `until(self)` holds; a stream that ends raises."""
        async with asyncio.timeout(timeout):
            while not until(self):
                message = await self._call.read()
                assert message is not grpc.aio.EOF, "the stream ended"
                self._take(message)
        return self

    async def read_to(self, index, timeout=WAIT_S):
        return await self.read(lambda rows: rows.order and rows.order[-1] >= index, timeout)

    async def end(self, timeout=WAIT_S):
        """Read to the end; the status code and the reason."""
        try:
            async with asyncio.timeout(timeout):
                while (message := await self._call.read()) is not grpc.aio.EOF:
                    self._take(message)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()
        return await self._call.code(), await self._call.details()

    def _take(self, message):
        self.messages.append(message)
        channels = message.data_shape_z or 1
        for index, stamp, data in zip(message.row_index, message.timestamp_in_milis, message.main_data, strict=True):
            assert not self.order or index > self.order[-1], "a row came twice or out of order"
            self.order.append(index)
            self.stamps[index] = stamp
            self.values[index] = np.frombuffer(data, "<f4").reshape(channels, message.data_shape_x)

    def stack(self):
        """All rows in order, [line, channel, bin]."""
        return np.stack([self.values[index] for index in self.order])


@pytest.fixture
async def watch():
    """Watch a stream: rows = await watch(answer, stream), with the first row read unless `first` is false."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_rows(answer, stream=0, first=True):
            rows = Rows(await stack.enter_async_context(open_stream("127.0.0.1", answer["stream_port"], stream)))
            return await rows.read_to(0) if first else rows

        yield open_rows


def configure_body(view=1, channels=(1, 1), **fields):
    low, high = channels
    return {"view_type": view, "channels": {"min": low, "max": high}, "displayInfo": {"height": 100}} | fields


@pytest.fixture(scope="session")
def body():
    return configure_body


class Bench:
    """Feed, jobs and engine in this process, on real ports; blocks are given to it by hand."""

    def __init__(self, folder, ring_samples=100_000, journal=None, **settings):
        self.settings = AnalyzerSettings.load(state_dir=folder, ring_samples=ring_samples, **settings)
        self.store = JobStore(folder / "jobs")
        self.feed = Feed(ring_samples, self.settings.give_up_s, lambda fibre: self.jobs.fibre_is(fibre))
        self.jobs = Jobs(self.settings, self.feed, self.store, journal)
        self.engine = Engine(self.feed, self.jobs.live)
        self.maker = JobMaker(self.settings, self.feed, self.jobs, self.store, self.engine.wake)

    def announce(self, source):
        self.feed.announced(source.announcement(), time.monotonic())

    def give(self, *blocks):
        for block in blocks:
            self.feed.arrived(block, time.monotonic())
        self.engine.wake()

    async def create(self, key=None, **fields):
        answer = await self.maker.create(ConfigureRequest.read(configure_body(**fields)), key)
        return answer.model_dump(mode="json", by_alias=True)

    async def play(self, recordings, start_s, end_s, key=None, **fields):
        """Make a job that plays recordings from one second of their fibre to another."""
        t0_s = Fraction(recordings[0].t0_ns, 10**9)
        times = {"start_time": float(t0_s + Fraction(start_s)), "end_time": float(t0_s + Fraction(end_s))}
        request = ConfigureRequest.read(configure_body(**fields, **times))
        answer = await self.maker.create(request, key, recordings)
        return answer.model_dump(mode="json", by_alias=True)


@pytest.fixture
async def bench(tmp_path):
    """Make benches that run: bench(**settings); they are closed with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings):
            made = Bench(tmp_path, **settings)
            await made.maker.reopen()
            stack.callback(made.maker.close)
            stack.push_async_callback(made.jobs.close)
            for work in (made.engine.run(), made.jobs.expire()):
                task = asyncio.create_task(work)
                stack.push_async_callback(_cancelled, task)
            return made

        yield make


async def _cancelled(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def unused_site():
    """A site that no other test has, so that queues of the shared broker never mix."""
    return f"site-{secrets.token_hex(4)}"
