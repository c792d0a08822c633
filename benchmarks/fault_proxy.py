"""What the fault proxy costs on a clear link, beside the direct connection and Toxiproxy, and how exactly it delays.

Claim: at most 0.1 ms more at p50 for a small request and its response, at least 1 GB/s one way, and a delay that is
late by less than 1 ms at the median and 5 ms at p99. Client, proxy and server are three processes, as in a stack; the
samples alternate, so all meet the same machine. Toxiproxy is built with Go for this benchmark; without Go it says so.
"""

import asyncio
import multiprocessing
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from _figures import options, percentile, print_claim, read, show
from _toxiproxy import VERSION, built, toxiproxy

from fullspan.stack.proxy import LinkProxy, Toxics

MESSAGE = bytes(64)
CHUNK = bytes(1024 * 1024)
DELAY_MS = 20.0
ADDED_MS, PASSED_GB_S = 0.1, 1.0
LATE_MS, LATE_P99_MS = 1.0, 5.0
STAMP = struct.Struct("!q")


@dataclass(frozen=True)
class Size:
    """What one sample is: the median of so many round trips, so many MiB one way, so many delayed messages."""

    round_trips: int
    chunks: int
    messages: int


WHOLE, SMALL = Size(500, 512, 40), Size(50, 16, 6)


def receive(sock: socket.socket, count: int) -> bytes:
    """Return exactly `count` bytes."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionError(f"closed after {len(data)} of {count} bytes")
        data += piece
    return data


def answer(sock: socket.socket) -> None:
    """Serve one connection; its first byte says what: e(cho), t(ime of arrival) or b(ulk), with the size of it."""
    with closing(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = receive(sock, 1)
        buffer = bytearray(len(CHUNK))
        expected = STAMP.unpack(receive(sock, STAMP.size))[0] if kind == b"b" else 0
        while got := sock.recv_into(buffer, len(CHUNK) if kind == b"b" else len(MESSAGE)):
            if kind == b"e":
                sock.sendall(buffer[:got])
            elif kind == b"t":
                sock.sendall(STAMP.pack(time.monotonic_ns()))
            else:
                expected -= got
                if expected == 0:
                    sock.sendall(b"k")


def serve(pipe: Connection) -> None:
    """Be the upstream until the pipe ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with suppress(EOFError):
        pipe.recv()


def proxy(pipe: Connection, upstream: int) -> None:
    """Be the proxy; toxics come through the pipe, its end ends the process."""

    async def run() -> None:
        link = LinkProxy("benchmark", "127.0.0.1", upstream)
        await link.start()
        pipe.send(link.address[1])
        ended = asyncio.Event()

        def command() -> None:
            try:
                link.set_toxics(pipe.recv())
                pipe.send("done")
            except EOFError:
                ended.set()

        asyncio.get_running_loop().add_reader(pipe.fileno(), command)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        await link.aclose()

    asyncio.run(run())


@contextmanager
def process(target: Callable[..., None], *arguments: object) -> Iterator[tuple[Connection, int]]:
    """Run `target` in its own process; gives the pipe to it and the port it listens on."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *arguments))
    child.start()
    there.close()
    try:
        yield here, here.recv()
    finally:
        here.close()
        child.join(timeout=10)
        if child.is_alive():
            child.kill()


def connect(port: int, kind: bytes) -> socket.socket:
    """Open a connection of one kind."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(kind)
    return sock


def round_trip_us(port: int, count: int) -> float:
    """Return the median of the round trips of one sample, in microseconds."""
    samples = []
    with closing(connect(port, b"e")) as sock:
        for _ in range(count):
            began = time.perf_counter_ns()
            sock.sendall(MESSAGE)
            receive(sock, len(MESSAGE))
            samples.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(samples)


def one_way_gb_s(port: int, chunks: int) -> float:
    """Return the throughput of one sample, in 10^9 bytes per second, until the reader has the last byte."""
    with closing(connect(port, b"b" + STAMP.pack(chunks * len(CHUNK)))) as sock:
        began = time.perf_counter()
        for _ in range(chunks):
            sock.sendall(CHUNK)
        receive(sock, 1)
        return chunks * len(CHUNK) / (time.perf_counter() - began) / 1e9


