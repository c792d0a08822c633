"""Keeps a connection to an exchange: reconnects, fails over, returns to the primary, replaces old ones with overlap.

After any end, a clean close too, the next try waits: twice as long as the last time up to a bound, and by chance a
little less, so that many feeds do not come at once. Only a connection on which frames came for a while makes the next
wait short again; so a thousand closes in a row are a bounded number of tries a minute.
"""

import asyncio
import random
import time
from typing import Final

import structlog

from k2.errors import FeedError
from k2.feed.figures import Figures
from k2.feed.wire import OnFrame, Wire
from k2.settings import FeedSettings

__all__ = ["Keeper"]

_TRUSTED_S: Final = 5.0
"""Frames for so long make a connection a good one."""
_HANDOVER_S: Final = 15.0


class Keeper:
    """Runs until it is cancelled, or raises FeedError when its attempts are spent."""

    def __init__(self, settings: FeedSettings, streams: tuple[str, ...], on_frame: OnFrame, figures: Figures) -> None:
        self._settings, self._streams, self._on_frame, self._figures = settings, streams, on_frame, figures
        self._random = random.Random()  # noqa: S311 - spreads the load, keeps no secret
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Keep one connection, two while one takes over from the other."""
        urls = self._settings.feed_urls
        place = failed = 0
        while True:
            wire, cause = await self._hold(urls[place])
            if wire.alive.is_set() and wire.lasted >= _TRUSTED_S:
                failed = 0
            failed += 1
            if self._settings.attempts and failed >= self._settings.attempts:
                raise FeedError(
                    f"The exchange could not be kept: {failed} connections in a row ended ({cause}, the last at "
                    f"{wire.name}). Look whether it is reachable, then start the feed again."
                )
            # A clean close is no fault of that address; anything else may be.
            if cause != "closed" or not wire.alive.is_set():
                place = (urls.index(wire.url) + 1) % len(urls)
            else:
                place = urls.index(wire.url)
            wait = self.backoff(failed)
            self._log.warning("feed.reconnects", cause=cause, url=wire.name, failed=failed, wait_s=round(wait, 3))
            await asyncio.sleep(wait)

    def backoff(self, failed: int) -> float:
        """Return the seconds to wait after so many failures in a row."""
        longest = min(self._settings.backoff_most_s, self._settings.backoff_first_s * 2.0 ** min(failed - 1, 40))
        return longest * self._random.uniform(0.5, 1.0)

    async def _hold(self, url: str) -> tuple[Wire, str]:
        """Hold a connection, and its successors while they take over in time; return the last one and its end."""
        wire, task = self._start(url)
        try:
            while True:
                until = self._until(wire)
                await asyncio.wait({task}, timeout=until)
                if task.done():
                    return wire, task.result()
                if (taken := await self._take_over(wire)) is not None:
                    former, (wire, task) = task, taken
                    await _end(former)
        finally:
            await _end(task)

    def _until(self, wire: Wire) -> float:
        away = wire.url != self._settings.feed_urls[0]
        return min(self._settings.rotate_s, self._settings.primary_after_s if away else float("inf"))

    async def _take_over(self, wire: Wire) -> tuple[Wire, asyncio.Task[str]] | None:
        """Open a connection to the primary beside the running one; return it when frames come on it."""
        successor, task = self._start(self._settings.feed_urls[0])
        alive = asyncio.create_task(successor.alive.wait())
        try:
            await asyncio.wait({task, alive}, timeout=_HANDOVER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alive.cancel()
        if successor.alive.is_set() and not task.done():
            self._log.info("feed.taken_over", url=successor.name, former=wire.name)
            return successor, task
        await _end(task)
        self._log.info("feed.not_taken_over", url=successor.name, former=wire.name)
        return None

    def _start(self, url: str) -> tuple[Wire, asyncio.Task[str]]:
        wire = Wire(url, self._streams, self._settings.silence_s, self._on_frame)
        return wire, asyncio.create_task(self._run(wire))

    async def _run(self, wire: Wire) -> str:
        open_since: list[float] = []

        def opened() -> None:
            open_since.append(time.monotonic())
            self._figures.connections.labels(wire.name).inc()
            self._figures.connected.inc()
            self._log.info("feed.connected", url=wire.name)

        cause = "cancelled"
        try:
            cause = await wire.run(opened)
        finally:
            if open_since:
                self._figures.connected.dec()
            self._figures.disconnections.labels(cause).inc()
        return cause


async def _end(task: "asyncio.Task[str]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
