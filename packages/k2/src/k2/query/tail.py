"""The live tail: trades that Kafka has and the table not yet, so that the newest ones are there at once.

A snapshot of the table says up to which offset its rows go. Rows of the tail are those from there on, and a trade whose
number the snapshot has is none of them; so table and tail together have every trade, and each once.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from k2.bus.codecs import Codec, registry_of
from k2.errors import BusError, LakeError
from k2.lake.batch import Batch
from k2.lake.offsets import Offsets
from k2.lake.source import Read, Source
from k2.lake.tables import TRADES
from k2.query.views import TableView
from k2.settings import ServeSettings

__all__ = ["Fresh", "Tail", "TailState"]

_log = structlog.get_logger()

_AT_ONCE: Final = 10_000
_LOOK_S: Final = 0.02
_AGAIN_S: Final = 0.5

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that came together, each with its partition and offset, shape (rows,)."""

    rows: pa.Table
    partitions: Numbers
    offsets: Numbers

    def after(self, topic: str, reached: Offsets) -> "_Chunk | None":
        """Return the rows that a table which goes so far does not have; None when it has all."""
        keep = np.ones(len(self.offsets), dtype=bool)
        for partition in np.unique(self.partitions):
            next_offset = reached[topic, int(partition)] or 0
            keep &= (self.partitions != partition) | (self.offsets >= next_offset)
        if keep.all():
            return self
        if not keep.any():
            return None
        return _Chunk(self.rows.filter(pa.array(keep)), self.partitions[keep], self.offsets[keep])


