"""The feed as a user runs it, between a local exchange and a real Kafka: each trade is there once, whatever happens."""

import resource
import signal
import time
from collections import Counter
from itertools import count

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from k2.bus import Codec, Gap
from k2.bus.spool import Spool
from k2.schema import QUOTE, TRADE

from ..programs import until  # noqa: TID252
from .way import Way

# Programs are started again and again, which takes a busy machine long; nothing is measured by this limit.
pytestmark = pytest.mark.timeout(900)

AHEAD_S = 3600
"""A clock so far ahead cannot be mistaken for a slow machine."""
_names = count(1)


class Bus:
    """Topics of their own on the shared broker, and what is in them."""

    def __init__(self, broker):
        self.broker = broker
        base = f"test-{time.time_ns()}-{next(_names)}"
        self.trades, self.quotes, self.gaps = f"{base}.trades", f"{base}.quotes", f"{base}.gaps"

    @property
    def environment(self):
        return {
            "K2_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "K2_TRADES_TOPIC": self.trades,
            "K2_QUOTES_TOPIC": self.quotes,
            "K2_GAPS_TOPIC": self.gaps,
        }

    def messages(self, topic):
        consumer = Consumer({
            "bootstrap.servers": self.broker.bootstrap, "group.id": "test", "log_level": 0,
            "auto.offset.reset": "error",
        })  # fmt: skip
        try:
            known = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), 20)[1] for number in known}
            consumer.assign([TopicPartition(topic, number, 0) for number in known])
            found = []
            while sum(ends.values()) > len(found):
                for message in consumer.consume(2000, 0.2):
                    assert message.error() is None, message.error()
                    found += [message] if message.offset() < ends[message.partition()] else []
            return found
        finally:
            consumer.close()

    def values(self, topic):
        return [message.value() for message in self.messages(topic)]

    def rows(self, topic, record=TRADE):
        decoded = Codec(record).decode(self.values(topic))
        assert decoded.rejected == ()
        return decoded.table.to_pylist(maps_as_pydicts="strict")


@pytest.fixture
def bus(one_kafka):
    return Bus(one_kafka)


@pytest.fixture
def way(one_kafka):
    """A way to the broker for one feed alone."""
    way = Way(one_kafka.port)
    yield way
    way.close()


@pytest.fixture
def market(k2):
    """Start an exchange; returns its program and port."""

    def start(*options, port=0):
        program = k2("exchange", "--port", port, "--exchange-dir", "kept", *options)
        return program, program.wait_for("exchange.ready")["port"]

    return start


def feed(k2, bus, port, *options, **environment):
    return k2(
        "feed", "--feed-urls", f"ws://127.0.0.1:{port}", "--rest-url", f"http://127.0.0.1:{port}", "--metrics-port", 0,
        *options, **{**bus.environment, "K2_BACKOFF_FIRST_S": "0.05", "K2_GAP_WAIT_S": "0.3", **environment},
    )  # fmt: skip


def figures(program):
    return program.figures("feed.metrics")


def history(port, symbol):
    """All trades of a symbol that the exchange has, asked page by page."""
    found, number = [], 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        while True:
            page = client.get(
                "/api/v3/historicalTrades", params={"symbol": symbol, "fromId": number, "limit": 1000}
            ).json()
            if not page:
                return found
            found += page
            number = page[-1]["id"] + 1


def everything(bus, port, symbols=("BTCUSDT", "ETHUSDT"), *, killed=False):
    """Assert that the topic holds every trade of the exchange once, each field as the exchange tells it.

    What a feed was sending when it was killed may arrive after the next one has looked what is there, and stand twice;
    the writer takes it once.
    """
    rows = bus.rows(bus.trades)
    if killed:
        rows = list(
            {(row["symbol"], row["source_sequence"], row["price"], row["quantity"]): row for row in rows}.values()
        )
    for symbol in symbols:
        told = history(port, symbol)
        mine = sorted((row for row in rows if row["symbol"] == symbol), key=lambda row: row["source_sequence"])
        assert [row["source_sequence"] for row in mine] == [trade["id"] for trade in told]
        for row, trade in zip(mine, told, strict=True):
            assert (str(row["price"]), str(row["quantity"])) == (trade["price"], trade["qty"])
            assert row["timestamp"].timestamp() * 1000 == pytest.approx(trade["time"], abs=0.001)
            assert row["side"] == ("SELL" if trade["isBuyerMaker"] else "BUY")
    return rows


