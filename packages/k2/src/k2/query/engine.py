"""DuckDB for many at once: each question has a cursor of its own and a time within which it must be answered."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from k2.errors import QueryError
from k2.lake.duck import connect

__all__ = ["Engine"]

T = TypeVar("T")


class Engine:
    """Works on at most `threads` questions at once; what takes longer than `limit_s` seconds is ended."""

    def __init__(self, warehouse: str, memory_mb: int, threads: int, limit_s: float) -> None:
        self._duck: Final = connect(warehouse, memory_mb)
        self._limit_s: Final = limit_s
        self._pool: Final = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._mine: Final = threading.local()
        self._lock: Final = threading.Lock()

    def close(self) -> None:
        """End all threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, work: Callable[[DuckDBPyConnection], T]) -> "Future[T]":
        """Do some work in a thread; the future raises QueryError when it took too long or too much memory."""
        return self._pool.submit(self.run, work)

    def run(self, work: Callable[[DuckDBPyConnection], T]) -> T:
        """Do some work in this thread."""
        cursor = self._cursor()
        over = threading.Event()

        def end() -> None:
            over.set()
            cursor.interrupt()

        clock = threading.Timer(self._limit_s, end)
        clock.daemon = True
        clock.start()
        try:
            return work(cursor)
        except duckdb.InterruptException:
            raise QueryError("time", f"The question took longer than {self._limit_s:g} s; ask for less.") from None
        except duckdb.OutOfMemoryException:
            raise QueryError("memory", "The question needs more memory than it may take; ask for less.") from None
        except duckdb.IOException as error:
            if over.is_set():
                raise QueryError("time", f"The question took longer than {self._limit_s:g} s; ask for less.") from None
            raise QueryError("files", f"A file of the table cannot be read: {str(error).splitlines()[0]}") from None
        finally:
            clock.cancel()
            cursor.abort()  # a result that was not read to its end would be in the way of the next question

    def _cursor(self) -> DuckDBPyConnection:
        cursor: DuckDBPyConnection | None = getattr(self._mine, "cursor", None)
        if cursor is None:
            with self._lock:
                cursor = self._mine.cursor = self._duck.cursor()
        return cursor
