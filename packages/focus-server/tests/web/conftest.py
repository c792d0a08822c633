"""LiveView in a real browser, served with its real headers; the test plays the jobs and writes their streams itself."""

import asyncio
import contextlib
import io
import itertools
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from fractions import Fraction

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import expect
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from focus_server.api.liveview import install_liveview
from focus_server.contract import (
    Channels,
    ConfigureRequest,
    Refusal,
    check_request,
    frequencies,
    request_bins,
    stream_groups,
    stream_index,
)
from focus_server.contract.derive import request_hop, stream_amount
from focus_server.proto import DataStream

WAIT_S = 60
TICK_S = 0.05
LOOK_ANYWAY_MS = 1000
FS = Fraction(1000)
FIBRE = Channels(min=1, max=500)
STRIP = 32
SIZE = {"width": 1366, "height": 768}
ZONE = "Asia/Tokyo"
LEFT = (WebSocketDisconnect, RuntimeError)
"""What sending to a viewer is answered with who has just left."""
NEXT_PICTURE = """(canvas, [drawn, patienceMs]) => new Promise((found) => {
  const look = () => canvas.getAttribute("data-frames") !== drawn && found();
  new MutationObserver(look).observe(canvas, { attributeFilter: ["data-frames"] });
  setTimeout(found, patienceMs);
  look();
})"""
MEDIA = {"color_scheme": "no-override", "reduced_motion": "no-override"}


class Job:
    """A job whose rows the test writes; row 0 is due when the job is made."""

    def __init__(self, id_, request, lowered, now_s):
        self.id = id_
        self.lowered = lowered
        self.request = request
        self.hop = request_hop(request, FS)
        self.nfft = request.effective_nfft or self.hop
        self.first_bin, self.last_bin = request_bins(request, FS) or (0, -1)
        self.bins = self.last_bin - self.first_bin + 1
        self.t0_ns = round(now_s * 10**9) - round(self.nfft * 10**9 / FS)
        if request.start_time is not None:
            self.t0_ns = round(request.start_time * 10**9)
        first, last = request.channels.min, request.channels.max
        amount = stream_amount(request.view_type, request.channels.amount)
        self.groups = [Channels(min=low, max=high) for low, high in stream_groups(first, last, amount)]
        self.viewers = {number: set() for number in range(len(self.groups))}
        self.said = {number: [] for number in self.viewers}
        self.complete = False
        self.sent = 0  # rows that flowed

    @property
    def watched(self):
        """Whether each stream has a viewer."""
        return all(self.viewers.values())

    @property
    def answer(self):
        grid = {"t0_ns": self.t0_ns, "fs_num": 1000, "fs_den": 1, "first_line": 0, "hop": self.hop, "nfft": self.nfft}
        return {
            "status": "success", "job_id": self.id, "stream_url": "http://127.0.0.1", "stream_port": 1,
            "stream_amount": len(self.groups), "channel_amount": self.request.channels.amount,
            "channel_to_stream_index": stream_index([(group.min, group.max) for group in self.groups]),
            "frequencies_list": frequencies(FS, self.nfft, self.first_bin, self.last_bin) if self.bins else [],
            "frequencies_amount": self.bins, "lines_dt": float(self.hop / FS), "view_type": int(self.request.view_type),
            "metadata": {
                "units": "counts", "fs": 1000.0, "dx": 4.0, "recording_ids": [], "ready_in_s": 0.0,
                "grid": grid, "lowered": self.lowered, "displayInfo": {"height": self.request.display_info.height},
                "displayTimeAxisDuration": 10.0,
            },
        }  # fmt: skip

    def due_s(self, row):
        """Wall time at which the last sample of a row is due."""
        return self.t0_ns / 1e9 + float((row * self.hop + self.nfft) / FS)

    def row_due(self, age_s=0.0):
        """The newest row that was due so long ago."""
        return int((time.time() - age_s - self.due_s(0)) * float(FS / self.hop))

    def message(self, rows, amplitudes, stream=0):
        """Serialise rows (their numbers) of one stream with their amplitudes [row, bin], or [row, channel, bin].

        Those of a waterfall are [row, channel].
        """
        channels = self.groups[stream]
        finite = amplitudes[np.isfinite(amplitudes)]
        centres = [self.due_s(row) - self.nfft / 2000 for row in rows]
        return DataStream(
            start_channel=channels.min, end_channel=channels.max,
            timestamp_in_milis=[round(1000 * centre) for centre in centres], row_index=rows,
            data_shape_x=self.bins or channels.amount, data_shape_y=len(rows),
            data_shape_z=channels.amount if self.bins else None, job_id=1,
            global_maximum=finite.max(initial=0), global_minimum=finite.min(initial=np.inf) if finite.size else 0,
            main_data=[np.asarray(row, "<f4").tobytes() for row in amplitudes],
        ).SerializeToString()  # fmt: skip


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config, ready):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self._ready.set_result(None)


