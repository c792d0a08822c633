"""The loop that turns samples into rows: plan what is due, compute it in one thread beside the loop, hand it out."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from focus_server.analyzer.feed import Feed, FibreSamples
from focus_server.analyzer.live import LiveJob, Stream
from focus_server.analyzer.rows import Batch, Row
from focus_server.analyzer.threads import TimedThreads
from focus_server.analyzer.tiles import Piece, Tiles

_TICK_S: Final = 0.1
"""How often holes are looked at when nothing arrives."""
_ROUND_SAMPLES: Final = 8 * 2**20
"""Samples whose lines are made in one round, at least one line; so that a backlog leaves in order and soon."""
_BATCH_BYTES: Final = 2**20
"""Rows of one stream that are made in one round, at least one."""
_YIELD_S: Final = 0.002
"""How long handing out may hold the loop."""
_LOOKING_SHARE: Final = 0.1
"""Looking for what is due takes at most this share of the loop's time; with few jobs that is no limit."""
_LONGEST_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Due:
    """Lines `first` up to `end` of a stream that can be made now."""

    job: LiveJob
    stream: Stream
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of them: rows, none for a line that no channel had."""

    due: _Due
    batch: Batch | None
    missing: tuple[int, ...]


class Engine:
    """Makes the rows of all watched jobs of `jobs()` from what the feed holds."""

    def __init__(self, feed: Feed, jobs: Callable[[], Iterable[LiveJob]]) -> None:
        self._feed = feed
        self._jobs = jobs
        self._tiles: Tiles | None = None
        self._tiles_of: FibreSamples | None = None
        self._wake = asyncio.Event()
        self._pause_s = 0.0
        self.worker = TimedThreads(1, "spectra")

    def wake(self) -> None:
        """Say that something arrived: samples, or a viewer."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        with self.worker as worker:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):  # wait_for of Python 3.11 may swallow a cancellation
                        await self._wake.wait()
                # The blocks of all groups come in one burst: with many jobs they are looked through once, not for each.
                if self._pause_s > 0:
                    await asyncio.sleep(self._pause_s)
                self._wake.clear()
                self._feed.give_up(time.monotonic())
                while await self._round(worker):
                    pass

    async def _round(self, worker: ThreadPoolExecutor) -> bool:
        """Make and hand out what is due, up to the limits of a round; False when nothing was."""
        samples = self._feed.samples
        if samples is None:
            return False
        if self._tiles is None or samples is not self._tiles_of:
            self._tiles, self._tiles_of = Tiles(samples), samples
        began_s = time.monotonic()
        due = _first_due(list(_all_due(self._jobs(), samples)))
        looked_s = time.monotonic() - began_s
        self._pause_s = min(looked_s / _LOOKING_SHARE - looked_s, _LONGEST_PAUSE_S)
        if not due:
            return False
        pieces = self._tiles.plan(
            item.stream.wanted(item.job.grid, line) for item in due for line in range(item.first, item.end)
        )
        made = await asyncio.get_running_loop().run_in_executor(worker, _make, self._tiles, pieces, due)
        await _hand_out(made)
        return True


def _all_due(jobs: Iterable[LiveJob], samples: FibreSamples) -> Iterator[_Due]:
    now_s = time.monotonic()
    for job in jobs:
        if job.fibre != samples.fibre:
            continue
        for stream in job.streams:
            if stream.viewers and (due := _due(job, stream, samples, now_s)) is not None:
                yield due


def _due(job: LiveJob, stream: Stream, samples: FibreSamples, now_s: float) -> _Due | None:
    channels = stream.shape.first_channel, stream.shape.last_channel
    frontier, grid = samples.frontier(*channels, now_s), job.grid
    if frontier is None:
        return None
    newest = grid.newest_line(frontier)
    if stream.next_line is None:
        stream.next_line = max(newest, grid.oldest_line(samples.begin(*channels)), job.first_line)
    oldest = grid.oldest_line(samples.oldest(*channels))
    if stream.next_line < oldest:
        job.missing(stream.next_line, oldest)
        stream.next_line = oldest
    end = min(newest + 1, stream.next_line + _most_lines(job, stream), job.end_line)
    return _Due(job, stream, stream.next_line, end) if end > stream.next_line else None


def _first_due(due: list[_Due]) -> list[_Due]:
    """Give those that have waited longest, as many as fit into one round."""
    chosen: list[_Due] = []
    samples = 0
    for item in sorted(due, key=lambda item: item.job.grid.end_sample(item.first)):
        samples += (item.end - item.first) * item.stream.channels * item.job.grid.span
        if chosen and samples > _ROUND_SAMPLES:
            break
        chosen.append(item)
    return chosen


def _most_lines(job: LiveJob, stream: Stream) -> int:
    """Give how many lines of a stream one round may make."""
    row_bytes = 4 * stream.shape.x * (stream.shape.z or 1)
    return max(1, min(_ROUND_SAMPLES // (stream.channels * job.grid.span), _BATCH_BYTES // row_bytes))


def _make(tiles: Tiles, pieces: list[Piece], due: list[_Due]) -> list[_Made]:
    """Compute and write rows and messages; runs beside the loop."""
    tiles.compute(pieces)
    return [_rows(tiles, item) for item in due]


def _rows(tiles: Tiles, due: _Due) -> _Made:
    job, clock = due.job, due.job.fibre.clock
    rows: list[Row] = []
    missing: list[int] = []
    for line in range(due.first, due.end):
        values = tiles.row(due.stream.wanted(job.grid, line), job.first_value, job.last_value)
        if values is None:
            missing.append(line)
        else:
            rows.append(Row.of(line - job.first_line, clock.time_ms(job.grid.centre(line)), values))
    if not rows:
        return _Made(due, None, tuple(missing))
    return _Made(due, Batch(due.stream.shape, rows), tuple(missing))


async def _hand_out(made: list[_Made]) -> None:
    began_s = time.monotonic()
    for item in made:
        stream = item.due.stream
        if stream is not item.due.job.streams[stream.index]:
            continue  # its channels changed meanwhile, so these lines are made again
        for line in item.missing:
            item.due.job.missing(line, line + 1)
        if stream.next_line == item.due.first:  # not when everybody left meanwhile and somebody new came
            stream.next_line = item.due.end
            if item.batch is not None:
                stream.deliver(item.batch)
                item.due.job.lines_made += len(item.batch.rows)
        if time.monotonic() - began_s > _YIELD_S:
            await asyncio.sleep(0)
            began_s = time.monotonic()