def stopped(call):
    """Let some more trades of each symbol come, stop the exchange, and return how many there are."""
    before = call("state")["symbols"]
    until(lambda: all(now["count"] > before[name]["count"] + 5 for name, now in call("state")["symbols"].items()))
    call("mischief", drop=0)
    return sum(symbol["count"] for symbol in call("halt")["symbols"].values())


def confirmed(program, bus):
    return figures(program).get(f'k2_feed_confirmed_total{{topic="{bus.trades}"}}', 0)


def test_every_trade_once_and_each_figure_is_set(k2, bus, market, control):
    _, port = market("--rate", 100, "--quote-rate", 20, "--clock-offset-s", AHEAD_S)
    program = feed(k2, bus, port)
    with control(port) as call:
        until(lambda: figures(program).get("k2_feed_frames_total", 0) > 100)
        call("mischief", drop=20, duplicate=30, malformed_every=10)
        until(lambda: {"drop": 0, "duplicate": 0}.items() <= call("state")["mischief"].items())
        # The second of them is the page of a gateway.
        until(lambda: figures(program).get('k2_feed_dead_letters_total{reason="malformed"}', 0) >= 4)
        total = stopped(call)
        until(lambda: confirmed(program, bus) == total)
        until(lambda: len(program.events("feed.gap_closed")) == len(program.events("feed.gap_open")) > 0)
        until(lambda: figures(program)["k2_feed_spool_bytes"] == 0)
    told = figures(program)
    rows = everything(bus, port)
    of_btc = sum(row["symbol"] == "BTCUSDT" for row in rows)
    assert told['k2_feed_records_total{kind="trade",symbol="BTCUSDT"}'] == of_btc
    quotes = bus.rows(bus.quotes, QUOTE)
    assert len(quotes) == len({row["message_id"] for row in quotes}) > 20

    def summed(name):
        return sum(value for label, value in told.items() if label.startswith(name))

    assert summed('k2_feed_records_total{kind="quote"') == len(quotes)
    assert summed("k2_feed_backfilled_total") == 20
    assert summed("k2_feed_duplicates_total") == 30
    letters = bus.messages(f"{bus.trades}.dlq")
    assert len(letters) == summed("k2_feed_dead_letters_total") > 3
    assert all(dict(letter.headers())["source"] == b"feed" for letter in letters)
    assert b"<html>502 Bad Gateway</html>" in [letter.value() for letter in letters]
    gaps = [Gap.decode(value) for value in bus.values(bus.gaps)]
    assert {(gap.missing, gap.closed is None) for gap in gaps} == {(0, False)} | {
        (gap.missing, True) for gap in gaps if gap.closed is None
    }
    assert sum(gap.missing for gap in gaps if gap.closed is None) == 20
    error_s = told["k2_feed_exchange_clock_error_seconds"]
    assert error_s > 0, "half of what the answer took"
    assert told["k2_feed_exchange_clock_offset_seconds"] == pytest.approx(AHEAD_S, abs=error_s + 0.01)
    assert told["k2_feed_transit_seconds_count"] > 100
    mean_s = told["k2_feed_transit_seconds_sum"] / told["k2_feed_transit_seconds_count"]
    assert 0 < mean_s < AHEAD_S / 2, "the offset is taken out"
    assert told["k2_feed_publish_seconds_count"] == total + len(quotes)
    assert told["k2_feed_connected"] == 1
    assert told[f'k2_feed_connections_total{{url="ws://127.0.0.1:{port}"}}'] == 1
    assert told["k2_feed_bytes_total"] > 100 * told["k2_feed_frames_total"] > 100 * total
    assert told['k2_feed_gaps_total{symbol="BTCUSDT"}'] + told['k2_feed_gaps_total{symbol="ETHUSDT"}'] == len(gaps) / 2
    assert told['k2_feed_open_gaps{symbol="BTCUSDT"}'] == told['k2_feed_missing_trades{symbol="BTCUSDT"}'] == 0
    assert abs(told['k2_feed_last_trade_timestamp_seconds{symbol="BTCUSDT"}'] - time.time() - AHEAD_S) < AHEAD_S / 2
    assert told["k2_feed_on_the_way"] == told["k2_feed_spool_full"] == 0
    assert program.end() == 0


