"""Every trade of the exchange is in the API exactly once, every field equal to the last digit, whatever breaks."""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from pyiceberg.catalog import load_catalog

from fullspan.clients.k2_calls import Frame
from fullspan.faults import Faults, Hang, Kill, Stop
from fullspan.invariants import Finding
from fullspan.ledger import Ledger, Moment, Observation
from fullspan.ledger.hops import HopRunner, KafkaRecord, KafkaTopic
from fullspan.pytest_plugin import Evidence
from fullspan.verdict import Verdict
from suites.k2 import gaps
from suites.k2.candles import FRAMES, Candle, candles
from suites.k2.outage import Outage
from suites.k2.pipeline import (
    CATALOG,
    HOPS,
    POLL_S,
    STORED_WITHIN_S,
    SYMBOLS,
    TRADES_TABLE,
    TRADES_TOPIC,
    Patience,
    Pipeline,
    Window,
    findings,
)
from suites.k2.records import EXACT_TYPES, row_of

# Programs are started again and again, which takes a busy machine long; nothing is measured by this limit.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ENOUGH = 1_000
A_WHILE_S = 3.0
AWAY_S = 3.0
CANDLES_WITHIN_S = 900.0
"""On a busy machine a run of the candles takes seconds, and they are made for a twentieth of the time."""
CLOSED_WITHIN_S = 60.0
CALM = 0.1


def prove(
    pipeline: Pipeline,
    evidence: Evidence,
    window: Window,
    *,
    twice_in_kafka: bool = False,
    outage: Outage | None = None,
    gaps_at_least: int = 0,
) -> None:
    """Wait until a window is stored, and make what it shows the result of the test.

    Of an outage it also shows how long each layer took to recover, and what readiness said.
    """
    if outage is not None:
        profile, ready = outage.over()
        evidence.recovery(profile)
        evidence.finding(ready)
    # What is traded from here on is none of the window's, and costs the processors that the proof needs.
    with pipeline.exchange.hurrying(CALM):
        waited_s = pipeline.stored(window)
        pipeline.seen_in_kafka(window)
        left_out = gaps_told(pipeline, window, gaps_at_least)
        evidence.finding(left_out)
        pipeline.look(window)
        examined = pipeline.examine(window)
    evidence.reconciliation(examined, "trades")
    # What was left out and asked for comes after later trades.
    in_order = not twice_in_kafka and not left_out.n
    for finding in findings(examined, min(ENOUGH, len(window)), twice_in_kafka=twice_in_kafka, in_order=in_order):
        evidence.finding(finding)
    evidence.finding(sums_agree(pipeline, window))
    evidence.figure("trades followed", len(window))
    evidence.figure("the API had the last of them after", round(waited_s, 2), "s")
    evidence.require()


def gaps_told(pipeline: Pipeline, window: Window, at_least: int) -> Finding:
    """Check what the feed tells of the numbers that were left out; a gap that was filled is closed soon after."""
    patience = Patience(CLOSED_WITHIN_S)
    while True:
        told = {
            gap: closed for gap, closed in gaps.told(pipeline.addresses.broker).items() if gap.begins_in(window.numbers)
        }
        missing = pipeline.metrics("feed.metrics").value("k2_feed_missing_trades")
        if all(told.values()) or patience.over((told, missing)):
            break
        time.sleep(POLL_S)
    return gaps.check(gaps.left_out(pipeline.ledger.observations("kafka"), window.numbers), told, at_least)


def sums_agree(pipeline: Pipeline, window: Window) -> Finding:
    """Check that count, quantity and notional of the window are the same at each hop, each trade counted once."""
    keys = set(window.keys)
    sums = {}
    hops = HOPS if pipeline.frames_complete else HOPS[1:]
    for hop in hops:
        rows = {seen.key: seen.digest or "" for seen in pipeline.ledger.observations(hop) if seen.key in keys}
        sums[hop] = total(rows.values())
    agree = len(set(sums.values())) == 1
    told = "; ".join(f"{hop}: {n:,} trades, {volume} units, {notional}" for hop, (n, volume, notional) in sums.items())
    first_bad = next((hop for hop in hops if sums[hop] != sums[hops[0]]), None)
    return Finding("sums agree", Verdict.PASS if agree else Verdict.FAIL, told, len(keys), first_bad_hop=first_bad)


def total(contents: Iterable[str]) -> tuple[int, Decimal, Decimal]:
    """Return how many trades these are, their quantity and their notional, from their texts."""
    pairs = [(Decimal(fields[6]), Decimal(fields[7])) for fields in (text.split("|") for text in contents)]
    return len(pairs), sum((q for _, q in pairs), Decimal(0)), sum((p * q for p, q in pairs), Decimal(0))


@pytest.mark.demo
def test_every_trade_is_in_the_api_exactly_once(pipeline: Pipeline, evidence: Evidence) -> None:
    pipeline.watch()
    window = pipeline.window(A_WHILE_S, ENOUGH)
    evidence.say(f"{len(window):,} trades of {len(window.numbers)} symbols were sent; they are looked for at each hop")
    prove(pipeline, evidence, window)


