"""How many observations the streaming checkers take in a second of one core, and how much memory a long stream takes.

Beside them, in the same run: DuckDB finding the same losses, duplicates and disorder in the same Parquet files with
SQL, on one thread. `--long` leads 100,000,000 observations past seven checkers at once, as `make soak` does, and fails
when that takes more than 2 GiB.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks._figures import options, print_claim, read, show
from fullspan.faults import Evidence
from fullspan.invariants.streaming import (
    BoundedRecovery,
    Checker,
    Conservation,
    Freshness,
    GapFree,
    Integrity,
    MonotonicWatermark,
    NoDuplicate,
    NoInvention,
    NoLoss,
    Order,
    ShownStale,
    sweep,
)
from fullspan.ledger.columns import SCHEMA
from fullspan.ledger.store import PIECE_ROWS, connect, file_of, write_hop
from fullspan.verdict import Verdict

HOPS = ("sent", "stored")
STREAMS = 16
WALL = 1_780_000_000_000_000_000
MS = 1_000_000
FAULT = Evidence("hang", "broker", True, True, "", "", 0, MS, 0.1)
CLAIMED = 1.0  # million observations a second of one core
MOST_BYTES = 2 * 1024**3
LONG = 100_000_000
DIGESTS = pa.array(np.char.mod("%08x", np.arange(PIECE_ROWS) * 2654435761 % 2**32))
DEVIATIONS = pa.array(np.full(PIECE_ROWS, 0.1))


def piece(hop: str, first: int, rows: int, attributes: bool = False) -> pa.Table:
    """Make rows of one hop: 16 streams in turn, a microsecond apart, all of it as it should be.

    Digests come again after a piece: making hundreds of millions would take longer than checking them.
    """
    number = np.arange(first, first + rows)
    names = pa.array([f"local/{stream}" for stream in range(STREAMS)])
    late = (1 + HOPS.index(hop)) * MS
    columns = {
        "stream": pa.DictionaryArray.from_arrays(pa.array(number % STREAMS, pa.int32()), names),
        "sequence": pa.array(number // STREAMS),
        "name": pa.nulls(rows, pa.string()),
        "event_ns": pa.array(WALL + number * 1000),
        "seen_ns": pa.array(number * 1000 + late),
        "seen_wall_ns": pa.array(WALL + number * 1000 + late),
        "digest": DIGESTS.slice(0, rows),
        "deviation": DEVIATIONS.slice(0, rows),
        "outcome": pa.nulls(rows, SCHEMA.field("outcome").type),
        "attributes": pa.nulls(rows, pa.string()),
    }
    if attributes:
        columns["attributes"] = pa.array([f'{{"amount": {n % 1000}, "mark": {n}, "stale": false}}' for n in number])
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def pieces(total: int, attributes: bool = False) -> Iterator[tuple[str, pa.Table]]:
    """Make a stream of `total` observations, half of them at each hop."""
    for first in range(0, total // 2, PIECE_ROWS):
        for hop in HOPS:
            yield hop, piece(hop, first, min(PIECE_ROWS, total // 2 - first), attributes)


def most() -> list[Checker]:
    """Return the checkers that need no attribute."""
    return [
        NoLoss(HOPS),
        NoDuplicate(HOPS),
        NoInvention(HOPS),
        Order(HOPS),
        GapFree(HOPS),
        Integrity(HOPS, tolerance=0.5),
        Freshness(HOPS, 5 * MS),
    ]


def rate(checkers: list[Checker], source: list[tuple[str, pa.Table]]) -> float:
    """Return how many million observations the checkers take in a second of processor time."""
    began = time.process_time()
    findings = sweep(checkers, source)
    took = time.process_time() - began
    assert {finding.verdict for finding in findings} == {Verdict.PASS}, findings
    return sum(table.num_rows for _, table in source) / took / 1e6


def measure(n: int, total: int, quick: bool) -> None:
    plain, told = list(pieces(total)), list(pieces(total // 4, attributes=True))
    each = {
        "no loss": (plain, lambda: [NoLoss(HOPS)]),
        "no duplicate": (plain, lambda: [NoDuplicate(HOPS)]),
        "no invention": (plain, lambda: [NoInvention(HOPS)]),
        "order": (plain, lambda: [Order(HOPS)]),
        "gap-free": (plain, lambda: [GapFree(HOPS)]),
        "integrity, digests and deviations": (plain, lambda: [Integrity(HOPS, tolerance=0.5)]),
        "freshness": (plain, lambda: [Freshness(HOPS, 5 * MS)]),
        "bounded recovery": (plain, lambda: [BoundedRecovery(HOPS, [FAULT], MS, 5 * MS)]),
        "monotonic watermark": (told, lambda: [MonotonicWatermark(HOPS, "mark")]),
        "conservation of sums": (told, lambda: [Conservation(HOPS, "amount")]),
        "stale shown as stale": (told, lambda: [ShownStale(HOPS, 5 * MS)]),
        "seven at once": (plain, most),
    }
    slowest = min(
        show(f"{name}, million observations a second", [rate(make(), source) for _ in range(n)], "M/s")
        for name, (source, make) in each.items()
    )
    print_claim(f"each at least {CLAIMED:g} million observations/s/core", slowest >= CLAIMED, quick=quick)
    beside_sql(n, plain, total)


def beside_sql(n: int, source: list[tuple[str, pa.Table]], total: int) -> None:
    """Find losses, duplicates and disorder from the same files, by SQL and by checkers."""
    asked = """
        WITH numbered AS (SELECT *, row_number() OVER () AS came FROM observations),
        first AS (SELECT hop, stream, sequence, min(came) AS came, count(*) AS times FROM numbered GROUP BY ALL)
        SELECT (SELECT count(*) FROM first a WHERE hop = 'sent' AND NOT EXISTS (SELECT 1 FROM first b WHERE
                b.hop = 'stored' AND b.stream = a.stream AND b.sequence = a.sequence)),
               (SELECT sum(times - 1) FROM first),
               (SELECT count(*) FROM (SELECT sequence < max(sequence) OVER (PARTITION BY hop, stream ORDER BY came
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS late FROM first) WHERE late)
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for hop in HOPS:
            write_hop(file_of(folder, hop), (table for of, table in source if of == hop))
        ours, theirs = [], []
        for _ in range(n):
            began = time.process_time()
            findings = sweep([NoLoss(HOPS), NoDuplicate(HOPS), Order(HOPS)], folder)
            ours.append(total / (time.process_time() - began) / 1e6)
            assert {finding.verdict for finding in findings} == {Verdict.PASS}
            began = time.process_time()
            with connect(folder, memory="2GB") as sql:
                assert sql.execute(asked).fetchone() == (0, 0, 0)
            theirs.append(total / (time.process_time() - began) / 1e6)
    mine = show("loss, duplicates and order from files, checkers", ours, "M/s")
    other = show("loss, duplicates and order from files, DuckDB", theirs, "M/s")
    print(f"  ratio to DuckDB: {mine / other:.2f}")


def long_stream(total: int) -> bool:
    """Lead a long stream past seven checkers; tell whether memory stayed below its limit."""
    began, told = time.monotonic(), time.monotonic()

    def watched() -> Iterator[tuple[str, pa.Table]]:
        nonlocal told
        done = 0
        for hop, table in pieces(total):
            done += table.num_rows
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"  {done:,} of {total:,} observations", file=sys.stderr, flush=True)
            yield hop, table

    before = time.process_time()
    findings = sweep(most(), watched())
    took = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert {finding.verdict for finding in findings} == {Verdict.PASS}, findings
    print(f"{total:,} observations, seven checkers: {time.monotonic() - began:.0f} s, {took:.0f} s of processor time")
    print(f"  of which making them is part; peak of memory {peak / 2**20:,.0f} MiB of the whole process")
    print_claim("100,000,000 observations in 2 GiB", peak < MOST_BYTES, quick=total < LONG)
    return peak < MOST_BYTES


def main() -> None:
    parser = options(__doc__, 5, "sweeps of each checker")
    parser.add_argument("--total", type=int, help="observations of one sweep (default 4,000,000)")
    parser.add_argument("--long", action="store_true", help="only the long stream, and its memory")
    given = read(parser)
    if given.long:
        sys.exit(0 if long_stream(given.total or (2_000_000 if given.quick else LONG)) else 1)
    measure(given.n, given.total or (200_000 if given.quick else 4_000_000), given.quick)


if __name__ == "__main__":
    main()