def waiting(folder):
    """What a feed that was killed has left in its spool, by value."""
    spool = Spool(folder, 2**30)
    try:
        return Counter(entry.value for _, entry in spool.since(spool.confirmed))
    finally:
        spool.close()


def test_a_feed_that_is_killed_again_and_again_sends_every_trade(k2, bus, market, control, tmp_path):
    _, port = market("--rate", 60, "--quote-rate", 20)
    left = Counter()
    for _ in range(3):
        program = feed(k2, bus, port, "--spool-dir", tmp_path / "spool")
        until(lambda program=program: confirmed(program, bus) > 200)
        program.end(signal.SIGKILL)
        left += waiting(tmp_path / "spool")
    program = feed(k2, bus, port, "--spool-dir", tmp_path / "spool")
    until(lambda: confirmed(program, bus) > 200)
    with control(port) as call:
        total = stopped(call)
    until(lambda: len(bus.values(bus.trades)) >= total)
    until(lambda: figures(program)["k2_feed_spool_bytes"] == 0)
    assert program.end() == 0
    rows = everything(bus, port, killed=True)
    place = {(row["symbol"], row["source_sequence"]): number for number, row in enumerate(rows)}
    gaps = [Gap.decode(value) for value in bus.values(bus.gaps)]
    assert {gap.symbol for gap in gaps} == {"BTCUSDT", "ETHUSDT"}
    for gap in gaps:
        came = min(place[gap.symbol, number] for number in range(gap.first, gap.last + 1))
        assert came > place[gap.symbol, gap.last + 1], "nothing of a gap was in Kafka when the feed was killed"
    again = Counter([*bus.values(bus.trades), *bus.values(bus.quotes)])
    again.subtract(set(again))
    assert again <= left, "each stands once more at most for each kill at which Kafka had not confirmed it"


def test_an_outage_of_the_broker_costs_nothing_but_time(k2, bus, way, market, control):
    _, port = market("--rate", 100, "--quote-rate", 20)
    way.open()
    program = feed(k2, bus, port, K2_KAFKA_BOOTSTRAP=way.bootstrap)
    until(lambda: confirmed(program, bus) > 100)
    way.close()
    until(lambda: figures(program)["k2_feed_spool_bytes"] > 20_000)
    way.open()
    with control(port) as call:
        total = stopped(call)
    until(lambda: confirmed(program, bus) == total)
    assert program.end() == 0
    everything(bus, port)
    assert bus.values(bus.gaps) == []


@pytest.mark.soak
def test_a_feed_starts_without_a_broker_and_keeps_what_comes_over_its_own_restart(k2, bus, way, market):
    _, port = market("--rate", 200, "--trades", 300)
    program = feed(k2, bus, port, K2_KAFKA_BOOTSTRAP=way.bootstrap)
    until(lambda: figures(program)["k2_feed_frames_total"] > 150)
    program.wait_for("producer.waits")
    assert program.end() == 0
    program = feed(k2, bus, port)
    until(lambda: confirmed(program, bus) == 300)
    assert program.end() == 0
    everything(bus, port)


@pytest.mark.soak
def test_a_full_spool_stops_reading_visibly_and_nothing_is_lost(k2, bus, way, market):
    _, port = market("--rate", 2000, "--trades", 12_000, "--quote-rate", 0)
    program = feed(k2, bus, port, K2_SPOOL_BYTES=str(2**20), K2_KAFKA_BOOTSTRAP=way.bootstrap)
    program.wait_for("spool.full")
    assert figures(program)["k2_feed_spool_full"] == 1
    assert figures(program)["k2_feed_spool_bytes"] < 1.2 * 2**20
    way.open()
    program.wait_for("spool.room")
    until(lambda: confirmed(program, bus) == 12_000)
    assert program.end() == 0
    everything(bus, port)


