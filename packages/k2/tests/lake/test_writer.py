"""The writer on a real Kafka: each record is stored once, whether it is killed, stopped, locked out or fed nonsense."""

import random
import resource
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Consumer, TopicPartition

from k2.bus.kafka import dead_letters_of
from k2.lake.crash import CRASH_POINTS
from k2.lake.files import paths_of

from ..programs import LONGEST_S, until  # noqa: TID252
from .conftest import table_of, trade
from .lake import encoded

KILLED = -signal.SIGKILL
BATCH = 3000
"""Trades whose data file is larger than `ROOM`, which what a writer logs and its catalogue are not."""
ROOM = 32_768


def test_rows_are_what_was_sent_and_a_second_run_adds_nothing(lake):
    numbers = range(1, 1001)
    lake.send_trades(numbers)
    with lake.writing():
        lake.wait_for(numbers)
    assert lake.rows().sort_by("source_sequence").to_pylist() == table_of(map(trade, numbers)).to_pylist()
    lake.send_trades(range(1001, 1011))
    with lake.writing():
        lake.wait_for(range(1, 1011))
    table = lake.table()
    assert sum(table.offsets().items().values()) == 1010
    assert table.seen().ranges("BINANCE:BTCUSDT") == [(1, 1010)]


def killed_at_each_point_in_turn(k2, lake, passes, points=CRASH_POINTS):
    numbers = []
    for point in points:
        fresh = range(len(numbers) + 1, len(numbers) + 601)
        lake.send_trades(fresh)
        numbers += fresh
        writer = k2("ingest", "trades", **lake.environment(K2_CRASH_AT=f"{point}:{passes}"))
        assert writer.ended()[0] == KILLED, f"the writer passed {point} and went on"
        assert max(lake.numbers().values(), default=0) <= 1
    with lake.writing():
        lake.wait_for(numbers)


def test_killed_before_it_knows_of_its_commit_nothing_is_lost_or_doubled(k2, lake):
    killed_at_each_point_in_turn(k2, lake, 2, ["after-commit"])


@pytest.mark.soak
@pytest.mark.parametrize("passes", [1, 2, 3, 4])
def test_killed_at_each_point_at_each_pass(k2, lake, passes):
    killed_at_each_point_in_turn(k2, lake, passes)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments(k2, lake):
    rng = random.Random(20)
    stop = threading.Event()
    sent = []

    def send():
        while not stop.wait(0.05):
            fresh = range(len(sent) + 1, len(sent) + 51)
            lake.send_trades(fresh)
            sent.extend(fresh)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(20):
            before = len(lake.numbers()) if Path(lake.settings.warehouse).exists() else 0
            writer = k2("ingest", "trades", **lake.environment())
            until(lambda before=before: len(lake.numbers()) > before, "the writer commits")
            time.sleep(rng.uniform(0, 1.0))  # the random moment itself
            assert writer.end(signal.SIGKILL) == KILLED
    finally:
        stop.set()
        sender.join()
    with lake.writing():
        lake.wait_for(sent)


def test_a_writer_that_was_stopped_in_a_commit_loses_to_its_successor(k2, lake):
    lake.send_trades(range(1, 301))
    stale = k2("ingest", "trades", **lake.environment(K2_CRASH_AT="before-commit:stop:1"))
    until(lambda: stopped(stale.process.pid), "the writer is stopped before its commit")
    with lake.writing():
        lake.wait_for(range(1, 301))
    stale.process.send_signal(signal.SIGCONT)
    lake.send_trades(range(301, 401))
    lake.wait_for(range(1, 401), "the stale writer, which begins again, writes what came later")
    assert stale.events("writer.not_committed")[0]["outcome"] == "conflict"
    assert stale.end() == 0


def test_what_is_no_trade_is_laid_aside_with_its_bytes_and_the_rest_is_stored(lake):
    good = [encoded(trade(number)) for number in range(1, 200)]
    huge = encoded(trade(900, price="9999999999.99999999", quantity="99999999999999999999.99999999"))
    bad = [b"", b"\xc3\x01nonsense", b"not avro at all", good[0][:-3], huge]
    lake.send([*good[:100], *bad, *good[100:]])
    with lake.writing():
        lake.wait_for(range(1, 200))
    laid_aside = letters(lake)
    assert sorted(value for value, _ in laid_aside) == sorted(bad)
    for value, headers in laid_aside:
        assert headers["topic"] == lake.topic
        assert headers["reason"] == {b"": "empty", huge: "precision"}.get(value, headers["reason"])
        place = TopicPartition(lake.topic, int(headers["partition"]), int(headers["offset"]))
        assert record_at(lake, place) == value


