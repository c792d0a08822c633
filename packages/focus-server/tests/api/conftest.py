"""A server in this process, and the analyzer's two interfaces played by the test, so that it decides what happens."""

import asyncio
import contextlib
import json
import ssl
import time
from collections import defaultdict
from fractions import Fraction

import anyio
import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from focus_server.analyzer.control import Control
from focus_server.analyzer.control_server import ControlServer, control_socket
from focus_server.analyzer.engine import Engine
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.intake import Intake
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.making import JobMaker
from focus_server.analyzer.store import JobStore
from focus_server.api import create_app
from focus_server.contract import Dependency
from focus_server.fiber import Block, FiberAnnouncement, group_count, group_range
from focus_server.fiber.broker import BrokerAddress
from focus_server.proto import StreamDataRequest
from focus_server.settings import AnalyzerSettings, ServeSettings

READY_S = 60
AN_HOUR_S = 3600
RING_SAMPLES = 131_072
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def job_answer(job_id="0-1", port=1, streams=1):
    """What an analyzer answers for a job at 1000 samples/s, NFFT 256, bins 3 to 5, 20 lines/s."""
    return {
        "status": "success",
        "job_id": job_id,
        "stream_url": "http://127.0.0.1",
        "stream_port": port,
        "stream_amount": streams,
        "channel_to_stream_index": {"7": 0},
        "channel_amount": 1,
        "frequencies_list": [11.71875, 15.625, 19.53125],
        "frequencies_amount": 3,
        "lines_dt": 0.05,
        "view_type": 1,
        "metadata": {
            "units": "counts",
            "fs": 1000.0,
            "dx": 1.0,
            "recording_ids": [],
            "left_out": [],
            "lines": None,
            "ready_in_s": 0.0,
            "lowered": None,
            "grid": {"t0_ns": 5, "fs_num": 1000, "fs_den": 1, "first_line": 9, "hop": 50, "nfft": 256},
            "display": {"caxis": None, "colormap": None},
            "displayInfo": {"height": 100},
            "displayTimeAxisDuration": 10.0,
        },
    }


LIVE_METADATA = {
    "prr": 1000.0,
    "num_samples_per_trace": 100,
    "dtype": "int16",
    "dx": 1.0,
    "fiber_start_meters": 0.0,
    "fiber_length_meters": 500.0,
    "sw_version": "1",
    "number_of_channels": 500,
    "fiber_description": "a fibre",
    "fiber_source": {"seed": 1},
}


@contextlib.asynccontextmanager
async def serving(app, **options):
    """Serve an application in this loop until the context ends."""
    config = uvicorn.Config(app, log_config=None, lifespan="on", http="h11", ws="websockets-sansio", **options)
    config.ws_per_message_deflate = False
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve())
    try:
        with anyio.fail_after(READY_S):
            while not server.started:
                assert not task.done(), "the server ended before it was ready"
                await anyio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await task


