"""Which jobs' displays have changed since a revision, for servers that tell their viewers."""

import asyncio
import time
from contextlib import suppress


class DisplayBoard:
    """Counts changes. Revisions begin at the present, so those of an earlier process are below all of this one."""

    def __init__(self) -> None:
        self._revision = time.time_ns()
        self._changed_at: dict[str, int] = {}
        self._news = asyncio.Event()

    def changed(self, job_id: str) -> None:
        """Take note of a job whose display is another one now."""
        self._revision += 1
        self._changed_at[job_id] = self._revision
        news, self._news = self._news, asyncio.Event()
        news.set()

    def forget(self, job_id: str) -> None:
        """Take note that a job is over."""
        self._changed_at.pop(job_id, None)

    async def newer(self, after: int, wait_s: float) -> tuple[int, list[str]]:
        """Give the revision and the jobs whose displays changed after another one; wait a while when none has."""
        if after == self._revision:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
        return self._revision, [job_id for job_id, at in self._changed_at.items() if at > after]