def test_a_trade_that_comes_as_two_records_is_stored_once(lake):
    lake.send_trades(range(1, 150))
    lake.send_trades(range(100, 200))
    with lake.writing(flush_rows=50):
        lake.wait_for(range(1, 200))
        lake.send_trades([7, 200])
        lake.wait_for(range(1, 201))
    assert sum(lake.table().offsets().items().values()) == 251


def test_a_catalogue_that_is_locked_for_longer_than_its_time_out_is_waited_for(lake):
    with lake.writing(catalog_uri=lake.impatient) as failures:
        lake.send_trades(range(1, 51))
        lake.wait_for(range(1, 51))
        with lake.locked():
            lake.send_trades(range(51, 101))
            until(lambda: lake.count("unknown"), "a commit meets the lock")
        lake.wait_for(range(1, 101))
    assert failures == []


@pytest.mark.parametrize("gone", ["data", "metadata"])
def test_a_warehouse_that_is_away_is_waited_for(lake, gone):
    folder = Path(lake.settings.warehouse, "market_data", "trades", gone)
    with lake.writing() as failures:
        lake.send_trades(range(1, 51))
        lake.wait_for(range(1, 51))
        away = folder.rename(folder.with_name("away"))
        folder.write_bytes(b"no folder")
        lake.send_trades(range(51, 101))
        until(lambda: lake.count("unknown"), "a commit meets what is away")
        folder.unlink()
        away.rename(folder)
        lake.wait_for(range(1, 101))
    assert failures == []


def test_a_disk_that_takes_half_a_file_is_waited_for_and_expiry_deletes_the_half(k2, lake):
    """A limit on the size of its files stands for the disk, which only root may make small: both end a write midway."""
    writer = k2("ingest", "trades", **lake.environment(K2_FLUSH_ROWS=str(BATCH), K2_FLUSH_S="3600"))
    lake.send_trades(range(1, BATCH + 1))
    lake.wait_for(range(1, BATCH + 1))
    data, metadata = (Path(lake.settings.warehouse, "market_data", "trades", name) for name in ("data", "metadata"))
    assert min(file.stat().st_size for file in data.rglob("*.parquet")) > ROOM
    largest(writer, ROOM)
    lake.send_trades(range(BATCH + 1, 2 * BATCH + 1))
    writer.wait_for("writer.not_committed", 2, outcome="unknown")
    halves = {file for file in data.rglob("*.parquet") if file.stat().st_size == ROOM}
    assert len(halves) >= 2
    largest(writer, resource.RLIM_INFINITY)
    lake.wait_for(range(1, 2 * BATCH + 1))
    assert halves <= set(data.rglob("*.parquet")), "they may be of a commit of which nobody knows"
    assert writer.end() == 0
    assert k2("expire", "trades", "--keep-s", "0", "--sweep-after-s", "0", **lake.environment()).ended()[0] == 0
    table = lake.table().iceberg
    needed = {Path(urlsplit(path).path) for path in paths_of(table, table.io)}
    assert {file for folder in (data, metadata) for file in folder.rglob("*.*")} == needed
    assert lake.numbers() == dict.fromkeys(range(1, 2 * BATCH + 1), 1)


def largest(program, size):
    """Let no file of a running program grow beyond a size."""
    _, most = resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (size, most))


def test_a_table_that_somebody_else_wrote_to_is_refused(lake):
    lake.send_trades(range(1, 11))
    with lake.writing():
        lake.wait_for(range(1, 11))
    lake.table().iceberg.append(table_of([trade(11)]))
    with lake.writing() as failures:
        until(lambda: failures, "the writer refuses")
    assert "k2 repair trades" in str(failures[0])


def test_rows_that_kafka_deleted_unread_are_not_stepped_over(lake):
    lake.send_trades(range(1, 11))
    with lake.writing():
        lake.wait_for(range(1, 11))
    table = lake.table()
    ahead = table.offsets().after({(lake.topic, 0): 1000})
    table.append(table_of([]), table.offsets(), ahead, table.seen())
    with lake.writing() as failures:
        until(lambda: failures, "the writer refuses")
    assert "k2 repair" in str(failures[0])


def stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def letters(lake):
    return [
        (message.value() or b"", {name: value.decode() for name, value in message.headers()})
        for message in read(lake, [TopicPartition(dead_letters_of(lake.topic), number, 0) for number in (0, 1)])
    ]


def record_at(lake, place):
    return next(iter(read(lake, [place]))).value() or b""


def read(lake, places):
    consumer = Consumer({"bootstrap.servers": lake.broker.bootstrap, "group.id": "test", "enable.auto.commit": False})
    left = sum(consumer.get_watermark_offsets(place, timeout=LONGEST_S)[1] - place.offset for place in places)
    consumer.assign(places)
    found = []
    while len(found) < left:
        batch = consumer.consume(left - len(found), LONGEST_S)
        assert batch, "waited for what the broker has"
        found.extend(batch)
    consumer.close()
    return found