@dataclass(frozen=True)
class TailState:
    """A view of the table and what comes after it; both belong together.

    `let_go` is what comes after rows that there was no room for, by partition: until the table is so far, some miss.
    """

    view: TableView
    chunks: tuple[_Chunk, ...] = ()
    let_go: Mapping[int, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """True when no row is missing between the view and the rows that came last."""
        return not self.let_go

    @cached_property
    def rows(self) -> pa.Table:
        """The trades that the view does not have, each once."""
        if not self.chunks:
            return TRADES.record.arrow().empty_table()
        kept, _ = self.view.seen.add(pa.concat_tables([chunk.rows for chunk in self.chunks]))
        return kept


@dataclass(frozen=True, slots=True)
class Fresh:
    """The newest trade of a symbol: its exchange time and when the feed had it, microseconds since 1970, UTC."""

    exchange: str
    symbol: str
    event_us: int
    received_us: int
    price: str


@dataclass
class _Newest:
    """The newest trade of every symbol that was seen."""

    by_symbol: dict[tuple[str, str], Fresh] = field(default_factory=dict)

    def take(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        names = rows.select(["exchange", "symbol"]).group_by(["exchange", "symbol"]).aggregate([])
        for pair in names.to_pylist():
            exchange, symbol = pair["exchange"], pair["symbol"]
            mine = rows.filter(pc.and_(pc.equal(rows["exchange"], exchange), pc.equal(rows["symbol"], symbol)))
            received = mine["ingestion_timestamp"].cast(pa.int64())
            events = mine["timestamp"].cast(pa.int64())
            last = pc.index(events, pc.max(events)).as_py()
            known = self.by_symbol.get((exchange, symbol))
            fresh = Fresh(
                exchange, symbol, events[last].as_py(), pc.max(received).as_py(), str(mine["price"][last].as_py())
            )
            if known is None or known.received_us <= fresh.received_us:
                self.by_symbol[exchange, symbol] = fresh


class Tail:
    """Follows the topic of the trades in a thread of its own."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings: Final = settings
        self._topic: Final = settings.trades_topic
        self._most: Final = settings.tail_rows
        self._codec: Final = Codec(TRADES.record, registry_of(settings), f"{settings.trades_topic}-value")
        self._lock: Final = threading.Lock()
        self._newest: Final = _Newest()
        self._state: TailState | None = None
        self.dropped = 0
        self.trouble: str | None = "Kafka has not been asked yet."

    @property
    def state(self) -> TailState | None:
        """The newest view with what comes after it; None before the table was looked at."""
        return self._state

    @property
    def newest(self) -> Mapping[tuple[str, str], Fresh]:
        """The newest trade by exchange and symbol."""
        return self._newest.by_symbol

    def adopt(self, view: TableView) -> None:
        """Take a newer view of the table; rows that it has leave the tail."""
        with self._lock:
            old = self._state
            if old is None:
                self._state = TailState(view)
                return
            kept = [chunk.after(self._topic, view.offsets) for chunk in old.chunks]
            chunks = tuple(chunk for chunk in kept if chunk is not None)
            reached = {partition: view.offsets[self._topic, partition] or 0 for partition in old.let_go}
            missing = {partition: end for partition, end in old.let_go.items() if reached[partition] < end}
            self._state = TailState(view, chunks, missing)

    def seed(self, rows: pa.Table) -> None:
        """Take rows of the table as the newest that are known; what comes later counts more."""
        self._newest.take(rows)

    def watch(self, stop: threading.Event) -> None:
        """Follow Kafka until told to stop; when it is away, wait for it."""
        while not stop.is_set():
            if self._state is None:
                stop.wait(_LOOK_S)
                continue
            source = Source(self._settings, self._topic, f"k2-serve-{uuid.uuid4().hex[:8]}")
            try:
                self._follow(source, stop)
            except (BusError, LakeError) as error:
                if self.trouble is None:
                    _log.warning("tail.waiting", why=str(error))
                self.trouble = str(error)
            finally:
                source.close()
            stop.wait(_AGAIN_S)

    def _follow(self, source: Source, stop: threading.Event) -> None:
        with self._lock:
            assert self._state is not None  # noqa: S101 - whoever calls has looked
            self._state = TailState(self._state.view)
            start = self._state.view.offsets
        source.start(start)
        self.trouble = None
        while not stop.is_set():
            read = source.read(_AT_ONCE, _LOOK_S)
            if read.messages:
                self._take(read)
            elif source.grown():
                return

    def _take(self, read: Read) -> None:
        batch = Batch()
        batch.add(read, self._codec)
        bad = {id(each.message) for each in batch.unusable}
        good = [message for message in read.messages if id(message) not in bad]
        rows = batch.rows(TRADES.record.arrow())
        self._newest.take(rows)
        chunk = _Chunk(
            rows,
            np.array([message.partition() for message in good], dtype=np.int64),
            np.array([message.offset() for message in good], dtype=np.int64),
        )
        with self._lock:
            state = self._state
            assert state is not None  # noqa: S101
            fresh = chunk.after(self._topic, state.view.offsets)
            chunks = state.chunks if fresh is None else (*_joined(state.chunks), fresh)
            self._state = self._bounded(TailState(state.view, chunks, state.let_go))

    def _bounded(self, state: TailState) -> TailState:
        chunks, total = list(state.chunks), sum(len(chunk.offsets) for chunk in state.chunks)
        let_go = dict(state.let_go)
        while total > self._most and len(chunks) > 1:
            gone = chunks.pop(0)
            total -= len(gone.offsets)
            self.dropped += len(gone.offsets)
            for partition in np.unique(gone.partitions):
                last = int(gone.offsets[gone.partitions == partition].max())
                let_go[int(partition)] = max(last + 1, let_go.get(int(partition), 0))
        return TailState(state.view, tuple(chunks), let_go)


_JOIN_CHUNKS: Final = 64
_JOIN_ROWS: Final = 20_000


def _joined(chunks: tuple[_Chunk, ...]) -> tuple[_Chunk, ...]:
    """Join small chunks at the end when there are many; few rows at a time would make a long list."""
    if len(chunks) < _JOIN_CHUNKS or sum(len(chunk.offsets) for chunk in chunks[-_JOIN_CHUNKS:]) > _JOIN_ROWS:
        return chunks
    last = chunks[-_JOIN_CHUNKS:]
    one = _Chunk(
        pa.concat_tables([chunk.rows for chunk in last]).combine_chunks(),
        np.concatenate([chunk.partitions for chunk in last]),
        np.concatenate([chunk.offsets for chunk in last]),
    )
    return (*chunks[:-_JOIN_CHUNKS], one)
