"""`k2 dlq list` and `replay` as commands, on a real Kafka."""

import json

import pytest
from confluent_kafka import Producer

from k2.bus.codecs import Codec
from k2.bus.kafka import dead_letters_of, ensure_topics
from k2.feed.frames import read_frame
from k2.schema import TRADE
from k2.settings import FeedSettings

from .test_feed import Bus

FRAME = b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,"p":"61837.63","q":"0.01","T":1723161255342,"m":true}'
RECEIVED = 1_723_161_255_400_000


@pytest.fixture
def bus(one_kafka):
    """Dead letters: a frame that can be read now, one that cannot, and a record that no table took but is one."""
    bus = Bus(one_kafka)
    settings = FeedSettings(
        kafka_bootstrap=(one_kafka.bootstrap,), trades_topic=bus.trades, quotes_topic=bus.quotes, partitions=1
    )
    letters = dead_letters_of(bus.trades)
    ensure_topics(settings, [bus.trades, letters, bus.quotes, dead_letters_of(bus.quotes)])
    record = Codec(TRADE).encode(read_frame(FRAME % 2, RECEIVED, 1))
    producer = Producer({"bootstrap.servers": one_kafka.bootstrap, "acks": "all", "log_level": 0})
    for value, headers in (
        (FRAME % 1, {"source": "feed", "reason": "unknown_event", "sentence": "Not known then.", "received": RECEIVED}),
        (b"\xff<html>", {"source": "feed", "reason": "malformed", "sentence": "No JSON.", "received": RECEIVED}),
        (record, {"source": "writer", "reason": "unknown_schema", "topic": bus.trades, "partition": 0, "offset": 7}),
    ):
        producer.produce(letters, value, headers={name: str(text).encode() for name, text in headers.items()})
    assert producer.flush(60) == 0
    return bus


def test_dead_letters_are_listed(k2, bus):
    letters = dead_letters_of(bus.trades)
    code, said = k2("dlq", "list", **bus.environment).ended()
    assert code == 0
    for line in (
        f"{letters}:0:0  feed  unknown_event: Not known then.",
        f"{letters}:0:1  feed  malformed: No JSON.",
        "    b'\\xff<html>'",
        f"{letters}:0:2  {bus.trades}:0:7  unknown_schema: ",
        "dead letters: 1 malformed, 1 unknown_event, 1 unknown_schema",
    ):
        assert line in said.splitlines()
    code, said = k2("dlq", "list", "--reason", "malformed", "--json", **bus.environment).ended()
    told = json.loads(said.splitlines()[0])
    assert (code, told["name"], told["value_hex"]) == (0, f"{letters}:0:1", "ff3c68746d6c3e")
    assert said.splitlines()[1:] == ["dead letters: 1 malformed"]
    code, said = k2("dlq", "list", "--limit", 2, **bus.environment).ended()
    assert (code, "dead letters: 1 malformed, 1 unknown_event" in said) == (0, True)
    assert k2("dlq", "list", "--reason", "nothing", **bus.environment).ended() == (0, "dead letters: none\n")


def test_what_can_be_used_now_is_sent_and_the_rest_stays(k2, bus):
    letters = dead_letters_of(bus.trades)
    code, said = k2("dlq", "replay", f"{letters}:0:0", **bus.environment).ended()
    assert (code, said) == (0, "dead letters: 1 sent, 0 stay\n")
    assert [row["source_sequence"] for row in bus.rows(bus.trades)] == [1]
    code, said = k2("dlq", "replay", "--all", **bus.environment).ended()
    assert code == 0
    assert f"{letters}:0:1 stays: malformed: " in said
    assert said.endswith("dead letters: 2 sent, 1 stay\n")
    assert [row["source_sequence"] for row in bus.rows(bus.trades)] == [1, 1, 2]
    assert bus.rows(bus.trades)[0]["ingestion_timestamp"].timestamp() == pytest.approx(RECEIVED / 1e6)
    assert len(bus.messages(letters)) == 3, "letters are never removed"


def test_what_cannot_be_meant_is_refused_with_a_sentence(k2, bus):
    for arguments, sentence in (
        (["replay"], "Say which: their names from `k2 dlq list`, --reason, or --all."),
        (["replay", "nonsense"], "nonsense names no dead letter; write TOPIC:PARTITION:OFFSET."),
        (["replay", f"{dead_letters_of(bus.trades)}:0:99"], "1 of the 1 named dead letters do not exist (any more)."),
        (["list", "--limit", "0"], "0 is not in the range"),
    ):
        code, said = k2("dlq", *arguments, **bus.environment).ended()
        assert (code, sentence in said, "Traceback" in said) == (3, True, False), said