class PlayedAnalyzer:
    """HTTP on a UNIX socket and gRPC on a port that it keeps; what it answers and sends is up to the test."""

    def __init__(self, folder):
        self.socket_path = folder / "analyzer.sock"
        self.running = False
        self.forget()
        self.streams = defaultdict(set)
        self.taken = [0]
        self.changed = asyncio.Event()
        self.port = 0
        self._stack = contextlib.AsyncExitStack()

    def forget(self):
        self.jobs = {}
        self.calls = []
        self.answers = {}
        self.displays = {"revision": 1, "jobs": {}}
        self.asked_after = None
        self.news = asyncio.Event()
        self.state = {"state": "live", "ready_in_s": 0.0, "viewers": 0, "missing_lines": 0, "dropped_lines": 0}

    async def start(self):
        self.running = True
        self.grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_stream_rpc_method_handler(self._stream, StreamDataRequest.FromString, None)
        service = grpc.method_handlers_generic_handler("pandadatastream.DataStreamService", {"StreamData": handler})
        self.grpc.add_generic_rpc_handlers((service,))
        self.port = self.grpc.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.grpc.start()
        app = Starlette(routes=[Route("/{path:path}", self._http, methods=["GET", "POST", "DELETE"])])
        await self._stack.enter_async_context(serving(app, uds=str(self.socket_path)))

    async def stop(self):
        self.running = False
        await self.grpc.stop(None)
        await self._stack.aclose()
        self.socket_path.unlink(missing_ok=True)

    def add_job(self, job_id="0-1", streams=1):
        self.jobs[job_id] = job_answer(job_id, self.port, streams)
        return self.jobs[job_id]

    def send(self, payload, stream=0):
        for queue in self.streams[stream]:
            queue.put_nowait(payload)

    def count_taken(self):
        """How many messages calls have taken from here, as the only item of a list."""
        self.taken = [0]
        return self.taken

    async def wait_for_streams(self, n=1, stream=0):
        """Wait until exactly n calls read this stream."""
        await self._until(lambda: len(self.streams[stream]) == n)

    async def wait_until_unread(self):
        """Wait until no call reads a stream."""
        await self._until(lambda: not any(self.streams.values()))

    async def _until(self, condition):
        with anyio.fail_after(READY_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def _stream(self, request, context):
        queue = asyncio.Queue()
        self.streams[request.stream_id].add(queue)
        self.changed.set()
        try:
            while True:
                item = await queue.get()
                if item is None:
                    return
                if isinstance(item, grpc.StatusCode):
                    await context.abort(item, "as the test asked")
                yield item
                self.taken[0] += 1
        finally:
            self.streams[request.stream_id].discard(queue)
            self.changed.set()

    def display(self, job_id, **display):
        """Let a job have another display, and tell it to who asks."""
        self.jobs[job_id]["metadata"]["display"] |= display
        changed = self.displays["jobs"] | {job_id: self.jobs[job_id]["metadata"]["display"]}
        self.displays = {"revision": self.displays["revision"] + 1, "jobs": changed}
        self.news.set()
        self.news = asyncio.Event()

    async def _displays(self, request):
        self.asked_after = int(request.query_params["after"])
        self.changed.set()
        with anyio.move_on_after(0.3):
            if self.asked_after == self.displays["revision"]:
                await self.news.wait()
        return JSONResponse(self.displays)

    async def _http(self, request):
        call = f"{request.method} {request.url.path}"
        body = await request.body()
        if request.url.path == "/displays":
            return await self._displays(request)
        self.calls.append((call, body))
        if callable(prepared := self.answers.get(call)) and not isinstance(prepared, JSONResponse):
            prepared = prepared(request)
        if prepared is not None:
            return prepared
        _, what, *rest = request.url.path.split("/")
        if what == "live_metadata":
            return JSONResponse(LIVE_METADATA)
        if what == "channels":
            return JSONResponse({"lowest_channel": 1, "highest_channel": 500})
        if what == "status":
            up, live = {"state": "up", "detail": ""}, {"state": "live", "detail": "", "newest_sample_age_s": 0.1}
            return JSONResponse({"rabbitmq": up, "feed": live, "jobs": len(self.jobs)})
        if (what == "jobs" and request.method == "POST") or what == "history":
            return JSONResponse(self.add_job())
        if what == "jobs" and rest and rest[0] in self.jobs:
            if request.method == "DELETE":
                del self.jobs[rest[0]]
                self.send(grpc.StatusCode.NOT_FOUND)
                return JSONResponse({})
            return JSONResponse(self.state if rest[1:] == ["state"] else self.jobs[rest[0]])
        return JSONResponse({"error": "Invalid job_id", "detail": "played"}, 404)


@pytest.fixture(scope="module")
def anyio_backend():
    """One loop for a module, so that its tests share a server."""
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
async def played(anyio_backend, folder):
    analyzer = PlayedAnalyzer(folder)
    yield analyzer
    if analyzer.running:
        await analyzer.stop()


@pytest.fixture
async def analyzer(played):
    """The played analyzer, running and with nothing left of the test before, whose calls would count as this one's."""
    if not played.running:
        await played.start()
    await played.wait_until_unread()
    played.forget()
    return played


@pytest.fixture
async def no_analyzer(played):
    if played.running:
        await played.stop()


@pytest.fixture(scope="module")
async def address(anyio_backend, folder):
    """Host and port of a server whose analyzer is the played one, if the test has it."""
    app = create_app(ServeSettings(analyzer_socket=folder / "analyzer.sock"))
    async with serving(app, host="127.0.0.1", port=0) as server:
        yield "{}:{}".format(*server.servers[0].sockets[0].getsockname())


def client(address, **options):
    """A client of a server; certificates, of which it needs none, would take a hundred times as long to load."""
    return httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=NO_CERTIFICATES, **options)


