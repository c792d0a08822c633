"""Every call of the contract, against what was sent: on a real Kafka, with the writer, over HTTP."""

import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from k2.bus.gaps import Gap
from k2.lake import FRAMES, LakeTable
from k2.lake.candle_runs import CandleRuns
from k2.lake.catalog import open_catalog
from k2.lake.tables import TABLES

from ..lake.conftest import table_of  # noqa: TID252
from ..lake.conftest import trade as row_of  # noqa: TID252
from ..programs import until  # noqa: TID252
from .conftest import KEY, quote, trade

DAY_US = 1_786_060_800_000_000  # 2026-08-07 00:00:00 UTC
TRADES = [trade(n, at_us=DAY_US + n * 1_000_000, price=f"{100 + n % 7}.0000000{n % 10}") for n in range(1, 401)] + [
    trade(n, symbol="ETHUSDT", at_us=DAY_US + n * 1_000_000 + 7, quantity=f"{n}.00000003") for n in range(1, 101)
]
QUOTES = [quote(n, DAY_US + n) for n in range(1, 21)]


@pytest.fixture(scope="module")
def http(places):
    """A server that answers from tables with 500 trades, 20 quotes and their candles; the writer has ended."""
    place = places()
    place.send([*TRADES, *QUOTES])
    place.put(place.serve.trades_topic, b"no trade")
    gap = Gap("BINANCE", "BTCUSDT", 401, 409, 9, DAY_US)
    place.put(place.serve.gaps_topic, gap.encode(), gap.key)
    with place.served() as http:
        with place.writing():
            until(lambda: told(http, "trades") == 500 and told(http, "quotes") == 20, "the tables are filled")
            runs = CandleRuns(place.ingest)
            for frame in FRAMES:
                runs.run(frame)
            until(lambda: set(counted(http)) == {500}, "the candles are complete")
        yield http


def told(http, table):
    answer = http.get("/v1/stats")
    return answer.json()["data"]["tables"].get(table, {}).get("rows") if answer.status_code == 200 else None


def recent(http):
    """The newest trades; none while the tables have not been looked at."""
    answer = http.get("/v1/trades/recent?limit=1000")
    return answer.json()["data"] if answer.status_code == 200 else []


def counted(http):
    """How many trades the candles of each length are made of."""
    data = http.post("/v1/ohlcv/batch", json={"symbols": ["BTCUSDT", "ETHUSDT"]}).json()["data"]
    return [sum(row["trade_count"] for symbol in data.values() for row in symbol[frame]) for frame in FRAMES]


def iso(us, zone="Z"):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime(f"%Y-%m-%dT%H:%M:%S.%f{zone}")


def as_told(record):
    """A trade as the API must tell it."""
    return {
        "message_id": record.message_id,
        "trade_id": record.trade_id,
        "symbol": record.symbol,
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": iso(record.timestamp),
        "price": f"{record.price:.8f}",
        "quantity": f"{record.quantity:.8f}",
        "currency": "USDT",
        "side": record.side,
        "source_sequence": record.source_sequence,
        "ingestion_timestamp": iso(record.ingestion_timestamp),
        "platform_sequence": record.platform_sequence,
        "trade_conditions": list(record.trade_conditions),
        "vendor_data": {"M": "true"},
        "event_time": iso(record.timestamp, ""),
    }


def newest_first(records):
    return sorted(records, key=lambda it: (it.timestamp, it.source_sequence), reverse=True)


def test_every_trade_comes_once_with_every_field_newest_first(http):
    found = []
    while True:
        page = http.get("/v1/trades", params={"limit": 77, "offset": len(found)}).json()
        assert page["success"] is True
        found += page["data"]
        assert page["pagination"]["count"] == len(page["data"])
        if not page["pagination"]["has_more"]:
            break
        assert page["pagination"]["next_offset"] == len(found)
    assert found == [as_told(record) for record in newest_first(TRADES)]


def test_recent_is_the_same_when_the_table_has_all(http):
    page = http.get("/v1/trades/recent", params={"limit": 1000}).json()
    assert page["data"] == [as_told(record) for record in newest_first(TRADES)]
    assert page["meta"]["complete"] is True
    assert page["meta"]["tail_rows"] == 0