ROOM = 32_768
"""Bytes: less than what waits in a spool by then, more than all else that a feed writes."""


def largest(program, size):
    """Let no file of a running program grow beyond a size: to who writes that is a full disk."""
    _, most = resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (size, most))


def test_a_full_disk_is_waited_for_and_a_kill_meanwhile_loses_nothing(k2, bus, way, market, control):
    _, port = market("--rate", 200, "--quote-rate", 20, "--mischief", '{"malformed_every": 50}')
    program = feed(k2, bus, port, K2_KAFKA_BOOTSTRAP=way.bootstrap)
    until(lambda: figures(program)["k2_feed_spool_bytes"] > 2 * ROOM)
    for _ in range(2):
        took = len(program.events("feed.disk_takes_again"))
        largest(program, ROOM)
        waits = program.wait_for("feed.waits_for_disk", count=took + 1)
        assert waits["error"].endswith("cannot be written: File too large; make room there.")
        assert figures(program)["k2_feed_spool_full"] == 1
        largest(program, resource.RLIM_INFINITY)
        program.wait_for("feed.disk_takes_again", count=took + 1)
    until(lambda: figures(program)["k2_feed_spool_full"] == 0)
    largest(program, ROOM)
    program.wait_for("feed.waits_for_disk", count=3)
    program.end(signal.SIGKILL)
    way.open()
    program = feed(k2, bus, port, K2_KAFKA_BOOTSTRAP=way.bootstrap)
    until(lambda: figures(program)["k2_feed_frames_total"] > 100)
    with control(port) as call:
        total = stopped(call)
    until(lambda: confirmed(program, bus) == total)
    assert program.end() == 0
    everything(bus, port)


@pytest.mark.soak
def test_a_disk_that_the_spool_has_filled_is_emptied_when_the_broker_comes(k2, bus, way, market, control, small_disk):
    _, port = market("--rate", 100, "--quote-rate", 0)
    (small_disk / "of others").write_bytes(bytes(3 * 2**19))
    program = feed(k2, bus, port, "--spool-dir", small_disk / "spool", K2_KAFKA_BOOTSTRAP=way.bootstrap)
    assert "No space left on device" in program.wait_for("feed.waits_for_disk")["error"]
    program.end(signal.SIGKILL)
    program = feed(k2, bus, port, "--spool-dir", small_disk / "spool", K2_KAFKA_BOOTSTRAP=way.bootstrap)
    program.wait_for("feed.waits_for_disk")
    way.open()
    program.wait_for("feed.disk_takes_again")
    taken = figures(program)["k2_feed_frames_total"]
    until(lambda: figures(program)["k2_feed_frames_total"] > taken + 100)
    with control(port) as call:
        total = stopped(call)
    until(lambda: confirmed(program, bus) == total)
    assert program.end() == 0
    everything(bus, port)
    assert sum(file.stat().st_size for file in (small_disk / "spool").glob("*.spool")) <= 2**20


@pytest.mark.soak
def test_a_silent_exchange_is_left_for_the_next_and_returned_to(k2, bus, market, control):
    first, port = market("--rate", 100, "--quote-rate", 0)
    other = k2("exchange", "--port", 0, "--rate", 100, "--quote-rate", 0)
    fallback = other.wait_for("exchange.ready")["port"]
    program = feed(
        k2, bus, port, "--feed-urls", f"ws://127.0.0.1:{port},ws://127.0.0.1:{fallback}", "--silence-s", 0.5,
        K2_PRIMARY_AFTER_S="1",
    )  # fmt: skip
    program.wait_for("feed.connected", url=f"ws://127.0.0.1:{port}")
    with control(port) as call:
        call("mischief", silence_s=4)
        program.wait_for("feed.reconnects", cause="silent", url=f"ws://127.0.0.1:{port}")
        program.wait_for("feed.connected", url=f"ws://127.0.0.1:{fallback}")
        program.wait_for("feed.taken_over", url=f"ws://127.0.0.1:{port}")
        call("halt")
    assert figures(program)['k2_feed_disconnections_total{cause="silent"}'] >= 1
    assert program.end() == 0
    assert first.end() == other.end() == 0


