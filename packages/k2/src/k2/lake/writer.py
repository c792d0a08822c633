"""The writer: from Kafka to a table, each record exactly once, however it is stopped.

It loads the table, reads on from where the newest snapshot's rows end, and commits rows and offsets together against
that snapshot. When a commit did not happen, or nobody knows, it forgets what it has read and begins again from what the
table says. What Kafka thinks of its group plays no part.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from k2.bus.codecs import Codec
from k2.errors import BusError, LakeDown, NotCommitted
from k2.lake.batch import Batch, Unusable, newest_us
from k2.lake.figures import WriterFigures
from k2.lake.offsets import Offsets
from k2.lake.seen import Seen
from k2.lake.source import Source
from k2.lake.table import LakeTable
from k2.lake.upkeep import Upkeep

__all__ = ["DeadLetters", "Writer", "WriterLimits"]

_log = structlog.get_logger()

_AT_ONCE: Final = 10_000
_LOOK_S: Final = 0.05
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Before beginning again after the first, second ... failure in a row."""


class DeadLetters(Protocol):
    """Where records go that are no rows."""

    def put(self, unusable: Sequence[Unusable]) -> None:
        """Lay records aside and return when they are safe; raises BusError when that is not sure."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """When rows are committed: at so many, or so that they are there when the first has waited about `age_s` s."""

    rows: int = 50_000
    age_s: float = 1.0


class Writer:
    """Writes one table. `open_table` loads it, and raises LakeDown while that cannot be."""

    def __init__(
        self,
        open_table: Callable[[], LakeTable],
        source: Source,
        codec: Codec,
        letters: DeadLetters,
        limits: WriterLimits,
        upkeep: Upkeep,
        figures: WriterFigures,
        name: str,
    ) -> None:
        self._open_table: Final = open_table
        self._source: Final = source
        self._codec: Final = codec
        self._letters: Final = letters
        self._limits: Final = limits
        self._upkeep: Final = upkeep
        self._figures: Final = figures
        self._name: Final = name
        self._table: LakeTable | None = None
        self._failures = 0
        self._took_s = 0.0
        self._log: Final = _log.bind(table=name)
        figures.begin(name)

    def run(self, stop: threading.Event) -> None:
        """Write until it is told to stop; what was read by then is committed.

        Raises LakeError when the table or the topic is not in a state to go on from.
        """
        while not stop.is_set():
            try:
                table, offsets, seen = self._begin()
                self._log.info("writer.reading", topic=self._source.topic, offsets=offsets.text())
                self._write(table, offsets, seen, stop)
            except NotCommitted as error:
                self._figures.commits.labels(self._name, error.outcome).inc()
                self._log.warning("writer.not_committed", outcome=error.outcome, why=str(error))
            except (LakeDown, BusError) as error:
                self._log.warning("writer.waiting", why=str(error))
            finally:
                self._figures.reading.labels(self._name).set(0)
                self._figures.held.labels(self._name).set(0)
            if not stop.is_set():
                stop.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)])
                self._failures += 1

    def _begin(self) -> tuple[LakeTable, Offsets, Seen]:
        if self._table is None:
            self._table = self._open_table()
        else:
            self._table.reload()
        offsets, seen = self._table.offsets(), self._table.seen()
        self._source.start(offsets)
        self._figures.reading.labels(self._name).set(1)
        self._upkeep.look(self._table)
        return self._table, offsets, seen

    def _write(self, table: LakeTable, offsets: Offsets, seen: Seen, stop: threading.Event) -> None:
        batch = Batch()
        while True:
            batch.add(self._source.read(min(_AT_ONCE, self._limits.rows - batch.records), _LOOK_S), self._codec)
            self._figures.held.labels(self._name).set(batch.records)
            ending = stop.is_set()
            if batch.records and (ending or batch.records >= self._limits.rows or self._is_time(batch)):
                offsets, seen = self._commit(table, batch, offsets, seen)
                batch = Batch()
                self._upkeep.after_commit(table)
            if ending:
                return
            if not batch.records:
                self._figures.lags(self._name, self._source.lag(offsets))
                if self._source.grown():
                    return

    def _is_time(self, batch: Batch) -> bool:
        """Tell whether a commit that takes as long as the last one ends when the first row has waited enough."""
        longest_s = self._limits.age_s
        return batch.age_s >= longest_s - min(self._took_s, longest_s / 2)

    def _commit(self, table: LakeTable, batch: Batch, start: Offsets, seen: Seen) -> tuple[Offsets, Seen]:
        if batch.unusable:
            self._letters.put(batch.unusable)
        rows = batch.rows(table.form.record.arrow())
        kept, now_seen = seen.add(rows) if table.form.numbered else (rows, seen)
        end = start.after(batch.next_offsets)
        began_s = time.perf_counter()
        table.append(kept, start, end, now_seen)
        took_s = time.perf_counter() - began_s
        self._failures, self._took_s = 0, took_s
        self._source.tell(end)
        self._note(batch, rows.num_rows - kept.num_rows, kept.num_rows, took_s)
        if kept.num_rows:
            self._figures.newest.labels(self._name).set(newest_us(kept) / 1e6)
        self._figures.lags(self._name, self._source.lag(end))
        self._log.debug("writer.committed", rows=kept.num_rows, seconds=round(took_s, 4))
        return end, now_seen

    def _note(self, batch: Batch, duplicates: int, rows: int, took_s: float) -> None:
        figures, name = self._figures, self._name
        figures.commits.labels(name, "committed").inc()
        figures.commit_seconds.labels(name).observe(took_s)
        figures.committed_at.labels(name).set_to_current_time()
        figures.rows.labels(name).inc(rows)
        figures.duplicates.labels(name).inc(duplicates)
        for bad in batch.unusable:
            figures.dead_letters.labels(name, bad.reason).inc()