@pytest.mark.parametrize("path", ["/v1/trades", "/v1/trades/recent"])
def test_symbol_and_times_choose(http, path):
    start, end = DAY_US + 50_000_000, DAY_US + 60_000_000
    params = {"symbol": "ethusdt", "exchange": "binance", "start_time": iso(start), "end_time": iso(end, "")}
    expected = [it for it in newest_first(TRADES) if it.symbol == "ETHUSDT" and start <= it.timestamp < end]
    assert http.get(path, params=params).json()["data"] == [as_told(record) for record in expected]
    assert len(expected) == 10


@pytest.mark.parametrize(
    ("order", "key", "down"),
    [
        ("timestamp", lambda it: it.timestamp, False),
        ("-price", lambda it: (it.price, it.timestamp), True),
        ("price desc,timestamp", lambda it: (-it.price, it.timestamp), False),
    ],
)
def test_rows_come_in_the_order_that_was_asked_for(http, order, key, down):
    data = http.get("/v1/trades", params={"order_by": order, "symbol": "BTCUSDT", "limit": 30}).json()["data"]
    records = sorted((it for it in TRADES if it.symbol == "BTCUSDT"), key=key, reverse=down)
    assert [row["source_sequence"] for row in data] == [it.source_sequence for it in records[:30]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/trades?limit=0", 422),
        ("/v1/trades?limit=10001", 422),
        ("/v1/trades?limit=x", 422),
        ("/v1/trades?offset=-1", 422),
        ("/v1/trades?start_time=yesterday", 400),
        ("/v1/trades?order_by=nothing", 400),
        ("/v1/trades?order_by=price%20sideways", 400),
        ("/v1/trades?order_by=vendor_data", 400),
        ("/v1/trades?table_type=orders", 400),
        ("/v1/trades?symbol=%27%3B%20drop%20table", 422),
        ("/v1/ohlcv/2m?symbol=BTCUSDT", 422),
        ("/v1/ohlcv/1m", 422),
        ("/v1/summary/BTCUSDT/2026-13-01", 422),
        ("/v1/summary/BTCUSDT/2020-01-01", 404),
        ("/v1/nothing", 404),
        ("/nothing", 404),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(http, path, status):
    answer = http.get(path)
    assert answer.status_code == status
    assert answer.json().keys() == {"success", "error", "detail"}
    assert answer.json()["success"] is False
    assert answer.json()["error"].endswith(".")


def test_a_known_table_type_is_taken(http):
    assert len(http.get("/v1/trades?table_type=TRADES&limit=3").json()["data"]) == 3


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x"])
@pytest.mark.parametrize("path", ["/v1/trades", "/v1/symbols", "/nothing", "/openapi.json"])
def test_without_the_key_nothing_is_told(http, key, path):
    answer = http.get(path, headers={"X-API-Key": key or ""})
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["error"]


def test_health_and_metrics_ask_for_no_key(http):
    for path in ("/health", "/health/live", "/metrics", "/"):
        assert http.get(path, headers={"X-API-Key": ""}).status_code == 200


def test_the_correlation_id_is_given_back_or_made(http):
    assert http.get("/v1/symbols", headers={"X-Correlation-ID": "abc-1"}).headers["X-Correlation-ID"] == "abc-1"
    made = [http.get("/health").headers["X-Correlation-ID"] for _ in range(2)]
    assert made[0] != made[1]
    strange = http.get("/nothing", headers={"X-Correlation-ID": "a b<script>"}).headers["X-Correlation-ID"]
    assert len(strange) == 32
    answer = http.get("/v1/trades?limit=1", headers={"X-Correlation-ID": "abc-2"}).json()
    assert answer["meta"]["correlation_id"] == "abc-2"


def test_quotes(http):
    data = http.get("/v1/quotes", params={"limit": 5}).json()["data"]
    assert [row["source_sequence"] for row in data] == [20, 19, 18, 17, 16]
    assert data[0]["bid_price"] == "1.00000001"
    assert data[0]["event_time"] == iso(DAY_US + 20, "")


def test_symbols_and_stats(http):
    data = {row["symbol"]: row for row in http.get("/v1/symbols").json()["data"]}
    assert {name: (row["trades"], row["last_sequence"]) for name, row in data.items()} == {
        "BTCUSDT": (400, 400),
        "ETHUSDT": (100, 100),
    }
    assert data["BTCUSDT"]["last_trade"] == iso(DAY_US + 400_000_000)
    stats = http.get("/v1/stats").json()["data"]
    assert stats["tables"]["trades"]["rows"] == 500
    assert stats["tables"]["trades"]["last"] == iso(DAY_US + 400_000_000)
    assert stats["symbols"] == 2


def test_the_summary_of_a_day_is_exact(http):
    mine = [it for it in TRADES if it.symbol == "ETHUSDT"]
    data = http.get("/v1/summary/ETHUSDT/2026-08-07").json()["data"]
    volume = sum(it.quantity for it in mine)
    notional = sum(it.quantity * it.price for it in mine)
    assert (data["trade_count"], data["date"]) == (100, "2026-08-07")
    assert (Decimal(data["volume"]), Decimal(data["notional"])) == (volume, notional)
    assert data["vwap"] == str((notional / volume).quantize(Decimal("1e-8")))
    assert data["open"] == f"{mine[0].price:.8f}"


def test_candles_of_a_symbol(http):
    data = http.get("/v1/ohlcv/1m", params={"symbol": "BTCUSDT", "limit": 3}).json()["data"]
    assert [row["window_start"] for row in data] == [iso(DAY_US + minute * 60_000_000) for minute in (6, 5, 4)]
    mine = [it for it in TRADES if it.symbol == "BTCUSDT" and 300 <= it.source_sequence < 360]
    assert data[1]["trade_count"] == len(mine)
    assert data[1]["high"] == str(max(it.price for it in mine))
    assert data[1]["close"] == f"{mine[-1].price:.8f}"
    assert data[1]["event_time"] == iso(DAY_US + 300_000_000, "")


def test_candles_of_several(http):
    body = {"symbols": ["BTCUSDT", "ETHUSDT"], "timeframes": ["5m", "1d"], "limit": 10}
    data = http.post("/v1/ohlcv/batch", json=body).json()["data"]
    assert [row["trade_count"] for row in data["BTCUSDT"]["5m"]] == [101, 299]
    assert data["ETHUSDT"]["1d"][0]["trade_count"] == 100
    assert http.post("/v1/ohlcv/batch", json={**body, "timeframes": ["2m"]}).status_code == 422
    assert http.post("/v1/ohlcv/batch", json={**body, "symbols": ["A"] * 50, "limit": 10_000}).status_code == 422


QUERY = {
    "table": "trades",
    "columns": ["symbol", "price", "timestamp", "source_sequence"],
    "filters": [
        {"column": "symbol", "op": "=", "value": "BTCUSDT"},
        {"column": "price", "op": ">=", "value": "105"},
        {"column": "source_sequence", "op": "in", "value": [5, 6, 12, 13, 14]},
        {"column": "timestamp", "op": "<", "value": iso(DAY_US + 13_000_000)},
    ],
    "order_by": [{"column": "source_sequence", "direction": "desc"}],
}


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "arrow"])
def test_a_structured_question_in_every_format(http, form):
    answer = http.post("/v1/query", json={**QUERY, "format": form})
    assert answer.status_code == 200
    content = answer.content
    if form == "json":
        rows = [(row["source_sequence"], row["price"], row["timestamp"]) for row in answer.json()["data"]]
    elif form == "csv":
        text = pa.csv.ConvertOptions(column_types=dict.fromkeys(QUERY["columns"], pa.string()))
        table = pa.csv.read_csv(io.BytesIO(content), convert_options=text)
        rows = [(int(row["source_sequence"]), row["price"], row["timestamp"]) for row in table.to_pylist()]
    else:
        parquet = form == "parquet"
        table = pa.parquet.read_table(io.BytesIO(content)) if parquet else pa.ipc.open_stream(content).read_all()
        assert table.schema.field("price").type == pa.decimal128(18, 8)
        assert str(table.schema.field("timestamp").type.tz) == "UTC"
        micros = table.column("timestamp").cast(pa.int64()).to_pylist()
        numbers, prices = (table.column(name).to_pylist() for name in ("source_sequence", "price"))
        rows = [(n, str(p), iso(us)) for n, p, us in zip(numbers, prices, micros, strict=True)]
    expected = [it for it in TRADES if it.symbol == "BTCUSDT" and it.source_sequence in {5, 6, 12}]
    assert rows == [(it.source_sequence, f"{it.price:.8f}", iso(it.timestamp)) for it in reversed(expected)]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"table": "pg_catalog.pg_tables"}, 422),
        ({"columns": ["price; drop table trades"]}, 400),
        ({"columns": ['price", version() AS "x']}, 400),
        ({"filters": [{"column": "price", "op": "= 1 or 1 =", "value": "1"}]}, 422),
        ({"filters": [{"column": "price", "op": "=", "value": "1e99"}]}, 400),
        ({"filters": [{"column": "price", "op": "=", "value": 1}]}, 400),
        ({"filters": [{"column": "price", "op": "=", "value": "NaN"}]}, 400),
        ({"filters": [{"column": "timestamp", "op": ">", "value": "now"}]}, 400),
        ({"filters": [{"column": "symbol", "op": "in", "value": []}]}, 400),
        ({"filters": [{"column": "vendor_data", "op": "=", "value": "x"}]}, 400),
        ({"order_by": [{"column": "price", "direction": "up"}]}, 422),
        ({"limit": 10_001}, 422),
        ({"sql": "select 1"}, 422),
        ({"format": "xml"}, 422),
    ],
)
def test_a_question_that_is_none_is_refused(http, change, status):
    answer = http.post("/v1/query", json={**QUERY, **change})
    assert (answer.status_code, answer.json()["success"]) == (status, False)


