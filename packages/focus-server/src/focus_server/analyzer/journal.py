"""What MongoDB is told about jobs: each one's configuration and state, best effort, and never in the way of a job."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from focus_server.analyzer.job import Job, State
from focus_server.errors import CatalogueDown

if TYPE_CHECKING:
    from focus_server.recordings.catalogue import Catalogue

_log = structlog.get_logger()

_LOOK_S: Final = 1.0
"""How often the states of living jobs are compared with what was written."""
_RETRY_S: Final = 2.0
_GATHER_S: Final = 0.1
"""How long what happened to jobs may gather: many are made at once, and are not to wait for MongoDB's driver."""
_LAST_S: Final = 1.5
"""For what is left to write when the analyzer stops."""
_LONGEST: Final = 1000
"""Jobs that wait to be written; beyond it the one that was noted first is given up."""
_INT64: Final = range(-(2**63), 2**63)

Document = dict[str, Any]


class Journal:
    """The newest document of each job, until MongoDB has it. Without a catalogue it notes nothing."""

    def __init__(self, catalogue: "Catalogue | None", longest: int = _LONGEST) -> None:
        self._catalogue = catalogue
        self._longest = longest
        self._waiting: dict[str, Document] = {}
        self._noted: dict[str, tuple[State, int]] = {}
        self._wake = asyncio.Event()
        self._prepared = False
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, job: Job, state: State, reason: str | None = None) -> None:
        """Remember how a job is; returns at once. `reason` says why it is over."""
        if self._catalogue is None:
            return
        if state in (State.ENDED, State.LOST):
            self._noted.pop(job.id, None)
        else:
            self._noted[job.id] = state, job.viewers
        self._waiting[job.id] = _document(job, state, reason)
        while len(self._waiting) > self._longest:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._noted.pop(first, None)  # if it lives it is noted again
            self.given_up += 1
        self._wake.set()

    async def run(self, states: Callable[[], Iterable[tuple[Job, State]]]) -> None:
        """Write down what changes, until cancelled. A defect in here ends the journal and nothing else."""
        if self._catalogue is None:
            return
        try:
            async with self._catalogue as catalogue:
                try:
                    while True:
                        self._look(states())
                        await self._write_all(catalogue)
                        with suppress(TimeoutError):  # not wait_for: it may swallow a cancellation, until Python 3.12
                            async with asyncio.timeout(_LOOK_S):
                                await self._wake.wait()
                        await asyncio.sleep(_GATHER_S)
                finally:
                    await self._write_last(catalogue)
        except Exception as defect:
            _log.error("journal.failed", exc_info=defect)

    def _look(self, states: Iterable[tuple[Job, State]]) -> None:
        for job, state in states:
            if self._noted.get(job.id) != (state, job.viewers):
                self.note(job, state)

    async def _write_all(self, catalogue: "Catalogue") -> None:
        """Write what waits; when MongoDB is down it waits on, and is tried again a moment later."""
        self._wake.clear()
        try:
            while self._waiting:
                if not self._prepared:
                    await catalogue.prepare()
                    self._prepared = True
                job_id, document = next(iter(self._waiting.items()))
                await catalogue.save_job(document)
                if self._waiting.get(job_id) is document:
                    del self._waiting[job_id]
        except CatalogueDown:
            await asyncio.sleep(_RETRY_S)
            return
        if self.given_up:
            _log.warning("journal.given_up", jobs=self.given_up)
            self.given_up = 0

    async def _write_last(self, catalogue: "Catalogue") -> None:
        if catalogue.state.state != "up":
            return
        with suppress(CatalogueDown, TimeoutError):
            async with asyncio.timeout(_LAST_S):
                for document in list(self._waiting.values()):
                    await catalogue.save_job(document)


def _document(job: Job, state: State, reason: str | None) -> Document:
    record, now = job.record, datetime.now(UTC)
    over = state in (State.ENDED, State.LOST)
    document = {
        **job.summary(state).model_dump(mode="python"),
        "serial": record.serial,
        "created": record.created,
        "last_activity": job.last_activity,
        "updated": now,
        "ended": now if over else None,
        "reason": reason,
        "request": record.request.wire(),
        "lines_dt": record.answer.lines_dt,
        "stream_port": record.answer.stream_port,
        "recording_ids": list(record.answer.metadata.recording_ids),
    }
    return {name: _storable(value) for name, value in document.items()}


def _storable(value: Any) -> Any:
    """Write numbers that a request may hold and MongoDB cannot as text."""
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items()}
    return str(value) if isinstance(value, int) and value not in _INT64 else value
