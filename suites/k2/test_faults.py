"""What an exchange can do wrong, and what can happen to the writer: nothing is lost or doubled, everything is told."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fullspan.faults import Blackhole, Faults, Hang, Stop
from fullspan.invariants import Finding
from fullspan.ledger import Ledger, Moment, Observation
from fullspan.ledger.hops import HopRunner, KafkaRecord, KafkaTopic
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.k2.pipeline import TRADES_TOPIC, Pipeline
from suites.k2.test_complete_pipeline import prove

# Programs are started again and again, which takes a busy machine long; nothing is measured by this limit.
pytestmark = [pytest.mark.e2e, pytest.mark.resilience, pytest.mark.timeout(900)]

WRITER = "consumer-crypto"
COMPONENTS = ("kafka", "exchange", "binance-stream", "consumer-crypto", "k2-query-api")
CRASH_POINTS = ("before-write", "after-data-files", "before-commit", "after-commit", "during-expiry")
LONG_S = 30.0
LOCKED_S = 3.0
AWAY_S = 3.0
CLOSES = int(os.environ.get("K2_SUITE_CLOSES", "20"))
MOST_CONNECTIONS_A_SECOND = 10
ENOUGH = 1_000
soak = pytest.mark.soak


def test_dropped_frames_are_asked_for_and_nothing_is_missing(pipeline: Pipeline, evidence: Evidence) -> None:
    """Fifty trades in a row are never sent: the feed sees the gap, asks for its bounds, and closes it."""
    pipeline.watch()
    pipeline.frames_left_out = True
    pipeline.exchange.command("mischief", drop=50)
    prove(pipeline, evidence, pipeline.window(3.0, ENOUGH), twice_in_kafka=True)


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
def test_frames_that_are_none_are_laid_aside(pipeline: Pipeline, evidence: Evidence) -> None:
    """Every kind of broken frame between good ones: the good are stored, the broken are in the dead letters."""
    pipeline.watch()
    letters: list[bytes] = []

    def keep(records: Sequence[KafkaRecord], moment: Moment) -> list[Observation]:
        letters.extend(record.value or b"" for record in records)
        return []

    with HopRunner(Ledger()) as runner:
        runner.start(KafkaTopic(pipeline.addresses.broker, f"{TRADES_TOPIC}.dlq", keep, name="dead letters"))
        with pipeline.exchange.doing_wrong(malformed_every=50):
            window = pipeline.window(4.0, 2 * ENOUGH)
        pipeline.wait(lambda: len(letters) >= 20, 20, "broken frames are in the dead letters")
    assert b"<html>502 Bad Gateway</html>" in letters
    evidence.figure("dead letters", len(letters))
    prove(pipeline, evidence, window)


@soak
def test_a_silent_connection_is_given_up_and_taken_up_again(pipeline: Pipeline, evidence: Evidence) -> None:
    """The connection stands and nothing comes, for longer than the watchdog waits: what was traded is asked for."""
    pipeline.watch()
    pipeline.frames_left_out = True
    before = pipeline.exchange.state()["accepted"]
    pipeline.exchange.command("mischief", silence_s=8.0)
    pipeline.wait(lambda: pipeline.exchange.state()["accepted"] > before, 20, "the feed connects anew")
    prove(pipeline, evidence, pipeline.window(9.0, ENOUGH), twice_in_kafka=True)


@soak
def test_clean_closes_in_a_row_are_met_with_patience(pipeline: Pipeline, evidence: Evidence) -> None:
    """The exchange hangs up as soon as somebody comes: attempts stay few a second, and nothing is lost."""
    pipeline.watch()
    pipeline.frames_left_out = True
    before, began = pipeline.exchange.state()["accepted"], time.monotonic()
    pipeline.exchange.command("mischief", close_next=CLOSES)
    pipeline.exchange.command("close")
    pipeline.wait(
        lambda: pipeline.exchange.state()["mischief"]["close_next"] == 0, 30 + 3 * CLOSES, f"{CLOSES} closes are over"
    )
    attempts, took_s = pipeline.exchange.state()["accepted"] - before, time.monotonic() - began
    rate = attempts / took_s
    evidence.figure("connections a second", round(rate, 2))
    # The observer of this suite comes back as well, five times a second at most.
    told = f"{attempts} connections in {took_s:.1f} s after {CLOSES} clean closes"
    verdict = Verdict.PASS if rate < MOST_CONNECTIONS_A_SECOND else Verdict.FAIL
    evidence.finding(Finding("reconnect rate", verdict, told, attempts))
    prove(pipeline, evidence, pipeline.window(2.0, ENOUGH), twice_in_kafka=True)


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
@pytest.mark.parametrize("times", range(4))
def test_the_writer_is_killed_at_a_named_point(
    pipeline: Pipeline, stack: Stack, evidence: Evidence, point: str, times: int
) -> None:
    """It ends itself there, by SIGKILL; started again it goes on from what its table says."""
    pipeline.watch()
    passes = times + 1 if point != "during-expiry" else 1
    with _told_to_crash(stack, f"{point}:{passes}"):
        pipeline.wait(lambda: not stack.component(WRITER).processes(), 120, f"the writer ended at {point}")
    prove(pipeline, evidence, pipeline.window(0, ENOUGH))


class _told_to_crash:  # noqa: N801 - reads as a sentence
    """Restart the writer with a crash point, and again without it."""

    def __init__(self, stack: Stack, crash: str) -> None:
        self._writer = stack.component(WRITER)
        self._file = Path(stack.components[WRITER].dir) / "k2.toml"
        self._crash = crash

    def __enter__(self) -> None:
        self._file.write_text(
            f'crash_at = "{self._crash}"\nexpire_commits = 3\nsnapshot_keep_s = 1\n', encoding="utf-8"
        )
        self._writer.stop()
        self._writer.start()

    def __exit__(self, *_: object) -> None:
        self._file.unlink()
        for state in ("died", "ready", "hung"):
            if str(self._writer.state.state) == state:
                if state != "died":
                    self._writer.kill()
                self._writer.start()
                return


@soak
def test_a_writer_that_stood_still_does_not_write_what_its_successor_wrote(
    pipeline: Pipeline, stack: Stack, evidence: Evidence
) -> None:
    """It is stopped between its read and its commit, a second writer commits the same trades, and then it goes on."""
    pipeline.watch()
    with _told_to_crash(stack, "before-commit:stop:2"):
        writer = stack.component(WRITER)
        pipeline.wait(lambda: any(each.stands for each in writer.processes()), 60, "the writer stands still")
        successor = subprocess.Popen([sys.executable, "-m", "k2", "ingest", "trades"], env=_environment(stack))
        try:
            pipeline.stored(pipeline.window(2.0, ENOUGH))
            for process in writer.processes():
                os.kill(process.pid, signal.SIGCONT)
            pipeline.stored(pipeline.window(2.0, ENOUGH))
        finally:
            successor.terminate()
            successor.wait(20)
    assert "not_committed" in stack.logs(WRITER).read_text(encoding="utf-8"), "its commit was refused"
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))


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
    lock_catalog(stack, LOCKED_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))


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
    with faults.active(Blackhole(link)):
        time.sleep(AWAY_S)  # the length of the fault is part of the scenario
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), twice_in_kafka=True)


@soak
def test_a_catalog_that_is_locked_for_long(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    pipeline.watch()
    lock_catalog(stack, LONG_S)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))


@soak
def test_a_warehouse_that_cannot_be_written_for_long(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    """Its folder is not there, as that of a file server that went away: the writer waits, and loses nothing."""
    pipeline.watch()
    warehouse = Path(urlsplit(stack.endpoint("lake.warehouse")).path)
    aside = warehouse.with_name("aside")
    warehouse.rename(aside)
    try:
        warehouse.write_text("no folder", encoding="utf-8")
        time.sleep(LONG_S)  # the length of the fault is part of the scenario
    finally:
        warehouse.unlink()
        aside.rename(warehouse)
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))


@soak
@pytest.mark.parametrize("kind", [Hang, Stop])
def test_a_broker_that_is_away_for_long(
    pipeline: Pipeline, faults: Faults, evidence: Evidence, kind: type[Hang] | type[Stop]
) -> None:
    pipeline.watch()
    with faults.active(kind("kafka")):
        time.sleep(LONG_S)  # the length of the fault is part of the scenario
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH), twice_in_kafka=True)


@soak
@pytest.mark.parametrize("order", range(3))
def test_everything_is_restarted_in_any_order(pipeline: Pipeline, stack: Stack, evidence: Evidence, order: int) -> None:
    pipeline.watch()
    pipeline.frames_left_out = True
    names = random.Random(order).sample(COMPONENTS, len(COMPONENTS))
    for name in names:
        stack.component(name).kill()
    for name in sorted(names, key=COMPONENTS.index):
        stack.component(name).start()
    evidence.say(f"killed in the order {', '.join(names)}")
    prove(pipeline, evidence, pipeline.window(2.0, ENOUGH), twice_in_kafka=True)


@soak
def test_the_writer_is_killed_at_twenty_moments(pipeline: Pipeline, stack: Stack, evidence: Evidence) -> None:
    pipeline.watch()
    writer, moments = stack.component(WRITER), random.Random(1)
    for number in range(20):
        time.sleep(moments.uniform(0.05, 1.2))  # a random moment is what is tested
        writer.kill()
        writer.start()
        evidence.say(f"{number + 1} of 20 kills")
    prove(pipeline, evidence, pipeline.window(1.0, ENOUGH))