def test_text_that_looks_like_sql_is_only_text(http):
    filters = [{"column": "symbol", "op": "=", "value": "' OR 1=1 --"}]
    assert http.post("/v1/query", json={"table": "trades", "filters": filters}).json()["data"] == []


def test_a_body_that_is_no_json_or_too_large_is_refused(http):
    assert http.post("/v1/query", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert http.post("/v1/query", json={"table": "x" * 70_000}).status_code == 413
    assert http.post("/v1/query", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert http.get("/health", headers={"Host": "evil.example"}).status_code == 403


def test_every_metric_is_set(http):
    until(lambda: "k2_api_open_gaps 1.0" in http.get("/metrics").text, "the gap is known")
    for path in ("/v1/trades?limit=1", "/v1/nothing"):
        http.get(path)
    http.get("/v1/trades", headers={"X-API-Key": "no"})
    text = http.get("/metrics").text
    lines = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert lines['k2_api_requests_total{method="GET",route="/v1/trades",status="200"}'] >= 1
    assert lines['k2_api_requests_total{method="GET",route="other",status="404"}'] >= 1
    assert lines['k2_api_request_seconds_count{route="/v1/trades"}'] >= 1
    assert lines['k2_api_refused_total{reason="key"}'] >= 1
    assert lines['k2_api_rows_total{route="/v1/trades"}'] >= 1
    assert lines["k2_api_requests_in_progress"] >= 1
    for name in ("lake", "kafka", "tail", "writer"):
        assert lines[f'k2_api_dependency_up{{dependency="{name}"}}'] == 1
    assert 0 < lines['k2_api_freshness_seconds{symbol="BTCUSDT"}'] < 3600
    assert 'k2_api_event_age_seconds{symbol="BTCUSDT"}' in lines
    assert lines["k2_api_tail_rows"] == 0
    assert lines["k2_api_tail_dropped"] == 0
    assert lines['k2_api_table_lag_records{table="trades"}'] == 0
    assert sum(value for name, value in lines.items() if name.startswith("k2_api_dead_letters")) == 1
    assert lines['k2_api_table_rows{table="trades"}'] == 500
    assert lines['k2_api_table_files{table="trades"}'] >= 2
    assert lines['k2_api_snapshot_age_seconds{table="trades"}'] > 0


def test_status_tells_gaps_and_dead_letters(http):
    until(lambda: http.get("/v1/status").json()["data"]["open_gaps"] == 1, "the gap is known")
    data = http.get("/v1/status").json()["data"]
    assert (data["gaps"][0]["first"], data["gaps"][0]["last"], data["gaps"][0]["missing"]) == (401, 409, 9)
    assert sum(data["dead_letters"].values()) == 1
    assert {row["symbol"] for row in data["freshness"]} == {"BTCUSDT", "ETHUSDT"}


def test_the_tail_comes_before_the_table_and_nothing_comes_twice(place):
    place.send(trade(n) for n in range(1, 51))
    with place.served() as http:
        until(lambda: len(recent(http)) == 50, "the tail")
        assert http.get("/v1/trades").json()["data"] == []
        until(lambda: http.get("/health/ready").status_code == 200, "ready")
        counts = []
        with place.writing():
            for number in range(51, 111):
                place.send([trade(number), trade(number - 20)])
                page = http.get("/v1/trades/recent?limit=1000").json()
                numbers = [row["source_sequence"] for row in page["data"]]
                assert len(set(numbers)) == len(numbers)
                assert set(numbers) >= set(range(1, 51))
                assert sorted(numbers) == list(range(1, len(numbers) + 1))
                counts.append(page["meta"]["tail_rows"])
            until(lambda: told(http, "trades") == 110, "the table has all")
        assert max(counts) > 0
        until(lambda: http.get("/v1/trades/recent?limit=1").json()["meta"]["tail_rows"] == 0, "the tail is empty")
        fresh = http.get("/health/ready").json()["freshness"]
        assert [row["symbol"] for row in fresh] == ["BTCUSDT"]


def test_a_table_whose_files_are_gone_is_still_told_of(place):
    table = LakeTable(open_catalog(place.ingest), TABLES["trades"])
    start, rows = table.offsets(), table_of([row_of(1), row_of(2)])
    table.append(rows, start, start.after({(place.serve.trades_topic, 0): 0}), table.seen().add(rows)[1])
    for path in Path(place.serve.warehouse).rglob("*.parquet"):
        path.unlink()
    with place.served() as http:
        until(lambda: told(http, "trades") == 2, "the table has been looked at")
        answer = http.get("/v1/trades")
        assert (answer.status_code, answer.json()["detail"]) == (503, "files")


def test_a_trade_that_came_too_long_ago_makes_it_not_ready(place):
    long_ago_us = time.time_ns() // 1000 - 7200 * 1_000_000
    place.send([replace(trade(1), ingestion_timestamp=long_ago_us)])
    with place.served() as http:
        until(lambda: recent(http), "the tail")
        told = http.get("/health/ready")
        assert told.status_code == 503
        assert "data are stale: the newest trade came 7" in " ".join(told.json()["reasons"])
        assert http.get("/health").status_code == 200
        place.send([trade(2)])
        until(lambda: http.get("/health/ready").status_code == 200, "ready")


def test_trades_that_nobody_writes_to_the_table_are_told(place):
    with place.served(stale_s=1) as http:
        place.send(trade(n) for n in range(1, 11))
        until(lambda: "10 trades wait" in " ".join(http.get("/health/ready").json()["reasons"]), "the lag is told")
        with place.writing():
            until(lambda: told(http, "trades") == 10, "the table has all")
            fresh = count(11)

            def ready():
                place.send([trade(next(fresh))])
                return http.get("/health/ready").status_code == 200

            until(ready, "ready")


def test_a_tail_without_room_says_that_it_is_not_whole(place):
    with place.served(tail_rows=1000) as http:
        until(lambda: http.get("/v1/trades").status_code == 200, "the table is there")
        for first in range(1, 1501, 500):
            place.send(trade(n) for n in range(first, first + 500))
            until(
                lambda last=first + 499: (
                    [row["source_sequence"] for row in http.get("/v1/trades/recent?limit=1").json()["data"]] == [last]
                ),
                "the newest trade",
            )
        page = http.get("/v1/trades/recent?limit=10000").json()
        assert page["meta"]["complete"] is False
        assert page["data"][0]["source_sequence"] == 1500
        with place.writing():
            until(lambda: told(http, "trades") == 1500, "the table has all")
            until(lambda: http.get("/v1/trades/recent?limit=1").json()["meta"]["complete"], "it is whole again")
        data = http.get("/v1/trades/recent?limit=10000").json()["data"]
        assert sorted(row["source_sequence"] for row in data) == list(range(1, 1501))


def test_too_many_requests_are_told_when_to_come_again(place):
    with place.served(rate_limit=5) as http:
        let_in = 0
        while (answer := http.get("/v1/nothing")).status_code == 404:
            let_in += 1
            assert let_in < 500, "nobody asks so much in the time in which so little is allowed"
        assert (answer.status_code, let_in >= 10) == (429, True)
        assert int(answer.headers["Retry-After"]) >= 1
        assert http.get("/health").status_code == 200


def test_without_kafka_and_tables_it_serves_and_says_so(places, tmp_path):
    place = places()
    place.serve = place.serve.model_copy(
        update={"kafka_bootstrap": ("127.0.0.1:9",), "catalog_uri": f"sqlite:///{tmp_path}"}
    )
    with place.served() as http:
        assert http.get("/health").json()["status"] == "degraded"
        ready = http.get("/health/ready")
        assert ready.status_code == 503
        assert {name for name, it in ready.json()["dependencies"].items() if it["state"] == "down"} == {
            "lake",
            "kafka",
            "tail",
        }
        answer = http.get("/v1/trades")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
