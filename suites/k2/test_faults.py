"""What an exchange can do wrong, and what can happen to the writer: nothing is lost or doubled, everything is told."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from fullspan.clients.k2_calls import Frame
from fullspan.errors import Inconclusive, StackError
from fullspan.faults import Blackhole, Faults, FullDisk, Hang, Kill, Stop
from fullspan.invariants import Finding
from fullspan.ledger import Ledger, Moment, Observation
from fullspan.ledger.hops import ExchangeFrames, HopRunner, KafkaRecord, KafkaTopic
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.k2.candles import Candle, candles
from suites.k2.defects import start_again
from suites.k2.disk import own_disk
from suites.k2.gaps import left_out
from suites.k2.outage import Outage
from suites.k2.pipeline import STORED_WITHIN_S, SYMBOLS, TRADES_TOPIC, Pipeline
from suites.k2.records import row_of, trade_frame
from suites.k2.test_complete_pipeline import CALM, CANDLES_WITHIN_S, has_candles, prove

# Programs are started again and again, which takes a busy machine long; nothing is measured by this limit.
pytestmark = [pytest.mark.e2e, pytest.mark.resilience, pytest.mark.timeout(1800)]

FEED, WRITER = "binance-stream", "consumer-crypto"
COMPONENTS = ("kafka", "exchange", "binance-stream", "consumer-crypto", "k2-query-api")
CRASH_POINTS = ("before-write", "after-data-files", "before-commit", "after-commit", "during-expiry")
LONG_S = 30.0
SILENT_S = 20.0
MIDNIGHT_IN_S = 3.0
LEAST_OF_THE_DAY_S = 600.0
AN_HOUR_S = 3600.0
BURST_FACTOR = 20
BURST_S = 10.0
MANY = 100_000
KINDS_OF_BROKEN = 21
"""Of the exchange's frames that are none."""
LOCKED_S = 3.0
AWAY_S = 3.0
CLOSES = int(os.environ.get("K2_SUITE_CLOSES", "20"))
FIRST_WAIT_S, LONGEST_WAIT_S = 0.125, 1.0
"""What the stack's feed waits at least before it comes back, twice as long each time."""
ENDLESS = 1_000_000_000
KILLS = 20
WAITS = 5
"""So many of them show how they grow."""
ENOUGH = 1_000
soak = pytest.mark.soak


def test_dropped_frames_are_asked_for_and_nothing_is_missing(pipeline: Pipeline, evidence: Evidence) -> None:
    """Fifty trades in a row are never sent: the feed sees the gap, asks for its bounds, and closes it."""
    pipeline.watch()
    pipeline.frames_left_out = True
    pipeline.exchange.command("mischief", drop=50)
    window = pipeline.window(3.0, ENOUGH)
    prove(pipeline, evidence, window, twice_in_kafka=True, gaps_at_least=1)
    # What is told is compared with what is left out in the topic; that is what was left out at the exchange.
    at_exchange, in_kafka = (
        sorted(left_out(pipeline.ledger.observations(hop), window.numbers)) for hop in ("exchange", "kafka")
    )
    assert sum(gap.last - gap.first + 1 for gap in at_exchange) == 50
    assert at_exchange == in_kafka


@soak
def test_doubled_frames_are_stored_once(pipeline: Pipeline, evidence: Evidence) -> None:
    pipeline.watch()
    pipeline.exchange.command("mischief", duplicate=200)
    pipeline.frames_left_out = True  # the observer of frames sees the doubles, which are not the pipeline's
    prove(pipeline, evidence, pipeline.window(3.0, ENOUGH), twice_in_kafka=True)


@soak
def test_disordered_frames_are_all_stored(pipeline: Pipeline, evidence: Evidence) -> None:
    pipeline.watch()
    pipeline.exchange.command("mischief", reorder=300, within=10)
    prove(pipeline, evidence, pipeline.window(3.0, ENOUGH), twice_in_kafka=True)


