"""How long each call of a Focus Server takes, beside the same requests to a bare server.

Claims, p95: /ack, /channels, /live_metadata and the catalogue's query under 20 ms; /configure under 50 ms live and
100 ms historic; cancel under 50 ms; a stream's first row under 500 ms with a filled ring; and the median of ten jobs
made at once under 200 ms, of thirty under 600 ms, with first rows at most 20 ms apart. The whole stack runs (broker,
fibre of 2222 channels at 1000 samples/s, recorder, catalogue, analyzer, server) on the same machine. Connections are
kept, as clients do; a first row counts from opening its connection. The peer takes the same request with the same
client and answers as many bytes: Starlette under uvicorn, and grpc.aio, with nothing behind them.
"""

import asyncio
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
from _bare import Bare, bare_server
from _figures import options, percentile, print_claim, read, show
from _parallel import Parallel
from _stack import add_option, the_stack, wait_until_fed

from fullspan.clients import (
    DataStream,
    FocusClient,
    Job,
    StreamReader,
    Watch,
    Wishes,
    configure_document,
    read_stream,
)

CHANNELS = (1, 50)
HISTORIC_S = 10
RECORDED_WITHIN_S = 120.0
PARALLEL = {10: 200.0, 30: 600.0}
SPREAD_MS = 20.0
ROW = "live stream to first row"

Body = dict[str, Any] | None
Reader = AbstractContextManager[StreamReader] | AbstractContextManager[Watch]


@dataclass
class Call:
    """One call: what is claimed of its p95 and what was measured, in ms."""

    name: str
    claim_ms: float
    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def report(self, *, quick: bool) -> None:
        """Print what was measured."""
        ours = show(self.name, self.ours, "ms")
        bare = show("  bare", self.bare, "ms")
        p95 = percentile(self.ours, 95)
        print(f"  ratio {ours / bare:.1f}; p95 {p95:.1f} ms")
        print_claim(f"p95 under {self.claim_ms:g} ms", p95 < self.claim_ms, quick=quick)


class Calls:
    """All calls of one client, each measured in turn with its peer."""

    def __init__(self, client: FocusClient, other: FocusClient, bare: Bare, wishes: Wishes, past: list[float]) -> None:
        self._client = client
        self._other = other
        self._bare = bare
        self._live = configure_document(CHANNELS, **wishes)
        self._historic = configure_document(CHANNELS, **(wishes | {"between": (past[0], past[0] + HISTORIC_S)}))
        self._range = {"start_time": past[0], "end_time": past[1]}
        self._count = 0
        self.calls: dict[str, Call] = {}

    def once(self) -> None:
        """Take a sample of each."""
        for path in ("/ack", "/channels", "/live_metadata"):
            self._request(f"GET {path}", 20, "GET", path)
        self._request("POST /recordings_in_time_range", 20, "POST", "/recordings_in_time_range", self._range)
        job = Job.read(self._request("POST /configure, live", 50, "POST", "/configure", self._live).json())
        self._request("GET /metadata/{job_id}", 20, "GET", f"/metadata/{job.job_id}")
        # What one of them has made computed the other one may find done, so they take turns in being first.
        self._count += 1
        for row in (self._grpc_row, self._websocket_row)[:: 1 if self._count % 2 else -1]:
            row(job)
        self._request("DELETE /job/{job_id}", 50, "DELETE", f"/job/{job.job_id}")
        past = Job.read(self._request("POST /configure, historic", 100, "POST", "/configure", self._historic).json())
        self._client.cancel(past.job_id)

    def forget(self) -> None:
        """Begin anew: what was measured until now was to warm up."""
        self.calls.clear()

    def _request(self, name: str, claim_ms: float, method: str, path: str, body: Body = None) -> httpx.Response:
        call = self.calls.setdefault(name, Call(name, claim_ms))
        answer = _answer(call.ours, self._client, method, path, body)
        _answer(call.bare, self._other, method, f"/{len(answer.content)}", body)
        return answer

    def _grpc_row(self, job: Job) -> None:
        call = self.calls.setdefault("gRPC", Call(f"{ROW}, gRPC", 500))
        size = _first_row(call.ours, read_stream(job.host, job.stream_port))
        _first_row(call.bare, read_stream("127.0.0.1", self._bare.grpc_port, size))

    def _websocket_row(self, job: Job) -> None:
        call = self.calls.setdefault("WebSocket", Call(f"{ROW}, WebSocket", 500))
        size = _first_row(call.ours, self._client.watch(job.job_id))
        _first_row(call.bare, self._other.watch("0-0", size))


