"""Candles on a schedule: what changed since the last run, for at most a twentieth of the time."""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog
from duckdb import DuckDBPyConnection
from pyiceberg.catalog import Catalog

from k2.errors import K2Error, NotCommitted
from k2.lake.candles import CandleMaker
from k2.lake.catalog import open_catalog
from k2.lake.duck import connect
from k2.lake.expiry import expire, sweep
from k2.lake.table import LakeTable
from k2.lake.tables import FRAMES, TRADES, candles_form
from k2.settings import LakeSettings

if TYPE_CHECKING:
    from k2.lake.figures import WriterFigures

__all__ = ["CandleRuns"]

_log = structlog.get_logger()

_SHARE: Final = 20.0
"""A run may be followed by the next one after so many times what it took."""
_TRIES: Final = 5
_EXPIRE_RUNS: Final = 50
_SWEEP_RUNS: Final = 500


class CandleRuns:
    """Makes candles of some lengths again and again; each keeps its tables between two runs."""

    def __init__(self, settings: LakeSettings, frames: Sequence[str] = tuple(FRAMES), memory_mb: int = 512) -> None:
        self._settings: Final = settings
        self._frames: Final = tuple(frames)
        self._duck: Final[DuckDBPyConnection] = connect(settings.warehouse, memory_mb)
        self._catalog: Catalog | None = None
        self._makers: dict[str, tuple[LakeTable, LakeTable, CandleMaker]] = {}
        self._due_s = dict.fromkeys(self._frames, 0.0)
        self._runs = dict.fromkeys(self._frames, 0)

    def run(self, frame: str, *, whole: bool = False) -> int:
        """Bring one length up to date; returns how many candles were made. Raises LakeError."""
        trades, candles, maker = self._maker(frame)
        for tries_left in reversed(range(_TRIES)):
            trades.reload()
            candles.reload()
            try:
                made = maker.run(whole=whole)
                break
            except NotCommitted:
                if not tries_left:
                    raise
        self._runs[frame] += 1
        if self._runs[frame] % _EXPIRE_RUNS == 0:
            expire(candles, self._settings.snapshot_keep_s, self._settings.snapshot_keep)
        if self._runs[frame] % _SWEEP_RUNS == 0:
            sweep(candles, self._settings.sweep_after_s)
        return made

    def watch(self, every_s: float, stop: threading.Event, figures: "WriterFigures") -> None:
        """Keep all lengths up to date until told to stop, each at most every `every_s` seconds."""
        for frame in self._frames:
            figures.candles.labels(frame)
        while not stop.wait(max(0.05, min(self._due_s.values()) - time.monotonic())):
            for frame in self._frames:
                began_s = time.monotonic()
                if began_s < self._due_s[frame] or stop.is_set():
                    continue
                try:
                    figures.candles.labels(frame).inc(self.run(frame))
                except K2Error as error:
                    figures.candle_failures.inc()
                    _log.warning("candles.waiting", frame=frame, why=str(error))
                ended_s = time.monotonic()
                self._due_s[frame] = ended_s + max(every_s, _SHARE * (ended_s - began_s))

    def _maker(self, frame: str) -> tuple[LakeTable, LakeTable, CandleMaker]:
        if self._catalog is None:
            self._catalog = open_catalog(self._settings)
        if frame not in self._makers:
            trades, candles = LakeTable(self._catalog, TRADES), LakeTable(self._catalog, candles_form(frame))
            self._makers[frame] = (trades, candles, CandleMaker(frame, trades, candles, self._duck))
        return self._makers[frame]
