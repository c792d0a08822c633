"""DuckDB for many at once: each question has a cursor of its own and a time within which it must be answered."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from k2.errors import QueryError
from k2.lake.duck import connect

__all__ = ["Engine"]

T = TypeVar("T")

_AGAIN_S: Final = 0.1


class _Deadlines:
    """Interrupts what runs for longer than `limit_s` seconds; one thread looks after all.

    All have the same limit, so whoever began first is due first, and nobody is due sooner than the limit from now.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s: Final = limit_s
        self._due: Final[dict[DuckDBPyConnection, float]] = {}
        self._over: Final[set[DuckDBPyConnection]] = set()
        self._lock: Final = threading.Lock()
        self._stop: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    def begin(self, cursor: DuckDBPyConnection) -> None:
        """Look after a cursor from now on."""
        with self._lock:
            self._due[cursor] = time.monotonic() + self._limit_s

    def end(self, cursor: DuckDBPyConnection) -> bool:
        """Look after it no more; tells whether it was interrupted."""
        with self._lock:
            del self._due[cursor]
            over = cursor in self._over
            self._over.discard(cursor)
        return over

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        wait_s = self._limit_s
        while not self._stop.wait(wait_s):
            with self._lock:
                now_s = time.monotonic()
                for cursor in [cursor for cursor, due_s in self._due.items() if due_s <= now_s]:
                    self._over.add(cursor)
                    self._due[cursor] = now_s + _AGAIN_S  # it may have been between two statements
                    cursor.interrupt()
                wait_s = min(self._due.values(), default=now_s + self._limit_s) - now_s


class Engine:
    """Works on at most `threads` questions at once; what takes longer than `limit_s` seconds is ended."""

    def __init__(self, warehouse: str, memory_mb: int, threads: int, limit_s: float) -> None:
        self._duck: Final = connect(warehouse, memory_mb)
        self._limit_s: Final = limit_s
        self._deadlines: Final = _Deadlines(limit_s)
        self._pool: Final = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._mine: Final = threading.local()
        self._lock: Final = threading.Lock()

    def close(self) -> None:
        """End all threads."""
        self._deadlines.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, work: Callable[[DuckDBPyConnection], T]) -> "Future[T]":
        """Do some work in a thread; the future raises QueryError when it took too long or too much memory."""
        return self._pool.submit(self.run, work)

    def run(self, work: Callable[[DuckDBPyConnection], T]) -> T:
        """Do some work in this thread."""
        cursor = self._cursor()
        over = True
        self._deadlines.begin(cursor)
        try:
            try:
                return work(cursor)
            finally:
                over = self._deadlines.end(cursor)
                cursor.abort()  # a result that was not read to its end would be in the way of the next question
        except duckdb.InterruptException:
            raise QueryError("time", f"The question took longer than {self._limit_s:g} s; ask for less.") from None
        except duckdb.OutOfMemoryException:
            raise QueryError("memory", "The question needs more memory than it may take; ask for less.") from None
        except duckdb.IOException as error:
            if over:
                raise QueryError("time", f"The question took longer than {self._limit_s:g} s; ask for less.") from None
            raise QueryError("files", f"A file of the table cannot be read: {str(error).splitlines()[0]}") from None

    def _cursor(self) -> DuckDBPyConnection:
        cursor: DuckDBPyConnection | None = getattr(self._mine, "cursor", None)
        if cursor is None:
            with self._lock:
                cursor = self._mine.cursor = self._duck.cursor()
        return cursor
