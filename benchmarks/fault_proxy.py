"""What the fault proxy costs on a clear link, beside the direct connection, and how exactly it delays.

Claim: at most 0.1 ms more at p50 for a small request and its response, and at least 1 GB/s one way. Client, proxy and
server are three processes, as in a stack; direct and proxied samples alternate, so both meet the same machine.
"""

import asyncio
import multiprocessing
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from _figures import options, print_claim, read, show

from fullspan.stack.proxy import LinkProxy, Toxics

MESSAGE = bytes(64)
CHUNK = bytes(1024 * 1024)
DELAY_MS = 20.0
ADDED_MS, PASSED_GB_S = 0.1, 1.0
STAMP = struct.Struct("!q")


@dataclass(frozen=True)
class Size:
    """What one sample is: the median of so many round trips, so many MiB one way, so many delayed messages."""

    round_trips: int
    chunks: int
    messages: int


WHOLE, SMALL = Size(500, 512, 40), Size(50, 64, 10)


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
class Samples:
    """What was measured, raw."""

    trips: dict[str, list[float]] = field(default_factory=lambda: {"direct": [], "proxied": []})
    bulk: dict[str, list[float]] = field(default_factory=lambda: {"direct": [], "proxied": []})
    undelayed: list[float] = field(default_factory=list)
    delayed: list[float] = field(default_factory=list)


def measure(n: int, size: Size) -> Samples:
    """Take n samples of each kind, direct and proxied in turn."""
    samples = Samples()
    with process(serve) as (_, upstream), process(proxy, upstream) as (control, link):
        ports = {"direct": upstream, "proxied": link}
        for index in range(n):
            for name in sorted(ports, reverse=bool(index % 2)):
                samples.trips[name].append(round_trip_us(ports[name], size.round_trips))
                samples.bulk[name].append(one_way_gb_s(ports[name], size.chunks))
            samples.undelayed += delays_ms(link, size.messages)
            control.send(Toxics(latency_ms=DELAY_MS, direction="up"))
            control.recv()
            samples.delayed += delays_ms(link, size.messages)
            control.send(Toxics())
            control.recv()
    return samples


def main() -> None:
    """Measure and print."""
    given = read(options(__doc__, 30, "samples of each kind"))
    n, size = given.n, SMALL if given.quick else WHOLE
    print(f"n: {n} of each kind, alternating; one is the median of {size.round_trips} round trips of {len(MESSAGE)} B,")
    print(f"   {size.chunks} MiB one way, or {size.messages} messages delayed by {DELAY_MS:g} ms")
    samples = measure(n, size)
    direct, proxied = (show(f"round trip {name}", samples.trips[name], "us") for name in ("direct", "proxied"))
    added_ms = (proxied - direct) / 1e3
    print(f"added at p50: {added_ms:.4f} ms, ratio {proxied / direct:.2f}")
    print_claim(f"at most {ADDED_MS:g} ms", added_ms <= ADDED_MS, quick=given.quick)
    direct, proxied = (show(f"throughput {name}", samples.bulk[name], "GB/s") for name in ("direct", "proxied"))
    print(f"passed: {proxied:.2f} GB/s, ratio {proxied / direct:.2f}")
    print_claim(f"at least {PASSED_GB_S:g} GB/s", proxied >= PASSED_GB_S, quick=given.quick)
    show("one way, clear", samples.undelayed, "ms")
    show(f"one way, error of {DELAY_MS:g} ms", [sample - DELAY_MS for sample in samples.delayed], "ms")


if __name__ == "__main__":
    main()
