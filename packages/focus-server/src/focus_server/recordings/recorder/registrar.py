"""The recorder's word to the catalogue: best effort, in the background, told again until it is taken."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Never

import structlog

from focus_server.contract import Dependency
from focus_server.errors import CatalogueDown
from focus_server.fiber.broker import raise_if_cancelled
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.rebuild import Refused, rebuild

__all__ = ["Registrar"]

_log = structlog.get_logger()

REBUILD_S: Final = 10.0
RETRY_S: Final = 2.0
LOST_S: Final = 60.0
"""Entered as running, but recorded by nobody for so long: what is left of a run whose blocks are gone."""
_MAX_WAITING: Final = 100_000


class Registrar:
    """Enters recordings into a catalogue; nobody ever waits for it longer than `Catalogue` does.

    `running` gives the uuids of what is being recorded now.
    """

    def __init__(
        self, catalogue: Catalogue, base: Path, running: Callable[[], set[str]], lost_s: float = LOST_S
    ) -> None:
        self._catalogue = catalogue
        self._base = base
        self._running = running
        self._lost_s = lost_s
        self._missing_since_s: dict[str, float] = {}
        self._entries: OrderedDict[str, RecordingEntry] = OrderedDict()
        self._deleted: dict[str, None] = {}
        self._news = asyncio.Event()
        self._rebuild_at_s = 0.0
        self._prepared = False
        self._refused: Refused = {}

    @property
    def state(self) -> Dependency:
        """Tell what the last word with the catalogue found."""
        return self._catalogue.state

    def note(self, entry: RecordingEntry) -> None:
        """Have a recording entered, as begun or finished; only the newest word about each counts."""
        self._entries[entry.uuid] = entry
        if len(self._entries) > _MAX_WAITING:
            self._entries.popitem(last=False)
        self._news.set()

    async def deleted(self, uuids: Iterable[str]) -> None:
        """Note that files are about to be deleted, before they are when the catalogue answers, otherwise later."""
        for uuid in uuids:
            self._entries.pop(uuid, None)
            self._deleted[uuid] = None
        if self._catalogue.state.state != "down":
            with suppress(CatalogueDown):
                await self._tell_deleted()

    async def run(self) -> Never:
        """Tell what there is to tell as soon as it comes, and compare files and catalogue every ten seconds."""
        while True:
            raise_if_cancelled()
            self._news.clear()
            try:
                await self._tell()
                left_s = self._rebuild_at_s - time.monotonic()
            except CatalogueDown:
                raise_if_cancelled()
                self._prepared = False
                await asyncio.sleep(RETRY_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._news.wait()

    async def _tell(self) -> None:
        if not self._prepared:
            await self._catalogue.prepare()
            self._prepared = True
        while self._entries:
            uuid, entry = next(iter(self._entries.items()))
            await (self._catalogue.begun(entry) if entry.end_ns is None else self._catalogue.finished(entry))
            if self._entries.get(uuid) is entry:
                del self._entries[uuid]
        await self._tell_deleted()
        if time.monotonic() >= self._rebuild_at_s:
            self._rebuild_at_s = time.monotonic() + REBUILD_S
            rebuilt = await rebuild(self._catalogue, self._base, refused=self._refused)
            if rebuilt.changed:
                _log.info("catalogue.rebuilt", added=rebuilt.added, closed=rebuilt.closed, gone=rebuilt.gone)
            await self._remove_lost(time.monotonic())

    async def _tell_deleted(self) -> None:
        told = list(self._deleted)
        if told:
            await self._catalogue.deleted(self._base, told)
            for uuid in told:
                self._deleted.pop(uuid, None)

    async def _remove_lost(self, now_s: float) -> None:
        """Note as deleted what nobody records any more; if its blocks still come, it is entered again as finished."""
        known = await self._catalogue.known(self._base)
        missing = {uuid for uuid, is_finished in known.items() if not is_finished}
        missing -= self._running() | self._entries.keys()
        self._missing_since_s = {uuid: self._missing_since_s.get(uuid, now_s) for uuid in missing}
        lost = [uuid for uuid, since_s in self._missing_since_s.items() if now_s - since_s >= self._lost_s]
        if lost:
            await self._catalogue.deleted(self._base, lost)
            _log.info("catalogue.never_finished", recordings=len(lost))