@soak
def test_one_frame_in_a_thousand_is_none(pipeline: Pipeline, evidence: Evidence) -> None:
    """Every kind of broken frame between good ones: the good are stored, the broken are in the dead letters."""
    pipeline.watch()
    letters: list[bytes] = []
    broken: list[bytes] = []

    def keep(records: Sequence[KafkaRecord], moment: Moment) -> list[Observation]:
        letters.extend(record.value or b"" for record in records)
        return []

    def note(frame: bytes | str, moment: Moment) -> list[Observation]:
        if trade_frame(frame) is None:
            broken.append(frame.encode() if isinstance(frame, str) else frame)
        return []

    with HopRunner(Ledger()) as runner:
        runner.start(KafkaTopic(pipeline.addresses.broker, f"{TRADES_TOPIC}.dlq", keep, name="dead letters"))
        runner.start(ExchangeFrames(pipeline.addresses.frames, note, name="broken frames"))
        with pipeline.exchange.hurrying(BURST_FACTOR), pipeline.exchange.doing_wrong(malformed_every=1_000):
            pipeline.wait(lambda: len(set(broken)) >= KINDS_OF_BROKEN, 300, "every kind of broken frame was sent")
        pipeline.wait(lambda: len(letters) >= len(broken), 60, "all broken frames are in the dead letters")
    assert Counter(letters) == Counter(broken), "each is there once, byte for byte"
    assert b"<html>502 Bad Gateway</html>" in letters
    evidence.figure("dead letters", len(letters))
    prove(pipeline, evidence, pipeline.window(0, ENOUGH), twice_in_kafka=True)


@soak
def test_a_silent_connection_is_given_up_and_taken_up_again(pipeline: Pipeline, evidence: Evidence) -> None:
    """The connection stands and nothing comes, for longer than the watchdog waits: what was traded is asked for."""
    pipeline.watch()
    pipeline.frames_left_out = True
    before = connections(pipeline)
    with Outage(pipeline, "silence", "exchange") as outage:
        pipeline.exchange.command("mischief", silence_s=SILENT_S)
        pipeline.wait(lambda: connections(pipeline) > before, 60, "the feed connects anew")
        outage.last(SILENT_S)
    prove(
        pipeline, evidence, pipeline.window(1.0, ENOUGH), twice_in_kafka=True, outage=outage, gaps_at_least=len(SYMBOLS)
    )


def connections(pipeline: Pipeline) -> int:
    """Return how many connections the feed has made to the exchange since it was started."""
    return round(pipeline.metrics("feed.metrics").value("k2_feed_connections_total"))