class ScriptedServer:
    """The page's server in a thread; requests are checked by the real contract, everything else is the test's word.

    The port is held by whoever made it. All jobs have ids of their own, for the end of a page may still be told to the
    server that came next.
    """

    _serials = itertools.count(1)

    def __init__(self, port):
        self.jobs = {}
        self._made = set()
        self.requests = []
        self.keys = []
        self.viewers = []
        self.refusals = deque()
        self.deleted = []
        self.connections = 0
        self.ranges = []  # what is recorded, s since 1970, or a refusal
        self.asked_ranges = []
        self.socket_code = None  # close code given to every new viewer, instead of a stream
        self.lowered = None  # why jobs have fewer lines than they were asked for
        self.stands_at = None  # when jobs are made, s since 1970, whatever time it is; answers then have no date
        self.live_metadata = {
            "prr": 1000.0, "num_samples_per_trace": 100, "dtype": "int16", "dx": 4.0, "fiber_start_meters": 100.0,
            "fiber_length_meters": 2100.0, "sw_version": "0.1.0", "number_of_channels": 500,
            "fiber_description": "earthquake replay", "fiber_source": {},
        }  # fmt: skip
        self._port = port
        self._changed = threading.Condition()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    @property
    def job(self):
        """The newest job, as soon as a viewer watches it."""
        self.until(lambda: self.jobs and list(self.jobs.values())[-1].watched, "a viewer of the newest job")
        return list(self.jobs.values())[-1]

    def until(self, condition, what):
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), f"waited {WAIT_S} s for {what}"

    def start(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        ready = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listener, ready),))
        self._thread.start()
        ready.result(WAIT_S)

    def stop(self):
        """End as a server that dies would; `start` brings it back on the same port, with its jobs."""
        self._loop.call_soon_threadsafe(setattr, self._server, "should_exit", True)
        self._loop.call_soon_threadsafe(setattr, self._server, "force_exit", True)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def send(self, job, rows, amplitudes, stream=0):
        """Send rows to who watches, and to whoever comes later: a busy browser may need more than one try to come."""
        self._to_all(job, stream, "send_bytes", job.message(rows, np.asarray(amplitudes), stream), kept=True)

    def flow(self, job, ahead_s=0.0):
        """Have lines come as they fall due, those that are due already at once, until `hold`: the picture is live.

        So many seconds ahead is the clock that they fall due by.
        """

        async def act():
            self._flows[job.id] = asyncio.create_task(self._flow(job, ahead_s))

        self._do(act())

    def hold(self, job):
        """Have no more lines come; gives the newest."""

        async def act():
            flow = self._flows.pop(job.id)
            flow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flow

        self._do(act())
        return job.sent - 1

    async def _flow(self, job, ahead_s):
        while True:
            rows = list(range(job.sent, job.row_due(-ahead_s) + 1))
            if rows and job.watched:
                job.sent = rows[-1] + 1
                for stream, group in enumerate(job.groups):
                    message = job.message(rows, np.full((len(rows), group.amount, job.bins or 1), 1e-3), stream)
                    for viewer in list(job.viewers[stream]):
                        with contextlib.suppress(*LEFT):
                            await viewer.send_bytes(message)
            await asyncio.sleep(TICK_S)

    def send_whole(self, job, rows, amplitudes):
        """Send rows of all channels [row, channel, bin], each stream its part."""
        for stream, group in enumerate(job.groups):
            first = group.min - job.request.channels.min
            self.send(job, rows, amplitudes[:, first : first + group.amount], stream)

    def send_bytes(self, job, data):
        self._to_all(job, 0, "send_bytes", data)

    def tell(self, job, **frame):
        self._to_all(job, 0, "send_json", frame)

    def close(self, job, code, reason="", stream=0):
        self._to_all(job, stream, "close", code, reason)

    def complete(self, job):
        """End all streams as those of a recording end."""
        job.complete = True
        for stream in range(len(job.groups)):
            self._to_all(job, stream, "send_json", {"type": "complete"})
            self.close(job, 1000, "complete", stream)

    def _to_all(self, job, stream, method, *arguments, kept=False):
        async def act():
            if kept:
                job.said[stream].append(arguments)
            for viewer in list(job.viewers[stream]):
                with contextlib.suppress(*LEFT):
                    await getattr(viewer, method)(*arguments)

        self._do(act())

    def _do(self, act):
        asyncio.run_coroutine_threadsafe(act, self._loop).result(WAIT_S)

    async def _serve(self, listener, ready):
        self._loop = asyncio.get_running_loop()
        self._flows = {}
        config = uvicorn.Config(
            self._app(), lifespan="off", http="h11", ws="websockets-sansio", ws_per_message_deflate=False,
            log_config=None, access_log=False, date_header=not self.stands_at,
        )  # fmt: skip
        self._server = _Server(config, ready)
        await self._server.serve([listener])

    def _app(self):
        app = FastAPI()
        app.add_api_route("/ack", self._ack)
        app.get("/live_metadata")(lambda: self.live_metadata)
        app.get("/channels")(lambda: {"lowest_channel": FIBRE.min, "highest_channel": FIBRE.max})
        app.add_api_route("/configure", self._configure, methods=["POST"])
        app.add_api_route("/recordings_in_time_range", self._recordings, methods=["POST"])
        app.add_api_route("/metadata/{job_id}", self._metadata)
        app.add_api_route("/job/{job_id}", self._delete, methods=["DELETE"])
        app.add_api_websocket_route("/ws/jobs/{job_id}/streams/{stream}", self._watch)
        install_liveview(app)
        return app

    async def _ack(self):
        return {}

    async def _configure(self, request: Request):
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers["Idempotency-Key"])
        self.viewers.append(request.headers["X-Viewer"])
        try:
            if self.refusals:
                raise self.refusals.popleft()
            wanted = ConfigureRequest.read(body)
            check_request(wanted, FIBRE)
            job = Job(f"0-{next(self._serials)}", wanted, self.lowered, self.stands_at or time.time())
        except Refusal as refusal:
            return _refused(refusal)
        self._made.add(job.id)
        self.jobs[job.id] = job
        return JSONResponse(job.answer)

    async def _recordings(self, request: Request):
        body = await request.json()
        with self._changed:
            self.asked_ranges.append(body)
            self._changed.notify_all()
        if isinstance(self.ranges, Refusal):
            return _refused(self.ranges)
        return JSONResponse(self.ranges)

    async def _metadata(self, job_id: str):
        if job_id in self.jobs:
            return JSONResponse(self.jobs[job_id].answer)
        return JSONResponse({"error": "Invalid job_id", "detail": ""}, 404)

    async def _delete(self, job_id: str):
        with self._changed:
            if job_id in self._made:
                self.deleted.append(job_id)
            self._changed.notify_all()
        return JSONResponse({"job_id": job_id})

    async def _watch(self, websocket: WebSocket, job_id: str, stream: int):
        await websocket.accept()
        job = self.jobs.get(job_id)
        with self._changed:
            self.connections += 1
            if job and self.socket_code is None:
                job.viewers[stream].add(websocket)
            self._changed.notify_all()
        if job is None or self.socket_code is not None:
            await websocket.close(self.socket_code or 4404)
            return
        try:
            for message in list(job.said[stream]):
                await websocket.send_bytes(*message)
            if job.complete:
                await websocket.send_json({"type": "complete"})
                await websocket.close(1000, "complete")
            while True:
                await websocket.receive_text()
        except LEFT:
            job.viewers[stream].discard(websocket)


