"""Quotes: each that the exchange sends is in Kafka, in the lake and in the API exactly once, every field equal."""

import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from fullspan.clients import Quote
from fullspan.errors import Inconclusive
from fullspan.invariants import Finding
from fullspan.ledger import Journey, Moment, Observation, Stage, reconcile
from fullspan.ledger.hops import ApiRows, ExchangeFrames, IcebergRows, KafkaRecord, KafkaTopic
from fullspan.pytest_plugin import Evidence
from fullspan.verdict import Verdict
from suites.k2.pipeline import CATALOG, EDGE, HOPS, SYMBOLS, Pipeline, Window, findings
from suites.k2.records import EPOCH, EXCHANGE, MICROSECOND, SINGLE_OBJECT, currency_of, exact
from suites.k2.test_faults import connections

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TOPIC, TABLE = "market.crypto.quotes.binance", "market_data.quotes"
ENOUGH = 50
TRIES = 5
SCHEMA = fastavro.parse_schema(json.loads((Path(__file__).parent / "quote.avsc").read_text(encoding="utf-8")))
PRICES = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
COLUMNS = (
    "message_id", "quote_id", "symbol", "exchange", "asset_class", *PRICES, "currency", "source_sequence",
)  # fmt: skip
"""What the exchange alone decides; it tells no time, so `timestamp` is when the feed received it."""