@soak
def test_clean_closes_in_a_row_are_met_with_patience(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    """The exchange hangs up as soon as somebody comes: the feed waits longer each time, and nothing is lost."""
    pipeline.watch()
    pipeline.frames_left_out = True
    log = stack.logs(FEED)
    said = len(log.read_bytes())
    before, began = connections(pipeline), time.monotonic()
    # Every trade meanwhile is asked for and followed: a few a second show as much as many.
    with pipeline.exchange.hurrying(CALM), pipeline.exchange.doing_wrong(close_next=ENDLESS):
        pipeline.exchange.command("close")
        # The observer of this suite is closed as well, and comes back five times a second.
        pipeline.wait(
            lambda: (
                ENDLESS - pipeline.exchange.state()["mischief"]["close_next"] >= CLOSES
                and len(waits_told(log, said)) >= WAITS
            ),
            300 + 3 * CLOSES,
            f"{CLOSES} closes, and {WAITS} of the feed's connections among them",
        )
        attempts, took_s, waits = connections(pipeline) - before, time.monotonic() - began, waits_told(log, said)
    most = most_connections(took_s)
    short = [wait for wait, least in zip(waits, least_waits(), strict=False) if wait < least]
    evidence.figure("connections of the feed a second", round(attempts / took_s, 2))
    told = (
        f"in {took_s:.1f} s the feed made {attempts} connections of at most {most}, and waited {waits[:WAITS]} s "
        f"before the first of them; {len(short)} of its waits were too short"
    )
    verdict = Verdict.FAIL if short or attempts > most else Verdict.PASS
    evidence.finding(Finding("reconnect rate", verdict, told, len(waits)))
    prove(pipeline, evidence, pipeline.window(2.0, ENOUGH), twice_in_kafka=True)


def waits_told(log: Path, said: int) -> list[float]:
    """Return how long the feed says that it waits before it comes back, each time since its log was so long."""
    lines = log.read_bytes()[said:].rpartition(b"\n")[0].splitlines()
    return [json.loads(line)["wait_s"] for line in lines if b'"feed.reconnects"' in line]


def least_waits() -> Iterator[float]:
    """Yield what a feed waits at least, one time after the other: twice as long each time, up to a bound."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def most_connections(seconds: float) -> int:
    """Return how often a feed that waits can have come back in a time, however quick all the rest of it was."""
    return sum(1 for _ in takewhile(lambda waited_s: waited_s <= seconds, accumulate(least_waits())))


@soak
@pytest.mark.parametrize("offset_s", [-1.3, 5.0])
def test_the_exchange_has_another_clock(pipeline: Pipeline, evidence: Evidence, offset_s: float) -> None:
    """Its clock is off; its times are stored as it tells them, and nothing is lost or judged by them."""
    with pipeline.exchange.doing_wrong(clock_offset_s=offset_s):
        pipeline.watch()
        window = pipeline.window(3.0, ENOUGH)
        prove(pipeline, evidence, window)


@soak
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_the_writer_is_killed_at_a_named_point(
    pipeline: Pipeline, stack: Stack, evidence: Evidence, point: str
) -> None:
    """It ends itself there, by SIGKILL, four times; started again it goes on from what its table says."""
    pipeline.watch()
    with Outage(pipeline, f"four kills at {point}", WRITER, stale=False) as outage, Crashing(stack) as writer:
        for passes in range(1, 5):
            writer.start_to(f"{point}:{passes}")
            pipeline.wait(lambda: not writer.component.processes(), 120, f"the writer ended at {point}")
    prove(pipeline, evidence, pipeline.window(0, ENOUGH), outage=outage)


class Crashing:
    """The writer, told where to end itself; afterwards it is started without that."""

    def __init__(self, stack: Stack) -> None:
        self.component = stack.component(WRITER)
        self._file = Path(stack.components[WRITER].dir) / "k2.toml"

    def __enter__(self) -> Self:
        self.component.stop()
        return self

    def start_to(self, crash: str) -> None:
        """Start it with a point at which it ends or stands still; it may be there before it was seen to be ready."""
        self._file.write_text(f'crash_at = "{crash}"\nexpire_commits = 3\nsnapshot_keep_s = 1\n', encoding="utf-8")
        try:
            self.component.start()
        except StackError:
            if str(self.component.state.state) != "died":
                raise

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)
        start_again(self.component)


@soak
def test_a_writer_that_stood_still_does_not_write_what_its_successor_wrote(
    pipeline: Pipeline, stack: Stack, evidence: Evidence
) -> None:
    """It is stopped between its read and its commit, a second writer commits the same trades, and then it goes on."""
    pipeline.watch()
    with Crashing(stack) as writer:
        writer.start_to("before-commit:stop:2")
        processes = writer.component.processes
        pipeline.wait(lambda: any(each.stands for each in processes()), 60, "the writer stands still")
        successor = subprocess.Popen([sys.executable, "-m", "k2", "ingest", "trades"], env=_environment(stack))
        try:
            window = pipeline.window(0, ENOUGH)
            pipeline.wait(lambda: pipeline.has_last(window), 120, "the successor has written")
            for process in processes():
                os.kill(process.pid, signal.SIGCONT)
            pipeline.stored(pipeline.window(2.0))
        finally:
            successor.terminate()
            successor.wait(60)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))
    assert "not_committed" in stack.logs(WRITER).read_text(encoding="utf-8"), "its commit was refused"


def _environment(stack: Stack) -> dict[str, str]:
    lake = urlsplit(stack.endpoint("lake.warehouse")).path
    return {
        "PATH": os.environ["PATH"],
        "K2_KAFKA_BOOTSTRAP": urlsplit(stack.endpoint("kafka.broker")).netloc,
        "K2_CATALOG_URI": stack.endpoint("lake.catalog"),
        "K2_WAREHOUSE": lake,
    }


@soak
def test_a_locked_catalog_is_waited_for(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    pipeline.watch()
    with Outage(pipeline, "lock", "catalog", stale=False) as outage:
        lock_catalog(stack, LOCKED_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), outage=outage)


def lock_catalog(stack: Stack, seconds: float) -> None:
    """Hold the catalog's database for so long, as somebody who looks at it with another program may."""
    with closing(sqlite3.connect(urlsplit(stack.endpoint("lake.catalog")).path, timeout=10)) as database:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)  # the length of the fault is part of the scenario
        database.rollback()


