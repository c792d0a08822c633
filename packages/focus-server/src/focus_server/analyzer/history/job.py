"""A historic job: recordings that each viewer plays from the start by itself."""

import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Final

from focus_server.analyzer.coverage import Coverage
from focus_server.analyzer.history.cursor import Cursor, Score
from focus_server.analyzer.history.places import Places
from focus_server.analyzer.history.playback import Playback
from focus_server.analyzer.job import Job, JobRecord, State
from focus_server.analyzer.viewer import End
from focus_server.settings import AnalyzerSettings

_LONGEST_MESSAGE_S: Final = 0.1
"""With a play rate, what is played in so long may come in one message; live it is one block."""


class HistoricJob(Job):
    """Plays recordings. `workers` read and compute, beside the loop and beside live views; `places` are shared."""

    mode = "historic"

    def __init__(self, record: JobRecord, now_s: float, workers: Executor, places: Places) -> None:
        super().__init__(record, now_s)
        self._workers = workers
        self._places = places
        self._playbacks: dict[Playback, int] = {}
        """Each with its stream."""
        self._unplayed = set(range(len(self.shapes)))
        self._missing = Coverage()

    @property
    def viewers(self) -> int:
        """How many streams are being watched, by all viewers together."""
        return len(self._playbacks)

    @property
    def missing_lines(self) -> int:
        """Lines that no channel had, as far as anybody has played; each counted once."""
        return sum(end - begin for begin, end in self._missing.all())

    @property
    def dropped_lines(self) -> int:
        """None: a historic job waits for its viewers."""
        return 0

    @property
    def waiting(self) -> tuple[int, int]:
        """How many messages are made ahead; they are not measured, so no bytes."""
        return sum(playback.waiting for playback in self._playbacks), 0

    def state(self, ready_in_s: float) -> State:
        """Tell what the job is doing."""
        if self._playbacks:
            return State.PLAYING
        return State.READY if self._unplayed else State.FINISHED

    @contextmanager
    def watched(self, stream: int) -> Iterator[Playback]:
        """Let somebody play a stream from its start for as long as the context is open. Raises `Refusal` 503."""
        with self._places.one():
            playback = Playback(self._cursor(stream), self._score(stream), self._workers, self._missing.add, self._made)
            self._playbacks[playback] = stream
            self._joined()
            try:
                yield playback
            finally:
                playback.close()
                if playback.complete:
                    self._unplayed.discard(stream)
                del self._playbacks[playback]
                self._left(time.monotonic())

    def end_streams(self, end: End) -> None:
        """Tell all viewers why there is no more."""
        for playback in self._playbacks:
            playback.end(end)

    def expired(self, settings: AnalyzerSettings, now_s: float) -> str | None:
        """Say why the job should end now; None when it should not."""
        if not self._unplayed and self.idle_s(now_s) > settings.job_finished_s:
            return f"Job {self.id} was played to its end {settings.job_finished_s:g} s ago."
        return self._unwatched(settings, now_s)

    def _reshape(self) -> None:
        for playback, stream in self._playbacks.items():
            playback.turn(partial(self._cursor, stream))

    def _made(self, lines: int) -> None:
        self.lines_made += lines

    def _cursor(self, stream: int, begin_line: int | None = None) -> Cursor:
        return Cursor(self._score(stream), self.record.recordings, _LONGEST_MESSAGE_S, begin_line)

    def _score(self, stream: int) -> Score:
        return Score(
            fibre=self.fibre,
            grid=self.grid,
            first_line=self.first_line,
            end_line=self.first_line + (self.record.answer.metadata.lines or 0),
            shape=self.shapes[stream],
            first_value=self.first_value,
            last_value=self.last_value,
            playrate=self.record.request.playrate,
        )
