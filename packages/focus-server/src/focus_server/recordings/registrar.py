"""The recorder's word to the catalogue: best effort, in the background, told again until it is taken."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
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
_MAX_WAITING: Final = 100_000


class Registrar:
    """Enters recordings into a catalogue; nobody ever waits for it longer than `Catalogue` does."""

    def __init__(self, catalogue: Catalogue, base: Path) -> None:
        self._catalogue = catalogue
        self._base = base
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

    async def _tell_deleted(self) -> None:
        told = list(self._deleted)
        if told:
            await self._catalogue.deleted(self._base, told)
            for uuid in told:
                self._deleted.pop(uuid, None)