@soak
@pytest.mark.parametrize("link", ["feed-kafka", "writer-kafka"])
def test_a_way_to_the_broker_swallows_everything(
    pipeline: Pipeline, faults: Faults, evidence: Evidence, link: str
) -> None:
    """What nobody confirms waits on the feed's disk; the writer reads on where its table ends."""
    pipeline.watch()
    with Outage(pipeline, "blackhole", link, stale=False) as outage, faults.active(Blackhole(link)):
        outage.last(AWAY_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), twice_in_kafka=True, outage=outage)


@soak
def test_a_catalog_that_is_locked_for_long(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    pipeline.watch()
    with Outage(pipeline, "lock", "catalog") as outage:
        lock_catalog(stack, LONG_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), outage=outage)


@soak
def test_a_warehouse_that_cannot_be_written_for_long(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    """Its folder is not there, as that of a file server that went away: the writer waits, and loses nothing."""
    pipeline.watch()
    warehouse = Path(urlsplit(stack.endpoint("lake.warehouse")).path)
    aside = warehouse.with_name("aside")
    with Outage(pipeline, "loss of the folder", "warehouse") as outage:
        warehouse.rename(aside)
        try:
            warehouse.write_text("no folder", encoding="utf-8")
            outage.last(LONG_S)
        finally:
            warehouse.unlink()
            aside.rename(warehouse)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), outage=outage)


@soak
def test_a_warehouse_on_a_full_disk(pipeline: Pipeline, stack: Stack, faults: Faults, evidence: Evidence) -> None:
    """Nothing can be written where the tables lie: what Kafka has is stored when there is room again."""
    with own_disk(stack) as disk:
        pipeline.watch()
        folder = str(disk.folder.relative_to(stack.components[WRITER].dir))
        with Outage(pipeline, "full disk", "warehouse") as outage, faults.active(FullDisk(WRITER, folder)):
            outage.last(LONG_S)
        prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), outage=outage)


@soak
def test_a_warehouse_that_is_read_only(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    with own_disk(stack) as disk:
        pipeline.watch()
        with Outage(pipeline, "read-only disk", "warehouse") as outage, disk.read_only():
            outage.last(LONG_S)
        prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), outage=outage)


@soak
@pytest.mark.parametrize("kind", [Hang, Stop])
def test_a_broker_that_is_away_for_long(
    pipeline: Pipeline, faults: Faults, evidence: Evidence, kind: type[Hang] | type[Stop]
) -> None:
    pipeline.watch()
    with Outage(pipeline, kind.kind, "kafka") as outage, faults.active(kind("kafka")):
        outage.last(LONG_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), twice_in_kafka=True, outage=outage)


@soak
@pytest.mark.parametrize("order", range(3))
def test_everything_is_restarted_in_any_order(pipeline: Pipeline, stack: Stack, evidence: Evidence, order: int) -> None:
    pipeline.watch()
    pipeline.frames_left_out = True
    drawn = random.Random(order)
    killed, started = (drawn.sample(COMPONENTS, len(COMPONENTS)) for _ in range(2))
    evidence.say(f"killed in the order {', '.join(killed)}; started in the order {', '.join(started)}")
    with Outage(pipeline, "kill", "everything", stale=False) as outage:
        for name in killed:
            stack.component(name).kill()
        for name in started:
            stack.component(name).start()
    prove(pipeline, evidence, pipeline.window(2.0, ENOUGH), twice_in_kafka=True, outage=outage)


@soak
def test_the_writer_is_killed_at_twenty_moments(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    """Each time while it writes: it has committed something since it was started."""
    pipeline.watch()
    writer, moments = stack.component(WRITER), random.Random(1)
    # A few trades a second are a commit's rows as well as many, and every one of them is followed.
    with pipeline.exchange.hurrying(CALM):
        for number in range(KILLS):
            pipeline.wait(lambda: commits(pipeline) > 0, 300, "the writer commits")
            time.sleep(moments.uniform(0.05, 1.2))  # a random moment is what is tested
            writer.kill()
            writer.start()
            evidence.say(f"{number + 1} of {KILLS} kills")
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))


