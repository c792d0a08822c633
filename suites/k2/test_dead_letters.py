"""Dead letters of a running pipeline: what can be used by now is stored once, however often it is replayed."""

import json
import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer

from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.k2.pipeline import TRADES_TOPIC, Pipeline
from suites.k2.records import content, row_of, trade_of

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(600)]

LETTERS = f"{TRADES_TOPIC}.dlq"
SYMBOL = "SOLUSDT"
"""Nothing of it is traded, so that no other test counts what is replayed here."""
FINE = 5


def test_a_dead_letter_that_can_be_used_by_now_is_stored_once(
    pipeline: Pipeline, stack: Stack, evidence: Evidence
) -> None:
    """Five frames of trades and one that is none, laid aside by a feed that could not read them."""
    now_ms = time.time_ns() // 1_000_000
    reason = f"not known at {now_ms}"
    frames = [
        {"e": "trade", "E": now_ms, "s": SYMBOL, "t": now_ms * 10 + number, "p": f"142.1{number}", "q": "0.00000001",
         "T": now_ms + number, "m": bool(number % 2), "M": True}
        for number in range(FINE)
    ]  # fmt: skip
    producer = Producer({"bootstrap.servers": pipeline.addresses.broker, "enable.idempotence": True})
    for value in (*(json.dumps(frame) for frame in frames), "<html>"):
        headers = {"source": "feed", "reason": reason, "received": str(now_ms * 1000)}
        producer.produce(LETTERS, value.encode(), headers={name: text.encode() for name, text in headers.items()})
    assert producer.flush(60) == 0
    wanted = sorted(content(trade_of(frame)) for frame in frames)

    def stored() -> list[str]:
        return sorted(content(row_of(trade)) for trade in pipeline.api.every_trade(symbol=SYMBOL))

    before, again = stored(), doubles(pipeline)
    for _ in range(2):
        told = replayed(stack, reason)
        assert told.splitlines()[-1] == f"dead letters: {FINE} sent, 1 stay", told
        assert " stays: malformed: " in told
        pipeline.wait(lambda: set(wanted) <= set(stored()), 60, "what was replayed is in the API")
    pipeline.wait(lambda: doubles(pipeline) >= again + FINE, 60, "the writer has read what was replayed a second time")
    assert stored() == sorted([*before, *wanted])
    evidence.finding(Finding("replay", Verdict.PASS, f"{FINE} trades, replayed twice, are stored once", FINE))
    evidence.require()


def replayed(stack: Stack, reason: str) -> str:
    """Replay what was laid aside here; returns what the command says."""
    broker = urlsplit(stack.endpoint("kafka.broker")).netloc
    return subprocess.run(
        [sys.executable, "-m", "k2", "dlq", "replay", "--reason", reason],
        env={"PATH": os.environ["PATH"], "K2_KAFKA_BOOTSTRAP": broker},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


def doubles(pipeline: Pipeline) -> float:
    """Return how many trades the writer has met that were stored already."""
    return pipeline.metrics("writer.metrics").value("k2_writer_duplicates_total", table="trades")
