"""The recorder put together: from the broker's queue to files that are whole, and only then is the broker told."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from typing import Any, Final, Never

import structlog

from focus_server.errors import CatalogueDown
from focus_server.fiber.broker import BrokerAddress, raise_if_cancelled
from focus_server.fiber.grid import NANOSECONDS
from focus_server.lock import only_one
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.recorder.consumer import Consumer
from focus_server.recordings.recorder.courtesy import Courtesy
from focus_server.recordings.recorder.disk import Disk
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.fibres import Fibres
from focus_server.recordings.recorder.intake import Intake
from focus_server.recordings.recorder.preroll import PreRoll
from focus_server.recordings.recorder.registrar import Registrar
from focus_server.recordings.recorder.shelf import Shelf, Stored
from focus_server.recordings.recorder.slot import Slot
from focus_server.recordings.recorder.slots import Slots
from focus_server.recordings.recorder.status import Condition, Status, Totals
from focus_server.settings import RecordSettings

__all__ = ["Recorder"]

_log = structlog.get_logger()

TICK_S: Final = 0.25
STALLED_S: Final = 2.0
"""After so long a pause of this process, what has not come meanwhile is not missing: it waits to be read."""
RETENTION_S: Final = 2.0
END_S: Final = 2.0


class Recorder:
    """Everything that one recorder consists of, wired together."""

    def __init__(self, settings: RecordSettings) -> None:
        self._settings = settings
        self._retention_ns = int(settings.retention_s * NANOSECONDS)
        self._shelf = Shelf(settings.recordings_dir, settings.site)
        self._disk = Disk(self._shelf.base, settings.min_free_bytes)
        self._catalogue = Catalogue(MongoAddress(settings.mongo_url.get_secret_value()))
        self._slots = Slots(self._shelf.table, self._slot_opened)
        self._registrar = Registrar(self._catalogue, self._shelf.base, self._slots.uuids)
        broker = BrokerAddress(settings.amqp_url.get_secret_value())
        self._consumer = Consumer(broker, settings.site, settings.recording_s, self._take, self._connection_lost)
        self._courtesy = Courtesy()
        self._totals = Totals()
        self._status = Status(self._totals, self._figures)
        self._with_gaps: set[str] = set()
        self._slot_bytes = 0
        self._steady_s = 0.0
        self._news = asyncio.Event()
        self._stopping = False

    async def run(self, stop: Awaitable[object]) -> None:
        """Record until `stop` is there. Raises FocusError when the folder cannot be used."""
        with only_one(self._shelf.base, ".recorder.lock", "recorder", "--recordings-dir", 0o777):
            unfinished = self._shelf.prepare()
            _log.info("recorder.start", folder=str(self._shelf.base), unfinished_files_deleted=unfinished)
            settings = self._settings
            self._fibres = Fibres(self._shelf.base, settings.site, settings.recording_s)
            self._intake = Intake(settings.site, self._retention_ns, self._fibres, self._slots, self._fibre_began)
            self._preroll = self._make_preroll()
            try:
                await self._work(stop)
            finally:
                if self._preroll is not None:
                    await asyncio.to_thread(self._preroll.stop)
            _log.info("recorder.stopped", **asdict(self._totals))

    async def _work(self, stop: Awaitable[object]) -> None:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._catalogue)
            except CatalogueDown as error:
                _log.warning("catalogue.unusable", cause=str(error))
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write())
                work = (self._consumer.run(), self._tick(), self._retain(), self._registrar.run())
                others = [tasks.create_task(task) for task in work]
                await stop
                self._stopping = True
                self._news.set()
                await asyncio.wait({writing}, timeout=END_S)
                for task in (writing, *others):
                    task.cancel()

    def _make_preroll(self) -> PreRoll | None:
        settings, loop = self._settings, asyncio.get_running_loop()
        if settings.preroll_recording is None or not settings.preroll_s:
            return None

        def written(stored: Stored) -> None:
            with suppress(RuntimeError):  # the recorder has ended meanwhile
                loop.call_soon_threadsafe(self._note_stored, stored)

        def part(slot: Slot) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._slots.add, slot)

        return PreRoll(settings.preroll_recording, settings.preroll_s, self._shelf, self._disk, written, part)

    def _take(self, key: str, headers: Mapping[str, Any], body: bytes, tag: int) -> list[int]:
        now_s, now_ns = time.monotonic(), time.time_ns()
        self._slots.heard(now_s)
        tags = self._intake.take(key, headers, body, tag, now_s, now_ns)
        if pause_s := self._courtesy.pause_s(headers, now_ns, now_s):
            self._consumer.pause(pause_s)
        if self._slots.ready:
            self._news.set()
        return tags

    def _connection_lost(self) -> None:
        self._slots.forget_deliveries()
        self._intake.forget_held()

    def _fibre_began(self, fibre: RecordedFibre, first_block: int) -> None:
        self._slot_bytes = fibre.slot_bytes
        announcement = self._fibres.source(fibre)
        if self._preroll is not None and announcement is not None:
            self._preroll.begins(fibre, announcement, first_block)

    def _slot_opened(self, slot: Slot, first_block: int) -> None:
        if not slot.stored.any():
            first = slot.fibre.grid.first_sample(first_block)
            self._registrar.note(slot.fibre.entry(slot.number, str(self._shelf.base), first, first))

    async def _write(self) -> None:
        """Write slots as they become ready, one at a time, until the recorder stops."""
        while not self._stopping:
            await self._news.wait()
            self._news.clear()
            while not self._stopping and self._may_write():
                slot = self._slots.begin_writing()
                if slot is not None:
                    await self._write_one(slot)

    def _may_write(self) -> bool:
        needed = self._slots.next_bytes
        return needed is not None and self._disk.has_room(max(needed, self._slot_bytes), time.monotonic())

    async def _write_one(self, slot: Slot) -> None:
        is_new = not slot.stored.any()
        try:
            stored = await asyncio.to_thread(self._shelf.store, slot)
        except OSError as error:
            self._slots.not_written(slot)
            self._disk.refused(error, time.monotonic())
            return
        tags = self._slots.written(slot, stored.table)
        self._note_stored(stored, is_new)
        await self._consumer.acknowledge(tags)

    def _note_stored(self, stored: Stored, is_new: bool = True) -> None:
        entry, totals = stored.entry, self._totals
        if is_new:
            totals.files += 1
            totals.samples += entry.samples
        else:
            totals.rewritten += 1
        totals.bytes += stored.size
        (self._with_gaps.add if entry.gaps else self._with_gaps.discard)(entry.uuid)
        self._registrar.note(entry)
        _log.debug("recorder.file", path=entry.path, samples=entry.samples, gaps=entry.gaps)

    async def _tick(self) -> Never:
        """Close what is over, look at the disk, give up what has waited too long, say how things are."""
        last_s = time.monotonic()
        while True:
            raise_if_cancelled()
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if now_s - last_s > STALLED_S:
                self._steady_s = now_s
            last_s = now_s
            if self._consumer.connected_s is not None:
                self._slots.close_due(now_s, max(self._consumer.connected_s, self._steady_s))
            self._disk.has_room(self._slot_bytes, now_s)
            await self._consumer.acknowledge([*self._intake.drop_held(now_s), *self._give_up(now_s)])
            if self._slots.ready:
                self._news.set()
            self._status.update(self._condition(), now_s)

    def _give_up(self, now_s: float) -> list[int]:
        keep_s, paused_s = self._settings.pause_keep_s, self._disk.paused_s
        if paused_s is None or now_s - paused_s < keep_s:
            return []
        before = self._slots.counts.given_up
        tags = self._slots.give_up(time.time_ns() - int(keep_s * NANOSECONDS))
        if tags:
            _log.error("recorder.given_up", blocks=self._slots.counts.given_up - before)
        return tags

    async def _retain(self) -> Never:
        """Delete what is too old, every two seconds."""
        while True:
            raise_if_cancelled()
            try:
                await self._delete_old(time.time_ns() - self._retention_ns)
            except OSError as error:
                _log.warning("recorder.not_deleted", cause=error.strerror or str(error))
            await asyncio.sleep(RETENTION_S)

    async def _delete_old(self, before_ns: int) -> None:
        """Delete what ended before a time: first in the catalogue, then on the disk."""
        old = await asyncio.to_thread(self._shelf.old_files, before_ns)
        await self._registrar.deleted([file.uuid for file in old if file.uuid is not None])
        for file in old:
            await asyncio.to_thread(self._shelf.delete, file)
            self._totals.deleted += 1
            self._with_gaps.discard(file.uuid or "")

    def _condition(self) -> Condition:
        is_connected = self._consumer.connected_s is not None
        return Condition("up" if is_connected else "down", self._registrar.state.state, self._disk.paused_s is not None)

    def _figures(self) -> dict[str, Any]:
        counts = self._slots.counts
        return {
            "gaps": len(self._with_gaps),
            "blocks": counts.blocks,
            "duplicates": counts.duplicates,
            "late": counts.late,
            "given_up": counts.given_up,
            "refused": self._intake.refused,
            "open": self._slots.open,
            "ready": self._slots.ready,
            "unacknowledged": self._consumer.unacknowledged,
            "backlog": self._consumer.backlog,
        }
