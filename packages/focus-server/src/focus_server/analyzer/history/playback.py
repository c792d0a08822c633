"""What one viewer of a historic job gets: its own pass, one message ahead of it, and not sooner than it is due."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

import grpc
import structlog

from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.history.cursor import Cursor, Passage, Score
from focus_server.analyzer.viewer import End

_log = structlog.get_logger()

_COMPLETE = End(grpc.StatusCode.OK, "The recording was played to its end.")
_FAILED = End(grpc.StatusCode.INTERNAL, "The analyzer failed at this playback; its log says why.")


class Playback:
    """Plays what a cursor gives. Nothing is made before what was made has been taken, but for one message.

    `missing` is called with lines that no channel had, when their place is reached, and `made` with how many were made.
    """

    def __init__(
        self,
        cursor: Cursor,
        score: Score,
        workers: Executor,
        missing: Callable[[int, int], None],
        made: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._cursor = cursor
        self._pace = _Pace(score)
        self._workers = workers
        self._missing = missing
        self._made = made
        self._line = score.first_line
        self._ahead: Future[Passage | None] = workers.submit(cursor.next)
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.complete = False
        self._turn: Callable[[int], Cursor] | None = None

    @property
    def waiting(self) -> int:
        """How many messages are made and wait for the viewer."""
        return int(self._ahead.done())

    def turn(self, make: Callable[[int], Cursor]) -> None:
        """Go on with another cursor, made for the line at which what is made already ends."""
        self._turn = make

    def end(self, end: End) -> None:
        """Say that the playback ends; what is not sent yet is not sent any more."""
        if not self._end.done():
            self._end.set_result(end)

    def close(self) -> None:
        """Close the files, as soon as nobody reads them any more."""
        self._cursor.stop()
        self._ahead.cancel()
        self._ahead.add_done_callback(lambda _: self._cursor.close())

    async def next(self) -> bytes | End:
        """Wait for the next message; or for the end."""
        while not self._end.done():
            made = asyncio.wrap_future(self._ahead)
            try:
                await asyncio.wait((made, self._end), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not made.done():
                    made.cancel()
            if made.cancelled():
                break
            try:
                passage = made.result()
            except Exception:
                _log.exception("playback.failed")
                return _FAILED
            if passage is None:
                self.complete = True
                return _COMPLETE
            self._take_turn(passage.end_line)
            self._ahead = self._workers.submit(self._cursor.next)
            await self._until_due(passage)
            for first, end in passage.missing:
                self._missing(first, end)
            self._made(passage.end_line - self._line - sum(end - first for first, end in passage.missing))
            self._line = passage.end_line
            if passage.message is not None and not self._end.done():
                return passage.message
        return self._end.result()

    def _take_turn(self, line: int) -> None:
        if self._turn is None:
            return
        make, self._turn = self._turn, None
        self._workers.submit(self._cursor.close)
        self._cursor = make(line)

    async def _until_due(self, passage: Passage) -> None:
        wait_s = self._pace.due_in_s(passage.end_line)
        if wait_s > 0:
            await asyncio.wait((self._end,), timeout=wait_s)


class _Pace:
    """When lines are due: the time since the beginning is the time in the recording, divided by the play rate."""

    def __init__(self, score: Score) -> None:
        self._grid: LineGrid = score.grid
        self._first_line = score.first_line
        self._began_s = time.monotonic()
        self._s_per_sample = None if score.playrate is None else 1 / (float(score.fibre.fs) * score.playrate)

    def due_in_s(self, end_line: int) -> float:
        """Give the seconds until the lines before `end_line` are due."""
        if self._s_per_sample is None:
            return 0.0
        samples = (end_line - 1 - self._first_line) * self._grid.hop
        return self._began_s + samples * self._s_per_sample - time.monotonic()