def _refused(refusal):
    return JSONResponse(refusal.body.model_dump(mode="json"), refusal.status, refusal.headers)


@pytest.fixture(scope="session")
def port():
    """A port that is kept also while no server listens: what a page has loaded lasts for all tests."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def server(port):
    server = ScriptedServer(port)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def windows():
    """The one window, as soon as there is one."""
    return []


@pytest.fixture(scope="module")
def window(browser, windows):
    """A page that all tests use one after another; a window of its own costs each a second, and so does its cache."""
    expect.set_options(timeout=1000 * WAIT_S)
    if not windows:
        windows.append(browser.new_context(timezone_id=ZONE).new_page())
    return windows[0]


@pytest.fixture(scope="module")
def forget(window, port):
    """Have the browser forget what pages have kept."""
    session = window.context.new_cdp_session(window)
    kept = {"origin": f"http://127.0.0.1:{port}", "storageTypes": "local_storage"}
    return lambda: session.send("Storage.clearDataForOrigin", kept)


@pytest.fixture
def open_page(browser, window, forget, server):
    """Open LiveView with a query; a script error anywhere on a page fails the test.

    A page whose clock stands, at a time in s since 1970, sees only as much time pass as the test says.
    """
    errors = []
    contexts = []

    def watch(error):
        errors.append(str(error))

    def open_(query="", stands_at=None, **options):
        page = window
        if stands_at or "device_scale_factor" in options:
            contexts.append(browser.new_context(timezone_id=ZONE, **options))
            page = contexts[-1].new_page()
        else:
            page.emulate_media(**(MEDIA | options))
        if stands_at:
            page.clock.install(time=stands_at - 60)
            page.clock.pause_at(stands_at)
        page.set_viewport_size(SIZE)
        page.mouse.move(0, 0)
        page.on("pageerror", watch)
        page.set_default_timeout(1000 * WAIT_S)
        page.goto(f"{server.url}/liveView{query}")
        return page

    yield open_
    window.goto("about:blank")
    forget()
    window.remove_listener("pageerror", watch)
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def live(open_page, server):
    """Open a page whose lines come and go on coming; gives it and its job."""

    def open_(query, **options):
        page = open_page(query, **options)
        job = server.job
        server.flow(job)
        expect(page.get_by_test_id("connection")).to_have_text("live")
        return page, job

    return open_


@pytest.fixture
def proof(open_page, server):
    """Open a proof picture; gives the page and its job."""

    def open_(**choices):
        query = {"proof": 1, "channel": 7, "nfft": 256, "lps": 20, "height": 64, "lo": -80, "hi": 20} | choices
        page = open_page("?" + "&".join(f"{name}={value}" for name, value in query.items()))
        return page, server.job

    return open_


class ProofPicture:
    """A proof picture as read from the screen."""

    def __init__(self, page):
        image = Image.open(io.BytesIO(page.get_by_test_id("canvas").screenshot()))
        self.rgb = np.asarray(image.convert("RGB"))
        strip = self.rgb[:, :STRIP, :]
        white = (strip == 255).all(axis=2)
        self.valid = (white | (strip == 0).all(axis=2)).all(axis=1) & (white.sum(axis=1) % 2 == 1)
        self.numbers = np.where(self.valid, (white[:, :31] << np.arange(30, -1, -1)).sum(axis=1), -1)
        self.codes = self.rgb[:, STRIP:, 0]

    @property
    def gray(self):
        return bool((self.rgb == self.rgb[:, :, :1]).all())


@pytest.fixture
def look():
    """Read the screen again until it shows what is waited for, but not before the page has drawn something else."""

    def until(page, read, right, what):
        """Give what `read(page)` gave when that was right."""
        canvas = page.get_by_test_id("canvas")
        deadline = time.monotonic() + WAIT_S
        while True:
            drawn, looked = canvas.get_attribute("data-frames"), time.monotonic()
            if right(seen := read(page)):
                return seen
            assert looked < deadline, f"waited {WAIT_S} s for {what}"
            # A screenshot is dear; one without need is for what a busy browser shows late.
            canvas.evaluate(NEXT_PICTURE, [drawn, LOOK_ANYWAY_MS])

    return until


@pytest.fixture
def read_proof(look):
    """Read the proof picture as soon as its newest line has the number that is given."""

    def read(page, newest):
        return look(page, ProofPicture, lambda picture: picture.numbers[-1] == newest, f"line {newest}")

    return read