@pytest.mark.demo
def test_the_writer_is_killed_at_any_moment(pipeline: Pipeline, faults: Faults, evidence: Evidence) -> None:
    pipeline.watch()
    for _ in range(3):
        # A moment between two commits, or within one: nobody knows.
        time.sleep(0.2 + secrets.randbelow(1000) / 1000)
        with faults.active(Kill("consumer-crypto")):
            pass
    prove(pipeline, evidence, pipeline.window(0, ENOUGH))


@pytest.mark.soak
def test_the_broker_stands_still_and_goes_away(pipeline: Pipeline, faults: Faults, evidence: Evidence) -> None:
    pipeline.watch()
    for fault in (Hang("kafka"), Stop("kafka")):
        with faults.active(fault):
            time.sleep(AWAY_S)  # the length of the fault is part of the scenario
    # A record that the broker had and could not confirm is sent again: in Kafka it may stand twice.
    prove(pipeline, evidence, pipeline.window(0, ENOUGH), twice_in_kafka=True)


@pytest.mark.soak
def test_a_silent_exchange_is_told_and_candles_are_those_of_its_trades(
    pipeline: Pipeline, faults: Faults, evidence: Evidence
) -> None:
    """While it stands still data grow stale, which readiness says; and candles stand still to be compared."""
    with faults.active(Hang("exchange")):
        pipeline.wait(lambda: not pipeline.api.ready().ready, 60, "the API says that its data are stale")
        pipeline.wait(lambda: lag(pipeline) == 0, STORED_WITHIN_S, "the writer has stored all that Kafka has")
        for symbol in SYMBOLS:
            trades = [row_of(trade) for trade in pipeline.api.every_trade(symbol=symbol)]
            assert len(trades) > 100
            for frame in FRAMES:
                wanted = candles(trades, frame)
                agree = partial(has_candles, pipeline, symbol, frame, wanted)
                pipeline.wait(
                    agree, CANDLES_WITHIN_S, f"the {frame} candles of {symbol} are those of its {len(trades):,} trades"
                )
                evidence.figure(f"{symbol}, candles of {frame} equal to the last digit", len(wanted))
    pipeline.wait(lambda: pipeline.api.ready().ready, 60, "the API says that its data are fresh again")
    evidence.finding(Finding("candles equal", Verdict.PASS, "all candles are those of the trades", len(FRAMES)))
    evidence.require()


def lag(pipeline: Pipeline) -> float:
    """Return how many records of trades Kafka has that the table has not."""
    return pipeline.metrics("writer.metrics").value("k2_writer_lag_records", table="trades")


def has_candles(pipeline: Pipeline, symbol: str, frame: Frame, wanted: list[Candle], **times: datetime) -> bool:
    """Tell whether the API has exactly these candles of a symbol, oldest first; `start` and `end` choose some."""
    rows = pipeline.api.candles(frame, symbol=symbol, limit=1000, **times).rows
    return sorted((Candle.read(row) for row in rows), key=lambda candle: candle.start) == wanted


def test_the_schema_is_the_published_one(pipeline: Pipeline, evidence: Evidence) -> None:
    """Decimals are decimals from Kafka to the lake, times are microseconds in UTC; nothing became a float."""
    with_lake = load_catalog(CATALOG, **pipeline.addresses.lake)
    schema = with_lake.load_table(TRADES_TABLE).scan(limit=10).to_arrow().schema
    with_lake.close()
    assert {name: schema.field(name).type for name in EXACT_TYPES} == EXACT_TYPES
    assert not [field.name for field in schema if pa.types.is_floating(field.type)]
    (trade,) = pipeline.api.trades(limit=1).rows
    assert {name for name in schema.names if name not in trade.document} == set()
    assert trade.document["event_time"] == trade.timestamp.replace(tzinfo=None).isoformat(timespec="microseconds")
    evidence.finding(Finding("schema", Verdict.PASS, f"{len(schema)} columns are as published", len(schema)))
    evidence.require()


BAD = {
    b"": "nothing",
    b"\xff": "one byte",
    b"not avro at all": "text",
    b"\xc3\x01" + bytes(8) + b"x" * 40: "an unknown fingerprint",
    b"\xc3\x01": "a header without a body",
}


def test_bad_records_are_laid_aside_and_all_others_stored(pipeline: Pipeline, evidence: Evidence) -> None:
    """Five records that are none stand between thousands; each is in the dead letters, byte for byte."""
    pipeline.watch()
    letters: list[bytes] = []

    def kept(records: Sequence[KafkaRecord], moment: Moment) -> list[Observation]:
        letters.extend(record.value or b"" for record in records)
        return [
            Observation(
                "dead letters",
                f"dlq/{record.partition}/{record.offset}",
                record.offset,
                0,
                moment.mono_ns,
                moment.wall_ns,
            )
            for record in records
        ]

    with HopRunner(Ledger()) as runner:
        runner.start(KafkaTopic(pipeline.addresses.broker, f"{TRADES_TOPIC}.dlq", kept, name="dead letters"))
        producer = Producer({"bootstrap.servers": pipeline.addresses.broker, "enable.idempotence": True})
        for value in BAD:
            producer.produce(TRADES_TOPIC, key=SYMBOLS[0].encode(), value=value)
        assert producer.flush(10) == 0
        pipeline.wait(lambda: len(letters) >= len(BAD), 60, "all five are laid aside")
    assert Counter(letters) == Counter(list(BAD)), "each is there once, byte for byte"
    prove(pipeline, evidence, pipeline.window(A_WHILE_S, ENOUGH))
