"""A capture of a real exchange: every trade of it is in the API exactly once, and candles equal the golden ones."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from fullspan.clients.k2_calls import Frame
from fullspan.errors import Inconclusive
from fullspan.invariants import Finding
from fullspan.ledger.hops import KafkaTopic
from fullspan.pytest_plugin import Evidence
from fullspan.verdict import Verdict
from suites.k2.candles import Candle
from suites.k2.capture import trades_of
from suites.k2.pipeline import TRADES_TOPIC, Pipeline, Window
from suites.k2.records import content, kafka_seen
from suites.k2.test_complete_pipeline import CANDLES_WITHIN_S, has_candles, prove

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.capture, pytest.mark.timeout(600)]

PLAYED_WITHIN_S = 120.0
STORED_WITHIN_S = 120.0
GOLDEN = "golden_ohlcv.json"
FRAMES: tuple[Frame, ...] = ("1m", "5m", "1h", "1d")


def test_every_trade_of_a_capture_is_in_the_api_exactly_once(pipeline: Pipeline, evidence: Evidence) -> None:
    """The truth is the file; golden candles are compared when they lie beside it."""
    file = Path(os.environ.get("K2_CAPTURE", ""))
    if not file.is_file():
        raise Inconclusive("No capture was named.", "Set K2_CAPTURE to its file, for the stack and for this test.")
    wanted = list(trades_of(file))
    numbers: dict[str, list[int]] = {}
    for row in wanted:
        numbers.setdefault(row["symbol"], []).append(row["source_sequence"])
    window = Window({symbol: (min(found), max(found)) for symbol, found in numbers.items()})
    assert len(window) == len(wanted), "the numbers of a capture are contiguous"
    pipeline.runner.start(KafkaTopic(pipeline.addresses.broker, TRADES_TOPIC, kafka_seen, from_beginning=True))
    pipeline.wait(lambda: pipeline.exchange.state()["ended"], PLAYED_WITHIN_S, "the capture is played to its end")
    told = {
        content(row) for symbol, (low, high) in window.numbers.items() for row in _told(pipeline, symbol, low, high)
    }
    assert told == {content(row) for row in wanted}, "the exchange tells what the file says"
    pipeline.stored(window, STORED_WITHIN_S)
    golden = file.with_name(GOLDEN)
    if golden.is_file():
        _golden_candles_are_there(pipeline, golden, evidence)
    prove(pipeline, evidence, window)


def _told(pipeline: Pipeline, symbol: str, first: int, last: int) -> list[dict[str, object]]:
    return list(pipeline.exchange.trades(symbol, first, last))


def _golden_candles_are_there(pipeline: Pipeline, file: Path, evidence: Evidence) -> None:
    compared = 0
    for symbol, documents in json.loads(file.read_text(encoding="utf-8")).items():
        for frame in FRAMES:
            wanted = [Candle.read_golden(each) for each in documents[f"candles_{frame}"]]
            agree = partial(has_candles, pipeline, symbol, frame, wanted)
            pipeline.wait(agree, CANDLES_WITHIN_S, f"the {frame} candles of {symbol} are the golden ones")
            compared += len(wanted)
    evidence.finding(Finding("golden candles", Verdict.PASS, f"{compared} candles equal to the last digit", compared))
