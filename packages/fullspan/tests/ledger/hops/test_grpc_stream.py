import asyncio
import contextlib
import threading
import time

import grpc
import grpc.aio
import pytest

from fullspan.errors import StackError
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import GrpcStream, HopRunner

METHOD = "/numbers.Numbers/Count"
WITHIN_S = 10


class Numbers:
    """A real server whose stream sends n numbers and then ends, breaks off, or hangs."""

    def __init__(self, n, then):
        self.n, self.then = n, then
        self.port = 0
        self.gone = threading.Event()
        self._ready = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(WITHIN_S)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_stream_rpc_method_handler(self._count)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("numbers.Numbers", {"Count": handler})])
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._ready.set()
        await self._stop.wait()
        await server.stop(None)

    async def _count(self, _, context):
        try:
            for number in range(self.n):
                yield b"%d" % number
            if self.then == "break":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the job was stopped")
            if self.then == "hang":
                await asyncio.sleep(60)  # audit: sleep because the stream hangs until it is cancelled
        finally:
            self.gone.set()

    @contextlib.asynccontextmanager
    async def open(self):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_stream(METHOD)(b"")
            try:
                yield call
            finally:
                call.cancel()


def observations(message, moment):
    number = int(message)
    yield Observation("row", f"job/0/{2 * number}", 2 * number, 0, moment.mono_ns, moment.wall_ns)
    yield Observation("row", f"job/0/{2 * number + 1}", 2 * number + 1, 0, moment.mono_ns, moment.wall_ns)


def wait_until(condition, what):
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {WITHIN_S} s"
        time.sleep(0.01)


def test_every_message_is_seen_with_the_moment_of_its_arrival():
    ledger = Ledger()
    with Numbers(50, "hang") as server, HopRunner(ledger) as runner:
        before = time.monotonic_ns()
        stream = runner.start(GrpcStream(server.open, observations))
        wait_until(lambda: len(ledger) == 100, "100 rows were seen")
        after = time.monotonic_ns()
        assert stream.failed is None
    seen = ledger.observations("row")
    assert [o.sequence for o in seen] == list(range(100))
    assert all(before < o.seen_ns < after for o in seen)


@pytest.mark.parametrize(
    ("then", "reason"),
    [("end", "the stream came to its end"), ("break", "the stream broke off: UNAVAILABLE, the job was stopped")],
)
def test_how_the_stream_ended_is_told(then, reason):
    ledger = Ledger()
    with Numbers(3, then) as server, HopRunner(ledger) as runner:
        # A stream this short may be over before its start is confirmed; that it began is seen from the records.
        with contextlib.suppress(StackError):
            stream = GrpcStream(server.open, observations)
            runner.start(stream)
        wait_until(lambda: stream.failed is not None, "the end was noticed")
    assert stream.failed == reason
    assert stream.is_interrupted
    assert len(ledger) == 6


@pytest.mark.timed
def test_the_loop_stops_although_the_stream_hangs_and_the_server_sees_the_viewer_go():
    with Numbers(1, "hang") as server:
        ledger = Ledger()
        with HopRunner(ledger) as runner:
            runner.start(GrpcStream(server.open, observations))
            wait_until(lambda: len(ledger) == 2, "the first message was seen")
            began = time.monotonic()
        assert time.monotonic() - began < 1
        assert server.gone.wait(WITHIN_S)


def test_a_server_that_is_not_there_is_an_error():
    @contextlib.asynccontextmanager
    async def nowhere():
        async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
            yield channel.unary_stream(METHOD)(b"")

    with HopRunner(Ledger()) as runner, pytest.raises(StackError, match=r"Hop row \(grpc\) .* UNAVAILABLE"):
        runner.start(GrpcStream(nowhere, observations))


def test_a_message_that_cannot_be_read_ends_the_hop_and_not_its_neighbour():
    def unreadable(message, moment):
        raise ValueError(f"no number in {message!r}")

    ledger = Ledger()
    with Numbers(5, "hang") as server, HopRunner(ledger) as runner:
        good = runner.start(GrpcStream(server.open, observations))
        bad = GrpcStream(server.open, unreadable, name="other")
        with contextlib.suppress(StackError):
            runner.start(bad)
        wait_until(lambda: bad.failed is not None and len(ledger) == 10, "one failed and the other read on")
        assert good.failed is None
    assert bad.failed == "it could not read a message: ValueError: no number in b'0'"
