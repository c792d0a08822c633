"""Candles: whole windows made anew from their trades and put in the place of what was there, with exact decimals.

A run makes those windows anew whose trades changed since the last one: the snapshot of the candles says up to which
commit of the trades it goes, and every later file says between which times its trades lie. So a trade that comes late,
by a backfill for example, changes the candle that it belongs to.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection
from pyiceberg.table import Table

from k2.errors import LakeDown
from k2.lake.compaction import rows_of
from k2.lake.duck import relation
from k2.lake.files import LakeFile, Manifests
from k2.lake.table import LakeTable
from k2.lake.tables import CANDLE, FRAMES

__all__ = ["CandleMaker", "day_of"]

TRADES_PROPERTY: Final = "k2.trades-sequence"
"""Snapshot property of candles: the number of the newest commit of the trades that they are made of."""

_MICROS: Final = 1_000_000
_AT_US: Final = 'epoch_us("timestamp")'
_EXACT: Final = Context(prec=100)
_CENT: Final = Decimal("1e-8")
_NOTIONAL_SCALE: Final = 16

_MADE: Final = """
SELECT symbol, exchange, start_us,
    first(price ORDER BY at_us, source_sequence) AS open, max(price) AS high, min(price) AS low,
    last(price ORDER BY at_us, source_sequence) AS close,
    sum(quantity)::DECIMAL(38,8) AS volume, sum(units) AS units, count(*) AS trade_count
FROM (
    SELECT symbol, exchange, price, quantity, source_sequence, epoch_us("timestamp") AS at_us,
        at_us - at_us % {frame_us} AS start_us,
        (price::DECIMAL(27,8) * 100000000)::HUGEINT * (quantity * 100000000)::HUGEINT AS units
    FROM {trades}
    WHERE {within}
)
GROUP BY ALL ORDER BY start_us, symbol, exchange
"""


class CandleMaker:
    """Makes the candles of one length; `trades` and `candles` are the two tables, loaded."""

    def __init__(self, frame: str, trades: LakeTable, candles: LakeTable, duck: DuckDBPyConnection) -> None:
        self._frame_us: Final = FRAMES[frame] * _MICROS
        self._trades: Final = trades
        self._candles: Final = candles
        self._duck: Final = duck
        self._trade_files: Final = Manifests(trades.form.time)
        self._candle_files: Final = Manifests(candles.form.time)

    def run(self, *, whole: bool = False) -> int:
        """Make anew what changed, or everything, from the two tables as they were loaded; returns how many candles.

        Raises NotCommitted when the candles were changed meanwhile, LakeDown when files cannot be read.
        """
        newest = self._trades.iceberg.current_snapshot()
        if newest is None:
            return 0
        reached = -1 if whole else self._reached()
        files = self._trade_files.files(self._trades.iceberg)
        changed = [file for file in files if file.sequence > reached]
        if not changed:
            return 0
        windows = self._windows(changed)
        made = self._make(files, windows)
        kept_of = [file for file in self._candle_files.files(self._candles.iceberg) if _touches(file, windows)]
        rows = pa.concat_tables([self._outside(kept_of, windows), made]) if kept_of else made
        self._candles.replace(
            [file.data_file for file in kept_of], rows, {TRADES_PROPERTY: str(newest.sequence_number or 0)}
        )
        return int(made.num_rows)

    def _reached(self) -> int:
        snapshot = self._candles.iceberg.current_snapshot()
        summary = None if snapshot is None else snapshot.summary
        return -1 if summary is None else int(summary.additional_properties.get(TRADES_PROPERTY, "-1"))

    def _windows(self, files: Iterable[LakeFile]) -> list[tuple[int, int]]:
        """List from where to where, in microseconds, windows have to be made anew: ascending and apart."""
        frame = self._frame_us
        found: list[tuple[int, int]] = []
        for first, last in sorted((file.first_us, file.last_us) for file in files):
            start, end = first - first % frame, last - last % frame + frame
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            else:
                found.append((start, end))
        return found

    def _make(self, files: Sequence[LakeFile], windows: Sequence[tuple[int, int]]) -> pa.Table:
        needed = [file for file in files if _touches(file, windows)]
        cursor = self._duck.cursor()
        source = relation(cursor, self._trades.iceberg, needed, "trades_fetched")
        within = " OR ".join(f"{_AT_US} >= {start} AND {_AT_US} < {end}" for start, end in windows)
        try:
            made = _candles(cursor, source, self._frame_us, within)
        except duckdb.IOException as error:
            raise LakeDown(f"The files of the trades cannot be read: {str(error).splitlines()[0]}") from error
        return pa.Table.from_pylist(made, schema=CANDLE.arrow())

    def _outside(self, files: Sequence[LakeFile], windows: Sequence[tuple[int, int]]) -> pa.Table:
        """Read the candles of some files that are not made anew."""
        rows = rows_of(self._candles, files)
        start = rows.column("window_start").cast(pa.int64())
        inside = pa.array([False] * rows.num_rows)
        for first, end in windows:
            inside = pc.or_(inside, pc.and_(pc.greater_equal(start, first), pc.less(start, end)))
        return rows.filter(pc.invert(inside))


def day_of(
    cursor: DuckDBPyConnection, trades: Table, files: Sequence[LakeFile], symbol: str, start_us: int
) -> list[dict[str, Any]]:
    """Make the candle of one UTC day of a symbol from the trades of some files, one for each exchange."""
    source = relation(cursor, trades, files, "trades_fetched")
    day_us = FRAMES["1d"] * _MICROS
    within = f"symbol = ? AND {_AT_US} >= {start_us} AND {_AT_US} < {start_us + day_us}"
    return _candles(cursor, source, day_us, within, [symbol])


def _candles(
    cursor: DuckDBPyConnection, trades: str, frame_us: int, within: str, parameters: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Make the candles of some trades, each a row with the columns of `CANDLE`; times are microseconds."""
    answer = cursor.execute(_MADE.format(frame_us=frame_us, trades=trades, within=within), list(parameters))
    names = [column[0] for column in answer.description or ()]
    return [_candle(dict(zip(names, row, strict=True)), frame_us) for row in answer.fetchall()]


def _candle(row: dict[str, Any], frame_us: int) -> dict[str, Any]:
    start = row.pop("start_us")
    # Whole units of 1e-16: a product of both decimals would not fit the width that the engine gives it.
    notional = Decimal(int(row.pop("units"))).scaleb(-_NOTIONAL_SCALE, _EXACT)
    times = {"window_start": start, "window_end": start + frame_us}
    return {**row, **times, "notional": notional, "vwap": _vwap(notional, row["volume"])}


def _vwap(notional: Decimal, volume: Decimal) -> Decimal | None:
    return _EXACT.divide(notional, volume).quantize(_CENT, ROUND_HALF_EVEN, _EXACT) if volume else None


def _touches(file: LakeFile, windows: Iterable[tuple[int, int]]) -> bool:
    return any(file.may_have(None, start, end) for start, end in windows)
