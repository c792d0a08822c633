"""How long the query API's answers take on ten million trades, with one client and with fifty, and with a live tail.

Claim: `/v1/trades?limit=100` has a p99 under 50 ms with one client. The table was written in commits of 50,000 rows and
joined by `compact`, as a writer leaves it. The newest rows the API has in memory; those of the last question, which lie
in the middle, it searches for in the files. The peer is DuckDB itself, asked in the same process for the newest hundred
rows of all the table's files by one plain statement.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx
import uvicorn
from _figures import options, percentile, print_claim, read, show
from _k2 import BEGIN_US, STEP_US, TOPIC, Lake

from k2.api import create_app
from k2.lake.compaction import compact
from k2.lake.duck import local_path
from k2.settings import ServeSettings

ROWS, QUICK_ROWS = 10_000_000, 20_000
COMMIT_ROWS = 50_000
CLIENTS = 50
CLAIM_MS = 50.0
KEY = {"X-API-Key": "k2-dev-api-key-2026"}
PATHS = ("/v1/trades?limit=100", "/v1/trades?symbol=BTCUSDT&limit=100", "/v1/trades/recent?limit=100")


def middle(rows: int) -> str:
    """Return the path that asks for the hundred rows before the middle of so many."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=BEGIN_US + rows // 2 * STEP_US)
    return f"/v1/trades?end_time={moment:%Y-%m-%dT%H:%M:%S.%fZ}&limit=100"


@contextmanager
def served(lake: Lake) -> Iterator[str]:
    """Serve a lake; there is no Kafka, so the tail is empty."""
    common = lake.settings.model_dump(include={"catalog_uri", "warehouse"})
    settings = ServeSettings(**common, kafka_bootstrap=("127.0.0.1:9",), rate_limit=1e6, trades_topic=TOPIC)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline_s = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline_s:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    while httpx.get(f"{url}{PATHS[0]}", headers=KEY).status_code != 200 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def one_client(url: str, path: str, n: int) -> list[float]:
    """Ask one question after another; returns ms."""
    with httpx.Client(base_url=url, headers=KEY, timeout=60) as http:
        found = []
        for _ in range(n):
            began_s = time.perf_counter()
            assert len(http.get(path).json()["data"]) == 100
            found.append((time.perf_counter() - began_s) * 1000)
    return found


async def many_clients(url: str, path: str, n: int) -> list[float]:
    """Let fifty ask at once, each one question after another; returns ms."""
    found: list[float] = []
    async with httpx.AsyncClient(
        base_url=url, headers=KEY, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)
    ) as http:

        async def ask() -> None:
            for _ in range(max(1, n // CLIENTS)):
                began_s = time.perf_counter()
                (await http.get(path)).raise_for_status()
                found.append((time.perf_counter() - began_s) * 1000)

        await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    return found


def plain_duckdb(lake: Lake, n: int) -> list[float]:
    """Ask DuckDB for the newest hundred rows of all files; returns ms."""
    paths = [local_path(task.file.file_path) for task in lake.table.iceberg.scan().plan_files()]
    duck = duckdb.connect()
    found = []
    for _ in range(n):
        began_s = time.perf_counter()
        sql = 'SELECT * FROM read_parquet(?) ORDER BY "timestamp" DESC LIMIT 100'
        assert duck.sql(sql, params=[paths]).to_arrow_table().num_rows == 100
        found.append((time.perf_counter() - began_s) * 1000)
    return found


def main() -> None:
    """Fill a lake and ask."""
    given = read(options(__doc__, 300, "requests of each kind"))
    rows = QUICK_ROWS if given.quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        while lake.rows < rows:
            lake.append(min(COMMIT_ROWS, rows - lake.rows))
            if lake.rows % 1_000_000 == 0:
                print(f"  {lake.rows} trades written", flush=True)
        compact(lake.table)
        peer = show("DuckDB, plain statement", plain_duckdb(lake, min(given.n, 20)), "ms")
        with served(lake) as url:
            for path in (*PATHS, middle(rows)):
                ours = one_client(url, path, given.n)
                median = show(f"GET {path}, 1 client", ours, "ms")
                print(f"  ratio to plain DuckDB {median / peer:.2f}")
                if path == PATHS[0]:
                    p99 = percentile(ours, 99)
                    print_claim(f"p99 under {CLAIM_MS:g} ms", p99 < CLAIM_MS, quick=given.quick)
            show(f"GET {PATHS[0]}, {CLIENTS} clients", asyncio.run(many_clients(url, PATHS[0], given.n)), "ms")


if __name__ == "__main__":
    main()
