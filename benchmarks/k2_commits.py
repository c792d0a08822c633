"""How long a commit of the writer takes, the last hundred of two thousand beside the first, and what it leaves on disk.

Claim: the p95 of the last hundred commits is within 1.5 of that of the first hundred. Each commit adds 50 trades; the
writer's upkeep runs as it does in `k2 ingest`. The peer is an append by PyIceberg alone to a table of its own, taken
at the beginning. Bytes per million trades are those of data files, before and after `compact`.
"""

import tempfile
import time
from pathlib import Path

from _figures import options, percentile, print_claim, read, show
from _k2 import Lake, trades

from k2.lake.compaction import compact
from k2.lake.expiry import sweep
from k2.lake.figures import WriterFigures
from k2.lake.tables import TRADES
from k2.lake.upkeep import Upkeep, UpkeepRules

ROWS = 50
WINDOW = 100
CLAIM = 1.5
BYTES_ROWS, QUICK_BYTES_ROWS = 1_000_000, 20_000


def bare(folder: Path, n: int) -> list[float]:
    """Append by the library alone; returns ms."""
    folder.mkdir()
    table = Lake(folder).table.iceberg
    found = []
    for number in range(n):
        rows = trades(number * ROWS, ROWS)
        began_s = time.perf_counter()
        table.append(rows)
        found.append((time.perf_counter() - began_s) * 1000)
    return found


def commits(folder: Path, n: int) -> list[float]:
    """Commit as the writer does; returns ms, upkeep not counted."""
    folder.mkdir()
    lake = Lake(folder)
    upkeep = Upkeep(UpkeepRules(), WriterFigures(), "trades", TRADES.time)
    found, kept_s = [], 0.0
    for number in range(n):
        rows = trades(lake.rows, ROWS)
        began_s = time.perf_counter()
        lake.commit(rows)
        ended_s = time.perf_counter()
        found.append((ended_s - began_s) * 1000)
        upkeep.after_commit(lake.table)
        kept_s += time.perf_counter() - ended_s
        if number % 500 == 499:
            print(f"  {number + 1} commits", flush=True)
    print(f"upkeep: {kept_s / n * 1000:.1f} ms per commit on average")
    return found


def bytes_per_million(folder: Path, rows: int) -> None:
    """Print what trades take on the disk."""
    folder.mkdir()
    lake = Lake(folder)
    while lake.rows < rows:
        lake.append(min(5000, rows - lake.rows))

    def size() -> float:
        return sum(path.stat().st_size for path in folder.rglob("*.parquet")) * 1e6 / rows / 2**20

    before = size()
    compact(lake.table)
    lake.table.forget(each.snapshot_id for each in lake.table.iceberg.snapshots()[:-1])
    sweep(lake.table, 0)
    print(f"data files of a million trades: {before:.1f} MiB in commits of 5,000, {size():.1f} MiB compacted")


def main() -> None:
    """Commit and compare."""
    given = read(options(__doc__, 2000, "commits"))
    window = min(WINDOW, given.n)
    with tempfile.TemporaryDirectory() as folder:
        peer = show("PyIceberg append", bare(Path(folder, "bare"), window), "ms")
        ours = commits(Path(folder, "ours"), given.n)
        first, last = ours[:window], ours[-window:]
        show(f"first {window} commits", first, "ms")
        median = show(f"last {window} commits", last, "ms")
        print(f"  ratio to PyIceberg's append {median / peer:.2f}")
        ratio = percentile(last, 95) / percentile(first, 95)
        print(f"  p95 of the last to the first: {ratio:.2f}")
        print_claim(f"p95 of the last {window} within {CLAIM} of the first", ratio <= CLAIM, quick=given.quick)
        bytes_per_million(Path(folder, "bytes"), QUICK_BYTES_ROWS if given.quick else BYTES_ROWS)


if __name__ == "__main__":
    main()
