"""The interrogator: plays the formula on the fibre's grid by the wall clock and keeps every block until it arrived.

Playing and delivering are apart: whatever the broker does, blocks are made in time and go to the outbox on disk, from
which the publisher sends them in order.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Never

from structlog.typing import FilteringBoundLogger

from focus_server.fiber.announcement import FiberAnnouncement
from focus_server.fiber.blocks import Block, encode, group_count, group_range
from focus_server.fiber.broker import BrokerAddress
from focus_server.fiber.formula import ReplayFormula
from focus_server.fiber.grid import NANOSECONDS, FiberGrid
from focus_server.fiber.outbox import KEPT_S, Outbox
from focus_server.fiber.progress import Progress
from focus_server.fiber.publisher import Publisher, first_cause

WATCH_S: Final = 0.25
LONGEST_SLEEP_S: Final = 1.0
"""The wall clock may be set while we wait for it."""
FLUSH_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Fiber:
    """What is played: the formula on its grid, under the name of a site, in one run of the publisher (`epoch`)."""

    site: str
    epoch: int
    grid: FiberGrid
    formula: ReplayFormula

    def announcement(self) -> FiberAnnouncement:
        """Describe the fibre for everybody who reads it."""
        grid, formula = self.grid, self.formula
        info, options = formula.recording.info, formula.options
        position = {"t0_ns": grid.t0_ns, "fs_num": grid.fs_num, "fs_den": grid.fs_den}
        return FiberAnnouncement(
            site=self.site,
            epoch=self.epoch,
            number_of_channels=options.channels,
            dx=info.dx,
            fiber_start_meters=info.fiber_start_meters,
            fiber_description=info.description,
            fiber_source={**formula.describe(), **position},
            units=info.units,
            dtype=options.dtype,
            scale=formula.scale,
            num_samples_per_trace=options.channels,
            **position,
        )

    def blocks(self, number: int, seq: int) -> list[Block]:
        """Return block `number` of the grid, one of each group of channels."""
        first = self.grid.first_sample(number)
        samples = self.formula.samples(first, self.grid.first_sample(number + 1) - first)
        channels = self.formula.options.channels
        blocks = []
        for group in range(group_count(channels)):
            low, high = group_range(group, channels)
            blocks.append(
                Block(
                    site=self.site,
                    group=group,
                    epoch=self.epoch,
                    seq=seq,
                    first_sample=first,
                    fs_num=self.grid.fs_num,
                    fs_den=self.grid.fs_den,
                    t0_ns=self.grid.t0_ns,
                    ch_first=low,
                    ch_last=high,
                    dtype=self.formula.options.dtype,
                    scale=self.formula.scale,
                    data=samples[:, low - 1 : high],
                )
            )
        return blocks


class Interrogator:
    """Plays a fibre until it is told to stop."""

    def __init__(self, fiber: Fiber, outbox: Outbox, broker: BrokerAddress, log: FilteringBoundLogger) -> None:
        self._fiber = fiber
        self._outbox = outbox
        self._publisher = Publisher(broker, outbox, fiber.announcement(), log)
        self._log = log
        self._played = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Play until `stop` is set, then give what is on its way two seconds to arrive; the rest stays on disk."""
        try:
            await self._play_and_deliver(stop)
        except ExceptionGroup as group:
            raise first_cause(group) from group
        self._log.info("interrogator.stopped", played=self._played, waiting=self._outbox.waiting)

    async def _play_and_deliver(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            play = tasks.create_task(self._play())
            others = [tasks.create_task(self._publisher.run()), tasks.create_task(self._watch())]
            await stop.wait()
            play.cancel()
            await self._publisher.wait_empty(FLUSH_S)
            for task in others:
                task.cancel()

    async def _play(self) -> Never:
        grid = self._fiber.grid
        number = grid.block_at(time.time_ns())
        while True:
            due_ns = grid.due_ns(number)
            late_s = await _sleep_until(due_ns)
            if late_s > KEPT_S:
                number = self._skip(number, late_s)
                continue
            for block in self._fiber.blocks(number, self._played):
                self._outbox.append(encode(block), due_ns)
            self._publisher.notify()
            self._played += 1
            number += 1

    def _skip(self, number: int, late_s: float) -> int:
        """Leave out what nobody keeps any more, after a sleep of the machine or a leap of its clock."""
        following = self._fiber.grid.block_at(time.time_ns())
        self._log.warning("interrogator.skipped", blocks=following - number, late_s=round(late_s, 3))
        return following

    async def _watch(self) -> Never:
        progress = Progress(self._outbox, self._log)
        while True:
            progress.update(time.time_ns(), time.monotonic(), self._publisher.confirmed)
            await asyncio.sleep(WATCH_S)


async def _sleep_until(due_ns: int) -> float:
    """Wait for the wall clock to reach `due_ns`; return by how many seconds it is past it."""
    while (remaining := due_ns - time.time_ns()) > 0:  # noqa: ASYNC110 - the wall clock has no event to wait for
        await asyncio.sleep(min(remaining / NANOSECONDS, LONGEST_SLEEP_S))
    await asyncio.sleep(0)  # while catching up, deliveries go on between blocks
    return -remaining / NANOSECONDS
