"""Viewers of jobs over gRPC: each notes every row it gets, and connects again when its stream breaks off."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import grpc.aio
from anyio.from_thread import BlockingPortal

from fullspan.clients import Job, open_stream
from fullspan.invariants import Finding
from fullspan.verdict import Verdict

AGAIN_S = 0.05


@dataclass(slots=True)
class Viewer:
    """What one viewer of a job's first stream has seen: row numbers with their moments, and broken streams."""

    job: Job
    rows: list[int] = field(default_factory=list)
    seen_s: list[float] = field(default_factory=list)
    broke_s: list[float] = field(default_factory=list)
    ended: bool = False

    async def watch(self) -> None:
        """Read rows until cancelled, or until the stream comes to its end."""
        while not self.ended:
            try:
                async with open_stream(self.job.host, self.job.stream_port) as call:
                    async for message in call:
                        now_s = time.monotonic()
                        self.rows.extend(message.row_index)
                        self.seen_s.extend([now_s] * len(message.row_index))
                    self.ended = True
            except grpc.aio.AioRpcError:
                self.broke_s.append(time.monotonic())
                await anyio.sleep(AGAIN_S)  # the pause of a client that connects again, not a wait for something

    def rows_between(self, begin_s: float, end_s: float) -> list[int]:
        """Return the rows seen between two moments of the monotonic clock."""
        return [row for row, seen_s in zip(self.rows, self.seen_s, strict=True) if begin_s <= seen_s <= end_s]

    def first_after(self, moment_s: float) -> float | None:
        """Return when the first row after a moment was seen."""
        return next((seen_s for seen_s in self.seen_s if seen_s > moment_s), None)


def watching(portal: BlockingPortal, viewers: list[Viewer]) -> Callable[[], None]:
    """Let viewers watch in the background; return what ends them."""
    tasks = [portal.start_task_soon(viewer.watch) for viewer in viewers]

    def end() -> None:
        for task in tasks:
            task.cancel()

    return end


def contiguous(name: str, viewers: list[Viewer], begin_s: float, end_s: float, enough: int) -> Finding:
    """Check that no viewer missed a row, got one twice, or one out of order, between two moments."""
    missing = doubled = 0
    fewest = None
    for viewer in viewers:
        rows = viewer.rows_between(begin_s, end_s)
        fewest = len(rows) if fewest is None else min(fewest, len(rows))
        steps = [after - before for before, after in pairwise(rows)]
        missing += sum(step - 1 for step in steps if step > 1)
        doubled += sum(1 for step in steps if step < 1)
    n = fewest or 0
    summary = f"{len(viewers)} viewers saw {n} rows or more each: {missing} missing, {doubled} twice or out of order"
    verdict = Verdict.FAIL if missing or doubled else Verdict.PASS
    if n < enough and verdict is Verdict.PASS:
        verdict, summary = Verdict.INCONCLUSIVE, f"{summary}; {enough} are needed to tell"
    return Finding(name, verdict, summary, n, first_bad_hop="row" if verdict is Verdict.FAIL else None)
