"""A small recording, a real broker, an interrogator as its own process, and a reader that outlives the broker."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aio_pika
import numpy as np
import pytest
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from focus_server.fiber import Block, FiberAnnouncement, decode
from fullspan.amqp import connect
from fullspan.testing import RunningRabbitMQ

CHANNELS, SAMPLES = 50, 777


@pytest.fixture(scope="session")
def recording_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of 50 channels and 777 samples, so that tiles and loops come soon; its JSON beside it."""
    path = tmp_path_factory.mktemp("recording") / "noise.npy"
    np.save(path, np.random.default_rng(5).normal(0, 3e-5, (CHANNELS, SAMPLES)))
    info = {"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 1.5, "fiber_start_meters": 20, "units": "1/s"}
    info["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(info))
    return path


@pytest.fixture(scope="session")
def rabbitmq(one_rabbitmq: RunningRabbitMQ) -> RunningRabbitMQ:
    return one_rabbitmq.virtual_host("fiber")


class Player:
    """`focus-server replay` as its own process, with its events."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == f"interrogator.{name}"]

    async def wait_event(self, name: str, timeout: float = 60) -> dict[str, object]:
        deadline = time.monotonic() + timeout
        while not (found := self.events(name)):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"no event {name} in {self.log.read_text()}"
            await asyncio.sleep(0.02)
        return found[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def player(recording_file: Path, tmp_path: Path) -> Callable[..., contextmanager]:
    """Start an interrogator: player(url, *options); it is ended with the block."""
    count = 0

    @contextmanager
    def start(url: str, *options: str) -> Iterator[Player]:
        nonlocal count
        count += 1
        log = tmp_path / f"player-{count}.log"
        command = [sys.executable, "-m", "focus_server", "replay", "--recording", str(recording_file)]
        command += ["--state-dir", str(tmp_path / "state"), *options]
        with (
            log.open("wb") as output,
            subprocess.Popen(command, env=os.environ | {"FOCUS_AMQP_URL": url}, stderr=output, cwd=tmp_path) as process,
        ):
            try:
                yield Player(process, log)
            finally:
                process.kill()

    return start


@dataclass(frozen=True)
class Arrival:
    wall_ns: int
    block: Block

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.block.epoch, self.block.group, self.block.seq


class Reader:
    """Reads a durable queue of a site's blocks and announcements for as long as it lives, across broker restarts."""

    def __init__(self, url: str, site: str) -> None:
        self.url, self.site = url, site
        self.arrivals: list[Arrival] = []
        self.announcements: list[FiberAnnouncement] = []
        self.bound = asyncio.Event()
        self.done = False
        self._news = asyncio.Event()

    async def run(self) -> None:
        while not self.done:  # the library may turn a cancellation into an error of its own
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                async with await connect(self.url) as connection:
                    await self._read(connection)
            await asyncio.sleep(0.1)

    async def _read(self, connection: aio_pika.abc.AbstractConnection) -> None:
        channel = await connection.channel()
        await channel.set_qos(500)
        exchange = await channel.declare_exchange("prisma", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(f"test-{self.site}", durable=True, arguments={"x-expires": 60_000})
        for key in (f"fiber.{self.site}.*", f"metadata.{self.site}"):
            await queue.bind(exchange, key)
        async with queue.iterator() as messages:
            self.bound.set()
            async for message in messages:
                self._take(message)
                await message.ack()

    def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        key = message.routing_key or ""
        if key.startswith("metadata."):
            self.announcements.append(FiberAnnouncement.from_json(message.body))
        else:
            self.arrivals.append(Arrival(time.time_ns(), decode(key, message.headers, message.body)))
        self._news.set()

    async def wait(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"{what} not within {timeout} s; {len(self.arrivals)} blocks arrived")

    async def wait_blocks(self, count: int, timeout: float = 60) -> None:
        goal = len(self.arrivals) + count
        await self.wait(lambda: len(self.arrivals) >= goal, f"{count} more blocks", timeout)

    def first_arrivals(self) -> list[Arrival]:
        """Return the blocks in the order in which each was seen first."""
        seen: dict[tuple[int, int, int], Arrival] = {}
        for arrival in self.arrivals:
            seen.setdefault(arrival.identity, arrival)
        return list(seen.values())


@pytest.fixture
def reader() -> Callable[..., object]:
    """Read a site: `async with reader(url, site) as reader`."""

    @asynccontextmanager
    async def start(url: str, site: str) -> AsyncIterator[Reader]:
        reader = Reader(url, site)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reader.run())
            async with asyncio.timeout(60):
                await reader.bound.wait()
            yield reader
            reader.done = True
            task.cancel()

    return start


@cache
def _mix(x: int) -> int:
    x = x ^ (x >> 16)
    x = x * 2146121005 % 4294967296
    x = x ^ (x >> 15)
    x = x * 2221713035 % 4294967296
    return x ^ (x >> 16)


@pytest.fixture
def expected_data(recording_file: Path) -> Callable[[Block, dict[str, object]], np.ndarray]:
    """What a block must hold, from the announced parameters and the file alone; shares no code with the product."""
    values = np.load(recording_file).astype(np.float64)

    def expect(block: Block, source: dict[str, object]) -> np.ndarray:
        assert source["sha256"] == hashlib.sha256(recording_file.read_bytes()).hexdigest()
        n = block.first_sample + np.arange(block.samples)
        columns = []
        for channel in range(block.ch_first, block.ch_last + 1):
            tile, row = divmod(channel - 1, CHANNELS)
            h = [_mix(_mix(_mix(source["seed"]) ^ tile) ^ int(loop)) / 2**32 for loop in n // SAMPLES]
            column = (1 + 0.25 * np.array(h)) * (values[row, n % SAMPLES] + source["dc"])
            columns.append(np.full(len(n), np.nan) if channel in source["nan_channels"] else column)
        exact = np.stack(columns, axis=1)
        if source["dtype"] == "float32":
            return exact.astype(np.float32)
        return np.rint(exact / float(source["scale"])).astype(np.int16)

    return expect
