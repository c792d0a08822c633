"""Jobs that are made and watched at once: how long until all are made, and how far apart their first rows are."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from _bare import Bare

from fullspan.clients import AsyncFocusClient, Job, Wishes, configure_document, read_stream_async

T = TypeVar("T")
Place = tuple[str, int, int]
"""Host, port and id of a gRPC stream."""


@dataclass
class Samples:
    """Milliseconds, raw: until all jobs were made, and between the first row of the first and of the last."""

    made: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)


@dataclass
class Parallel:
    """So many jobs at once, from one thread, beside as many bare requests and streams."""

    count: int
    ours: Samples = field(default_factory=Samples)
    bare: Samples = field(default_factory=Samples)

    async def measure(self, base_url: str, bare: Bare, width: int, wishes: Wishes, rounds: int) -> None:
        """Take so many samples; each job has `width` channels, which differ from job to job."""
        async with AsyncFocusClient(base_url) as client, AsyncFocusClient(bare.url) as other:
            highest = (await client.channels()).highest
            step = (highest - width) // max(1, self.count - 1)
            first = [1 + index * step for index in range(self.count)]
            documents = [configure_document((low, low + width - 1), **wishes) for low in first]
            for number in range(rounds + 1):
                ours, theirs = await self._once(client, other, bare, documents)
                if number:  # the first one only opens connections
                    for into, figures in ((self.ours, ours), (self.bare, theirs)):
                        into.made.append(figures[0])
                        into.spread.append(figures[1])

    async def _once(
        self, client: AsyncFocusClient, other: AsyncFocusClient, bare: Bare, documents: Sequence[dict[str, object]]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        made, answers = await _all_ms([partial(client.raw, "POST", "/configure", json=body) for body in documents])
        jobs = [Job.read(answer.raise_for_status().json()) for answer in answers]
        row_bytes, spread = await _spread_ms([(job.host, job.stream_port, 0) for job in jobs])
        path = f"/{len(answers[0].content)}"
        bare_made, _ = await _all_ms([partial(other.raw, "POST", path, json=body) for body in documents])
        _, bare_spread = await _spread_ms([("127.0.0.1", bare.grpc_port, row_bytes)] * self.count)
        await asyncio.gather(*(client.cancel(job.job_id) for job in jobs))
        return (made, spread), (bare_made, bare_spread)


async def _all_ms(calls: Sequence[Callable[[], Awaitable[T]]]) -> tuple[float, list[T]]:
    began = time.perf_counter()
    answers = await asyncio.gather(*(call() for call in calls))
    return (time.perf_counter() - began) * 1e3, answers


async def _spread_ms(places: Sequence[Place]) -> tuple[int, float]:
    """Open all streams at once; return how large a first message was, and how far apart their first rows came."""

    async def first_row(place: Place) -> tuple[int, float]:
        async with read_stream_async(*place) as stream:
            async for message in stream:
                return len(message.main_data[0]), time.perf_counter()
        raise ConnectionError("a stream ended before its first row")

    rows = await asyncio.gather(*map(first_row, places))
    came = [when for _, when in rows]
    return rows[0][0], (max(came) - min(came)) * 1e3