@pytest.fixture
async def http(address):
    async with client(address) as made:
        yield made


class Plant:
    """A fibre, the analyzer's jobs on it behind the real socket, and the server in front, all in this loop."""

    def __init__(self, folder, fs, channels, cores):
        self.fs = Fraction(fs)
        self.channels = channels
        self.t0_ns = time.time_ns()
        self.settings = AnalyzerSettings(state_dir=folder, ring_samples=RING_SAMPLES, compute_cores=cores, max_jobs=5)
        self.feed = Feed(RING_SAMPLES, 2.0, lambda fibre: self.jobs.fibre_is(fibre))
        self.jobs = Jobs(self.settings, self.feed, JobStore(folder / "jobs"))
        self.engine = Engine(self.feed, self.jobs.live)
        self.maker = JobMaker(self.settings, self.feed, self.jobs, JobStore(folder / "jobs"), self.engine.wake)
        intake = Intake(BrokerAddress("amqp://guest@127.0.0.1:1/"), "local", self.feed, self.engine.wake)
        intake.state = Dependency(state="up", detail="Blocks are given by hand.")
        self.control = Control(self.feed, intake, self.jobs, self.maker)
        self.socket = folder / "analyzer.sock"
        self.app = create_app(ServeSettings(analyzer_socket=self.socket))

    def give_a_block(self):
        rate = {"fs_num": self.fs.numerator, "fs_den": self.fs.denominator, "t0_ns": self.t0_ns}
        common = {"site": "local", "epoch": 1, "dtype": "int16", "scale": "1", **rate}
        announcement = FiberAnnouncement(
            **common,
            number_of_channels=self.channels,
            dx=1.0,
            fiber_start_meters=0.0,
            fiber_description="made for this test",
            fiber_source={},
            units="counts",
            num_samples_per_trace=self.channels,
        )
        later_s = time.monotonic() + AN_HOUR_S  # so that the feed stays live without more
        self.feed.announced(announcement, later_s)
        for group in range(group_count(self.channels)):
            low, high = group_range(group, self.channels)
            data = np.ones((int(self.fs / 10), high - low + 1), np.int16)
            block = Block(**common, group=group, seq=0, first_sample=0, ch_first=low, ch_last=high, data=data)
            assert self.feed.arrived(block, later_s)

    @contextlib.asynccontextmanager
    async def running(self):
        self.give_a_block()
        with control_socket(self.socket) as listener:
            server = ControlServer(self.control.app, listener)
            server.capture_signals = contextlib.nullcontext
            task = asyncio.create_task(server.until_signal())
            transport = httpx.ASGITransport(self.app)
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as self.http:
                    with anyio.fail_after(READY_S):
                        while not server.started:  # noqa: ASYNC110 - it has nothing to wait for
                            await asyncio.sleep(0.01)
                    yield self
            finally:
                server.should_exit = True
                await task
                await self.jobs.close()
                self.maker.close()

    async def ask(self, document):
        """Answer of /configure: its status and body. JSON as Python writes it, NaN and large numbers included."""
        answer = await self.http.post(
            "/configure", content=json.dumps(document), headers={"Content-Type": "application/json"}
        )
        return answer.status_code, answer.json(), answer.content

    async def living(self):
        return [job["job_id"] for job in (await self.http.get("/jobs")).json()["jobs"]]


@pytest.fixture(scope="session")
def make_plant():
    """Make plants: make_plant(folder, fs, channels, cores).running()."""
    return Plant