def delays_ms(port: int, count: int) -> list[float]:
    """Return how long messages took one way, in milliseconds, on the clock that all processes share."""
    samples = []
    with closing(connect(port, b"t")) as sock:
        for _ in range(count + 1):
            sent = time.monotonic_ns()
            sock.sendall(MESSAGE)
            samples.append((STAMP.unpack(receive(sock, STAMP.size))[0] - sent) / 1e6)
    # The first message also paid for the connection from the proxy to the server.
    return samples[1:]


@dataclass
class Line:
    """One way to the server: its port, how it is delayed (not, when direct), and what was measured, raw."""

    port: int
    delay: Callable[[float], None] | None = None
    trips: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    undelayed: list[float] = field(default_factory=list)
    delayed: list[float] = field(default_factory=list)

    def measure(self, size: Size) -> None:
        """Take one sample of each kind."""
        self.trips.append(round_trip_us(self.port, size.round_trips))
        self.bulk.append(one_way_gb_s(self.port, size.chunks))
        if self.delay is not None:
            self.undelayed += delays_ms(self.port, size.messages)
            self.delay(DELAY_MS)
            self.delayed += delays_ms(self.port, size.messages)
            self.delay(0)


def measure(n: int, size: Size, peer: Path | None) -> dict[str, Line]:
    """Take n samples of each kind on each line, in turn."""
    with ExitStack() as running:
        _, upstream = running.enter_context(process(serve))
        control, port = running.enter_context(process(proxy, upstream))

        def delay(ms: float) -> None:
            control.send(Toxics(latency_ms=ms, direction="up"))
            control.recv()

        lines = {"direct": Line(upstream), "fault proxy": Line(port, delay)}
        if peer is not None:
            other = running.enter_context(toxiproxy(peer, upstream))
            lines["Toxiproxy"] = Line(other.port, other.delay)
        for index in range(n):
            for name in sorted(lines, reverse=bool(index % 2)):
                lines[name].measure(size)
    return lines


def main() -> None:
    """Measure and print."""
    given = read(options(__doc__, 30, "samples of each kind"))
    n, size = given.n, SMALL if given.quick else WHOLE
    print(f"n: {n} of each kind, alternating; one is the median of {size.round_trips} round trips of {len(MESSAGE)} B,")
    print(f"   {size.chunks} MiB one way, or {size.messages} messages delayed by {DELAY_MS:g} ms")
    peer = built(build=not given.quick)
    print(f"Toxiproxy {VERSION}: {'beside it' if isinstance(peer, Path) else f'not measured: {peer}'}")
    lines = measure(n, size, peer if isinstance(peer, Path) else None)
    trips = {name: show(f"round trip, {name}", line.trips, "us") for name, line in lines.items()}
    added = {name: (trips[name] - trips["direct"]) / 1e3 for name in trips if name != "direct"}
    for name in added:
        print(f"added at p50 by {name}: {added[name]:.4f} ms, ratio to direct {trips[name] / trips['direct']:.2f}")
    print_claim(f"at most {ADDED_MS:g} ms", added["fault proxy"] <= ADDED_MS, quick=given.quick)
    bulk = {name: show(f"throughput, {name}", line.bulk, "GB/s") for name, line in lines.items()}
    for name in added:
        print(f"passed by {name}: {bulk[name]:.2f} GB/s, ratio to direct {bulk[name] / bulk['direct']:.2f}")
    print_claim(f"at least {PASSED_GB_S:g} GB/s", bulk["fault proxy"] >= PASSED_GB_S, quick=given.quick)
    for name in added:
        show(f"one way when clear, {name}", lines[name].undelayed, "ms")
        show(f"late beyond {DELAY_MS:g} ms, {name}", [took - DELAY_MS for took in lines[name].delayed], "ms")
    late = [took - DELAY_MS for took in lines["fault proxy"].delayed]
    kept = statistics.median(late) < LATE_MS and percentile(late, 99) < LATE_P99_MS
    print_claim(f"late by less than {LATE_MS:g} ms, p99 {LATE_P99_MS:g} ms", kept, quick=given.quick)
    if "Toxiproxy" in lines:
        adds, passes = (values["fault proxy"] / values["Toxiproxy"] for values in (added, bulk))
        print(f"beside Toxiproxy: adds {adds:.2f} times as much, passes {passes:.2f} times as much")


if __name__ == "__main__":
    main()
