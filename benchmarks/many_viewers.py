"""One machine serves many viewers: live jobs of different channel ranges, each streamed to a viewer of its own.

Claim: 200 jobs of 98 channels x 513 bins x 20 lines/s on a fibre of 2222 channels at 2000 samples/s (hop 100): in 60 s
every line is delivered, the p99 of line latency is under 250 ms, the server's side (analyzer and server) takes under
1.5 cores, and its memory grows by less than 1 MB a minute over the last half. Line latency is the time of receipt minus
the time at which the last sample of the line was due. Viewers and the whole stack share the machine. Beside it, as the
limit of this way: the same bytes in messages of the same size over one TCP connection on loopback, both ends in Python.
"""

import asyncio
import itertools
import socket
import threading
import time
from dataclasses import dataclass, field

import grpc.aio
import numpy as np
from _figures import options, percentile, print_claim, read, show
from _meter import MB, Meter
from _stack import add_option, the_stack, wait_until_fed

from fullspan.clients import AsyncFocusClient, FocusClient, Job, Wishes, open_stream
from fullspan.stack import Stack

CHANNELS, NFFT, LINES_PER_SECOND = 98, 1024, 20
VIEW = Wishes(nfft=NFFT, lines_per_second=LINES_PER_SECOND)
WATCHED_WITHIN_S = 60.0
SERVER_SIDE = ("analyzer", "focus")
LATE_S, SERVER_CORES, SERVER_MB_PER_MIN = 0.25, 1.5, 1.0


@dataclass
class Viewer:
    """One viewer: what came, and how late each line was, in s."""

    job: Job
    rows: list[int] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    bytes: int = 0
    failure: str | None = None

    async def watch(self) -> None:
        """Read the stream until it ends or this is cancelled."""
        grid = self.job.grid
        line_s, span_s = float(grid.hop / grid.fs), float(grid.nfft / grid.fs)
        due_s = grid.t0_ns / 1e9 + grid.first_line * line_s + span_s
        try:
            async with open_stream(self.job.host, self.job.stream_port) as call:
                async for message in call:
                    now = time.time()
                    for row, data in zip(message.row_index, message.main_data, strict=True):
                        self.rows.append(row)
                        self.late_s.append(now - due_s - row * line_s)
                        self.bytes += len(data)
        except grpc.aio.AioRpcError as error:
            self.failure = f"{error.code().name}: {error.details()}"

    def missing(self) -> int:
        """Count the lines that are missing between the first and the last that came."""
        return self.rows[-1] - self.rows[0] + 1 - len(self.rows) if self.rows else 0


async def watch_all(stack: Stack, count: int, seconds: int) -> tuple[list[Viewer], Meter]:
    """Make the jobs, let their viewers watch for a while, and end them."""
    async with AsyncFocusClient(stack.endpoint("focus.http"), timeout_s=30) as client:
        highest = (await client.channels()).highest
        spread = np.linspace(1, highest - CHANNELS + 1, count).astype(int)
        jobs = [await client.configure((int(low), int(low) + CHANNELS - 1), **VIEW) for low in spread]
        viewers = [Viewer(job) for job in jobs]
        tasks = [asyncio.create_task(viewer.watch()) for viewer in viewers]
        await until_all_watch(viewers)
        for viewer in viewers:
            viewer.rows.clear()
            viewer.late_s.clear()
            viewer.bytes = 0
        meter = Meter(stack)
        for _ in range(seconds):
            await asyncio.sleep(1)
            meter.sample()
        meter.end()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for job in jobs:
            await client.cancel(job.job_id)
    return viewers, meter


async def until_all_watch(viewers: list[Viewer]) -> None:
    """Wait until each viewer has lines."""
    deadline = time.monotonic() + WATCHED_WITHIN_S
    while not all(viewer.rows for viewer in viewers):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sum(not viewer.rows for viewer in viewers)} viewers have no line")
        await asyncio.sleep(0.1)


def loopback_bytes_per_s(message: int, seconds: float) -> float:
    """Return what one TCP connection carries on this machine in messages of a size."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = 0

        def read() -> None:
            nonlocal taken
            connection, _ = server.accept()
            buffer = bytearray(message)
            with connection:
                while got := connection.recv_into(buffer):
                    taken += got

        reader = threading.Thread(target=read)
        reader.start()
        began = time.monotonic()
        with socket.create_connection(server.getsockname()) as connection:
            payload = bytes(message)
            while time.monotonic() - began < seconds:
                connection.sendall(payload)
        reader.join()
        return taken / (time.monotonic() - began)


def report(viewers: list[Viewer], meter: Meter, seconds: float, *, quick: bool) -> None:
    """Print what one run gave."""
    late = list(itertools.chain.from_iterable(viewer.late_s for viewer in viewers))
    missing = sum(viewer.missing() for viewer in viewers)
    carried = sum(viewer.bytes for viewer in viewers) / seconds
    for failure in {viewer.failure for viewer in viewers if viewer.failure}:
        print(f"a stream ended: {failure}")
    print(f"lines: {len(late)} delivered (n {len(late)}), {missing} missing between the first and last of a viewer")
    due = len(viewers) * seconds * LINES_PER_SECOND
    print(f"  of what was due meanwhile: {100 * len(late) / due:.1f} %")
    latency = ", ".join(f"p{p} {1e3 * percentile(late, p):.0f} ms" for p in (50, 95, 99))
    print(f"line latency: {latency}, largest {1e3 * max(late):.0f} ms")
    print_claim("no line missing, p99 under 250 ms", not missing and percentile(late, 99) < LATE_S, quick=quick)
    show("  p99 of each viewer", [1e3 * percentile(viewer.late_s, 99) for viewer in viewers if viewer.late_s], "ms")
    for name, used in meter.cores.items():
        print(f"  {name}: {used:.2f} core, {meter.memory[name][-1][1] / MB:.0f} MB")
    cores, slope = sum(meter.cores[name] for name in SERVER_SIDE), meter.slope_mb_per_min(SERVER_SIDE)
    print(f"server's side: {cores:.2f} core; its memory over the last half: {slope:+.2f} MB/min")
    print_claim("under 1.5 cores and 1 MB/min", cores < SERVER_CORES and slope < SERVER_MB_PER_MIN, quick=quick)
    bare = loopback_bytes_per_s(2 * CHANNELS * (NFFT // 2 + 1) * 4, min(2.0, seconds / 4))
    print(f"carried: {carried / MB:.0f} MB/s; bare TCP {bare / MB:.0f} MB/s; ratio {carried / bare:.2f}")


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 1, "runs")
    parser.add_argument("--jobs", type=int, help="jobs and viewers (default 200, 8 when quick)")
    parser.add_argument("--seconds", type=int, help="length of a run (default 60, 3 when quick)")
    add_option(parser)
    given = read(parser)
    jobs, seconds = given.jobs or (8 if given.quick else 200), given.seconds or (3 if given.quick else 60)
    kind = f"{CHANNELS} channels x {NFFT // 2 + 1} bins x {LINES_PER_SECOND} lines/s"
    with the_stack(given.stack, "crowd") as stack:
        with FocusClient(stack.endpoint("focus.http")) as client:
            wait_until_fed(client, (1, CHANNELS), VIEW)
        for number in range(given.n):
            print(f"run {number + 1} of {given.n}: {jobs} jobs, each {kind}, {seconds} s")
            report(*asyncio.run(watch_all(stack, jobs, seconds)), seconds, quick=given.quick)


if __name__ == "__main__":
    main()