@pytest.mark.soak
def test_a_rotation_overlaps_and_doubles_nothing(k2, bus, market, control):
    _, port = market("--rate", 100, "--quote-rate", 0)
    program = feed(k2, bus, port, K2_ROTATE_S="0.5")
    program.wait_for("feed.taken_over", count=3)
    with control(port) as call:
        total = stopped(call)
    until(lambda: confirmed(program, bus) == total)
    assert program.end() == 0
    everything(bus, port)
    assert bus.values(bus.gaps) == [], "one connection was there until the next one was"


@pytest.mark.soak
def test_clean_closes_in_a_row_are_few_tries(k2, bus, market, control):
    _, port = market("--rate", 50)
    with control(port) as call:
        call("mischief", close_next=1000)
        program = feed(k2, bus, port, K2_BACKOFF_FIRST_S="0.2", K2_BACKOFF_MOST_S="1")
        program.wait_for("feed.reconnects", count=6)
        waits = [event["wait_s"] for event in program.events("feed.reconnects")]
        assert [wait >= 0.5 * min(1.0, 0.2 * 2**turn) for turn, wait in enumerate(waits)] == [True] * len(waits)
        assert {event["cause"] for event in program.events("feed.reconnects")} == {"closed"}
        tried = [event["timestamp"] for event in program.events("feed.connected")]
        assert call("state")["accepted"] == pytest.approx(len(tried), abs=1)
        call("mischief", close_next=0)
        until(lambda: figures(program)["k2_feed_frames_total"] > 10)
    assert program.end() == 0


def test_spent_retries_end_it_with_an_error(k2, bus):
    program = k2(
        "feed", "--feed-urls", "ws://127.0.0.1:9,ws://127.0.0.1:11", "--rest-url", "", "--attempts", 4,
        **{**bus.environment, "K2_BACKOFF_FIRST_S": "0.05"},
    )  # fmt: skip
    assert program.ended()[0] == 3
    said = program.said
    assert "4 connections in a row ended (unreachable, the last at ws://127.0.0.1:11)" in said
    assert "Traceback" not in said


def test_a_gap_that_nobody_can_fill_stays_open_with_exact_bounds(k2, bus, market, control):
    _, port = market("--rate", 200, "--symbols", "BTCUSDT", "--quote-rate", 0)
    program = feed(k2, bus, port, "--rest-url", "", "--symbols", "BTCUSDT")
    until(lambda: figures(program)["k2_feed_frames_total"] > 20)
    with control(port) as call:
        call("mischief", drop=7)
        gap = program.wait_for("feed.gap_open")
        assert gap["last"] - gap["first"] + 1 == gap["missing"] == 7
        call("halt")
    until(lambda: figures(program).get('k2_feed_missing_trades{symbol="BTCUSDT"}') == 7)
    program.end(signal.SIGKILL)
    again = feed(k2, bus, port, "--rest-url", "", "--symbols", "BTCUSDT")
    until(lambda: figures(again).get('k2_feed_open_gaps{symbol="BTCUSDT"}') == 1), "a restart forgets no gap"
    until(lambda: figures(again)["k2_feed_spool_bytes"] == 0)
    assert again.end() == 0
    numbers = {row["source_sequence"] for row in bus.rows(bus.trades)}
    missing = set(range(min(numbers), max(numbers) + 1)) - numbers
    assert missing == set(range(gap["first"], gap["last"] + 1))


@pytest.mark.soak
def test_two_feeds_do_not_share_a_spool(k2, bus, market):
    _, port = market()
    program = feed(k2, bus, port)
    program.wait_for("feed.ready")
    second = feed(k2, bus, port)
    assert second.ended()[0] == 3
    assert "Another k2 feed uses the folder" in second.said
    assert program.end(signal.SIGINT) == 0