def quote_of(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that a quote's frame must become."""
    number, symbol = int(frame["u"]), str(frame["s"])
    return {
        "message_id": f"{EXCHANGE}:{symbol}:quote:{number}",
        "quote_id": f"{EXCHANGE}-{number}",
        "symbol": symbol,
        "exchange": EXCHANGE,
        "asset_class": "crypto",
        **{name: Decimal(frame[field]) for name, field in zip(PRICES, "bBaA", strict=True)},
        "currency": currency_of(symbol),
        "source_sequence": number,
        "timestamp": None,
    }


def observed(hop: str, row: Mapping[str, Any], moment: Moment) -> Observation:
    """Note a quote at a hop, with the time that it has there."""
    at = row["timestamp"]
    return Observation(
        hop=hop,
        key=f"{EXCHANGE}/{row['symbol']}/quote/{row['source_sequence']}",
        sequence=int(row["source_sequence"]),
        event_ns=0 if at is None else (at - EPOCH) // MICROSECOND * 1_000,
        seen_ns=moment.mono_ns,
        seen_wall_ns=moment.wall_ns,
        digest="|".join(exact(row[name]) for name in COLUMNS),
    )


def frames_seen(frame: bytes | str, moment: Moment) -> Iterator[Observation]:
    yield observed("exchange", quote_of(json.loads(frame)["data"]), moment)


def kafka_seen(records: Sequence[KafkaRecord], moment: Moment) -> Iterator[Observation]:
    for record in records:
        value = record.value or b""
        assert value[:2] == SINGLE_OBJECT
        row: Any = fastavro.schemaless_reader(io.BytesIO(value[10:]), SCHEMA, None)
        assert record.key == row["symbol"].encode()
        yield observed("kafka", row, moment)


def rows_seen(rows: pa.Table, moment: Moment) -> Iterator[Observation]:
    for row in rows.to_pylist():
        yield observed("iceberg", row, moment)


def answers_seen(quotes: Iterable[Quote], moment: Moment) -> Iterator[Observation]:
    for quote in quotes:
        typed = {name: getattr(quote, name) for name in (*PRICES, "timestamp")}
        yield observed("api", {**quote.document, **typed}, moment)


def test_every_quote_is_in_the_api_exactly_once(pipeline: Pipeline, evidence: Evidence) -> None:
    """Of those that the feed was connected for: nobody can be asked for one that it missed."""
    streams = "/".join(f"{symbol.lower()}@bookTicker" for symbol in SYMBOLS)
    ledger, addresses, runner = pipeline.ledger, pipeline.addresses, pipeline.runner
    runner.start(KafkaTopic(addresses.broker, TOPIC, kafka_seen))
    frames = runner.start(ExchangeFrames(f"{addresses.frames.partition('?')[0]}?streams={streams}", frames_seen))

    def both_see() -> set[str]:
        seen = {each.key for each in ledger.observations("exchange")}
        return {each.key.split("/")[1] for each in ledger.observations("kafka") if each.key in seen}

    pipeline.wait(lambda: both_see() == set(SYMBOLS), 300, "quotes of both symbols come from the exchange to Kafka")

    def endings() -> tuple[int, int]:
        return connections(pipeline), len(frames.interruptions)

    for _ in range(TRIES):
        unbroken = endings()
        due, window = _sent(pipeline)
        pipeline.wait(partial(_in_api, pipeline, window), 300, "the last of them are in the API")
        if endings() == unbroken:
            break
    else:
        raise Inconclusive(f"Each of {TRIES} times a connection to the exchange ended meanwhile, and missed quotes.")
    columns = (*COLUMNS, "timestamp")
    runner.start(IcebergRows(addresses.lake, TABLE, columns, rows_seen, catalog_name=CATALOG)).look(window.where)
    runner.start(ApiRows(answers_seen)).look(_answers(pipeline, window))
    journeys = [
        Journey(key, [Stage("exchange", [key], digest=each.digest), *(Stage(hop, [key]) for hop in HOPS[1:])])
        for key, each in due.items()
    ]
    examined = evidence.reconciliation(reconcile(ledger, journeys), "quotes")
    for finding in findings(examined, ENOUGH):
        evidence.finding(finding)
    evidence.finding(_times_agree(pipeline, due))
    evidence.require()


def _sent(pipeline: Pipeline) -> tuple[dict[str, Observation], Window]:
    """Wait until the exchange has sent enough from now on; return what that was."""
    known = {each.key for each in pipeline.ledger.observations("exchange")}

    def fresh() -> dict[str, Observation]:
        return {each.key: each for each in pipeline.ledger.observations("exchange") if each.key not in known}

    pipeline.wait(lambda: len(fresh()) >= ENOUGH, 300, f"{ENOUGH} quotes were sent")
    due = fresh()
    numbers = {symbol: [each.sequence for each in due.values() if f"/{symbol}/" in each.key] for symbol in SYMBOLS}
    return due, Window({symbol: (min(found), max(found)) for symbol, found in numbers.items()})


def _in_api(pipeline: Pipeline, window: Window) -> bool:
    """Tell whether the API has the last quote of each symbol, or a later one."""
    newest = {symbol: pipeline.api.quotes(symbol=symbol, limit=1).rows for symbol in window.numbers}
    return all(rows and rows[0].source_sequence >= window.numbers[symbol][1] for symbol, rows in newest.items())


def _answers(pipeline: Pipeline, window: Window) -> list[Quote]:
    """Ask the API for the quotes of a window; they are found by the times at which the feed received them."""
    times = [EPOCH + each.event_ns // 1_000 * MICROSECOND for each in pipeline.ledger.observations("kafka")]
    start, end = min(times) - EDGE, max(times) + EDGE
    return [
        quote
        for symbol, (first, last) in window.numbers.items()
        for quote in pipeline.api.quotes(symbol=symbol, start=start, end=end, limit=10_000).rows
        if first <= quote.source_sequence <= last
    ]


def _times_agree(pipeline: Pipeline, due: Collection[str]) -> Finding:
    """Check that a quote has the same time, to the microsecond, from Kafka on."""
    times = {hop: {each.key: each.event_ns for each in pipeline.ledger.observations(hop)} for hop in HOPS[1:]}
    other = [key for key in due if len({of_hop.get(key) for of_hop in times.values()}) != 1]
    told = f"{len(other)} of {len(due):,} quotes have another time at another hop {other[:3]}"
    return Finding("times agree", Verdict.FAIL if other else Verdict.PASS, told, len(due))