def commits(pipeline: Pipeline) -> float:
    """Return how often the writer has committed trades since it was started."""
    return pipeline.metrics("writer.metrics").value("k2_writer_commits_total", table="trades", outcome="committed")


@soak
@pytest.mark.parametrize("component", ["binance-stream", "k2-query-api", "kafka"])
def test_a_component_is_killed(pipeline: Pipeline, faults: Faults, evidence: Evidence, component: str) -> None:
    """Feed, API and broker: what the exchange traded meanwhile is asked for, read on, or was never touched."""
    pipeline.watch()
    with Outage(pipeline, "kill", component, stale=False) as outage, faults.active(Kill(component)):
        outage.last(AWAY_S)
    prove(
        pipeline,
        evidence,
        pipeline.window(1.0, ENOUGH),
        twice_in_kafka=True,
        outage=outage,
        gaps_at_least=len(SYMBOLS) if component == "binance-stream" else 0,
    )


@soak
def test_midnight_passes(pipeline: Pipeline, evidence: Evidence) -> None:
    """The exchange's day ends: its trades lie in two partitions, and in the candles of two days."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def before_midnight(seconds: float) -> float:
        return (midnight - datetime.now(UTC)).total_seconds() - seconds

    if before_midnight(0) > -LEAST_OF_THE_DAY_S:
        raise Inconclusive("The day is too young: its last midnight has trades already.", "Try again in ten minutes.")
    with pipeline.exchange.doing_wrong(clock_offset_s=before_midnight(AN_HOUR_S)):
        pipeline.watch()
        pipeline.exchange.command("mischief", clock_offset_s=before_midnight(MIDNIGHT_IN_S))
        window = pipeline.window(2 * MIDNIGHT_IN_S, ENOUGH)
        prove(pipeline, evidence, window)
    # What was traded at these times until now may still be on its way, and is in the candles as soon as it is stored.
    newest = pipeline.exchange.last()
    pipeline.wait(
        lambda: all(pipeline.has(symbol, number) for symbol, number in newest.items()),
        STORED_WITHIN_S,
        "the API has all trades around midnight",
    )
    yesterday, minute = midnight - timedelta(days=1), midnight + timedelta(minutes=1)
    for symbol, (first, last) in window.numbers.items():
        times = [trade["timestamp"] for trade in pipeline.exchange.trades(symbol, first, last)]
        assert times[0] < midnight <= times[-1]
        trades = [row_of(trade) for trade in pipeline.api.every_trade(symbol=symbol, start=yesterday, end=minute)]
        wanted: dict[Frame, list[Candle]] = {
            "1m": candles(trades, "1m"),
            "1d": candles((trade for trade in trades if trade["timestamp"] < midnight), "1d"),
        }
        for frame, ends in (("1m", minute), ("1d", midnight)):
            agree = partial(has_candles, pipeline, symbol, frame, wanted[frame], start=yesterday, end=ends)
            pipeline.wait(agree, CANDLES_WITHIN_S, f"the {frame} candles of {symbol} end at midnight")


@soak
def test_a_burst_of_trades_is_stored(pipeline: Pipeline, evidence: Evidence) -> None:
    """Twenty times as many trades for ten seconds: all are stored, none twice, and the lag is made up."""
    pipeline.watch()
    with Outage(pipeline, "burst", "exchange", stale=False) as outage, pipeline.exchange.hurrying(BURST_FACTOR):
        outage.last(BURST_S)
    prove(pipeline, evidence, pipeline.window(0, 10_000), outage=outage)


@soak
def test_a_hundred_thousand_trades(pipeline: Pipeline, evidence: Evidence) -> None:
    """Every one of them is in the API exactly once with every field equal."""
    pipeline.watch()
    with pipeline.exchange.hurrying(BURST_FACTOR):
        pipeline.wait(
            lambda: sum(pipeline.exchange.last().values()) - sum(pipeline.since.values()) >= MANY,
            300,
            f"{MANY:,} trades happened",
        )
    prove(pipeline, evidence, pipeline.window(0, MANY))
