"""What lives as long as the API: the tables' views, the live tail, the look at Kafka, and DuckDB."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import duckdb
import pyarrow as pa
import structlog
from duckdb import DuckDBPyConnection

from k2.errors import LakeError, QueryError
from k2.lake.files import LakeFile
from k2.lake.tables import TRADES
from k2.query.answers import Rows, answer, as_arrow, completed, held
from k2.query.engine import Engine
from k2.query.question import Question
from k2.query.tail import Tail, TailState
from k2.query.views import TableView, Views
from k2.query.watchers import KafkaWatch
from k2.settings import ServeSettings

__all__ = ["Service"]

_log = structlog.get_logger()

T = TypeVar("T")

_END_S: Final = 5.0
_SEED_FILES: Final = 16
_SEED_ROWS: Final = 100_000


class Service:
    """Starts and ends the threads; questions go through `ask`."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings: Final = settings
        self.views: Final = Views(settings, settings.refresh_s)
        self.tail: Final = Tail(settings)
        self.kafka: Final = KafkaWatch(settings, self.views)
        self._engine: Final = Engine(
            settings.warehouse, settings.query_memory_mb, settings.query_threads, settings.query_s
        )
        self._stop: Final = threading.Event()
        self._seeded = False
        self._began_us: Final = time.time_ns() // 1000
        self.views.completed = self._completed
        self.views.changed = self._changed
        self._threads: Final = [
            threading.Thread(target=work, args=(self._stop,), name=name, daemon=True)
            for name, work in (("views", self.views.watch), ("tail", self.tail.watch), ("kafka", self.kafka.watch))
        ]

    def start(self) -> None:
        """Start looking."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop looking; what hangs in a library is left behind."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_END_S)
        self._engine.close()

    async def ask(self, work: Callable[[DuckDBPyConnection], T]) -> T:
        """Do some work beside the loop. Raises QueryError."""
        return await asyncio.wrap_future(self._engine.submit(work))

    async def rows(self, view: TableView, question: Question, tail: pa.Table | None = None) -> Rows:
        """Answer a question to a table, and to the rows of a tail beside it. Raises QueryError."""
        if tail is None or not tail.num_rows:
            found = held(view, question)
            if found is not None:
                return found
        return await self.ask(lambda cursor: answer(cursor, view, question, tail))

    def view(self, name: str) -> TableView:
        """Return the newest view of a table. Raises LakeDown while there is none."""
        return self.views[name]

    def live(self) -> TailState:
        """Return the trades' view with the tail that belongs to it. Raises LakeDown while there is none."""
        return self.tail.state or TailState(self.views[TRADES.name])

    def dependencies(self) -> Mapping[str, str | None]:
        """Tell by name why something does not work that the API depends on; None: it works."""
        return {
            "lake": self.views.trouble,
            "kafka": self.kafka.trouble,
            "tail": self.tail.trouble,
            "writer": self._writer_trouble(),
        }

    def _writer_trouble(self) -> str | None:
        """Tell when trades wait for the table longer than data may be old: then nobody writes it."""
        waiting = self.kafka.lags.get(TRADES.name, 0)
        state = self.tail.state
        committed_us = None if state is None else state.view.committed_us
        if not waiting or (committed_us is None and state is None):
            return None
        age_s = time.time() - (committed_us or self._began_us) / 1e6
        if age_s <= self.settings.stale_s:
            return None
        return f"{waiting} trades wait for the table, which has got none for {age_s:.1f} s; is `k2 ingest` running?"

    def _completed(self, view: TableView, before: TableView | None) -> TableView:
        if not view.form.fed:
            return view
        try:
            return self._engine.run(lambda cursor: completed(cursor, view, before))
        except (QueryError, duckdb.Error) as error:  # what the view says of the table is true all the same
            _log.warning("service.newest_not_kept", table=view.form.name, why=str(error))
            return view

    def _changed(self, view: TableView) -> None:
        if view.form is not TRADES:
            return
        self.tail.adopt(view)
        if not self._seeded:
            self._seeded = True
            try:
                self.tail.seed(self._engine.run(lambda cursor: _newest_rows(cursor, view)))
            except (LakeError, QueryError) as error:
                _log.warning("service.not_seeded", why=str(error))


def _newest_rows(cursor: DuckDBPyConnection, view: TableView) -> pa.Table:
    """Give rows of the newest files, from which the newest trade of most symbols is known after a start."""
    files: list[LakeFile] = sorted(view.files, key=lambda file: file.last_us, reverse=True)[:_SEED_FILES]
    start_us = min((file.first_us for file in files), default=0)
    columns = ("exchange", "symbol", "timestamp", "ingestion_timestamp", "price")
    return as_arrow(cursor, view, Question(view.form, columns=columns, start_us=start_us, limit=_SEED_ROWS))