def _answer(into: list[float], client: FocusClient, method: str, path: str, body: Body) -> httpx.Response:
    began = time.perf_counter()
    answer = client.raw(method, path, json=body)
    into.append((time.perf_counter() - began) * 1e3)
    return answer.raise_for_status()


def _first_row(into: list[float], opened: Reader) -> int:
    """Note the time until there is one; return how many bytes it has."""
    began = time.perf_counter()
    with opened as stream:
        for message in stream:
            if isinstance(message, DataStream):
                into.append((time.perf_counter() - began) * 1e3)
                return len(message.main_data[0])
    raise ConnectionError("the stream ended before its first row")


def recorded(client: FocusClient, seconds: float) -> list[float]:
    """Wait until so much was recorded without a gap; return its times, in epoch seconds."""
    deadline = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < deadline:
        now = time.time()
        for start, end in client.recordings(now - 3600, now):
            if end - start >= seconds:
                return [start, end]
        time.sleep(0.5)
    raise TimeoutError(f"there were not {seconds:g} s of recordings within {RECORDED_WITHIN_S:g} s")


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 200, "samples of each call; a tenth of that for each number of jobs at once")
    parser.add_argument("--nfft", type=int, default=1024, help="window length (default 1024)")
    add_option(parser)
    given = read(parser)
    wishes = Wishes(view=0, nfft=given.nfft)
    kind = f"view 0, channels {CHANNELS[0]} to {CHANNELS[1]}, NFFT {given.nfft}"
    print(f"n: {given.n} of each call, in turn with the bare server; {kind}; historic: {HISTORIC_S} s")
    rounds = max(1, given.n // 10)
    crowds = [Parallel(count) for count in PARALLEL]
    with the_stack(given.stack) as stack, bare_server() as bare:
        # Past the proxy on the link, which is there for faults: what is measured is the server.
        base_url = stack.state.direct_endpoints["focus.http"]
        with FocusClient(base_url) as client, FocusClient(bare.url) as other:
            wait_until_fed(client, CHANNELS, wishes)
            past = recorded(client, HISTORIC_S + 2 if given.quick else 100)
            calls = Calls(client, other, bare, wishes, past)
            calls.once()
            calls.forget()
            for _ in range(given.n):
                calls.once()
        for crowd in crowds:
            asyncio.run(crowd.measure(base_url, bare, CHANNELS[1], wishes, rounds))
    for call in calls.calls.values():
        call.report(quick=given.quick)
    alone_ms = percentile(calls.calls["POST /configure, live"].ours, 50)
    for crowd in crowds:
        report_crowd(crowd, alone_ms, quick=given.quick)


def report_crowd(crowd: Parallel, alone_ms: float, *, quick: bool) -> None:
    """Print what so many jobs at once took, beside one after the other."""
    claim_ms = PARALLEL[crowd.count]
    made = show(f"{crowd.count} jobs at once, all made", crowd.ours.made, "ms")
    bare = show("  bare", crowd.bare.made, "ms")
    print(f"  ratio {made / bare:.1f}; {crowd.count * alone_ms / made:.1f} x as fast as one after the other")
    print_claim(f"median under {claim_ms:g} ms", made < claim_ms, quick=quick)
    spread = show(f"{crowd.count} streams at once, first rows apart", crowd.ours.spread, "ms")
    bare = show("  bare", crowd.bare.spread, "ms")
    print(f"  ratio {spread / bare:.1f}")
    print_claim(f"median under {SPREAD_MS:g} ms", spread < SPREAD_MS, quick=quick)


if __name__ == "__main__":
    main()
