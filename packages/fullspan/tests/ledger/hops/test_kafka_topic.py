import itertools

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fullspan.errors import StackError
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import HopRunner, KafkaTopic
from fullspan.stack.processes import wait_until

WITHIN_S = 30
numbers = itertools.count(1)


@pytest.fixture
def topic(one_kafka):
    name = f"hop-{next(numbers)}"
    admin = AdminClient({"bootstrap.servers": one_kafka.bootstrap})  # what it makes ends with it
    admin.create_topics([NewTopic(name, num_partitions=2)])[name].result()
    return name


def send(broker, topic, *values):
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, key=b"key", value=str(value).encode(), partition=value % 2)
    assert producer.flush(WITHIN_S) == 0


def observations(records, moment):
    for record in records:
        number = int(record.value)
        assert (record.key, record.partition) == (b"key", number % 2)
        yield Observation(
            "kafka", f"{record.partition}/{number}", number, record.timestamp_ms * 10**6, moment.mono_ns, moment.wall_ns
        )


def seen(ledger, partition):
    return [each.sequence for each in ledger.observations("kafka") if each.stream == str(partition)]


def test_all_partitions_are_seen_in_order_from_the_beginning_or_from_now_on(one_kafka, topic):
    send(one_kafka, topic, *range(10))
    every, later = Ledger(), Ledger()
    with HopRunner(every) as all_of_it, HopRunner(later) as rest:
        all_of_it.start(KafkaTopic(one_kafka.bootstrap, topic, observations, from_beginning=True))
        rest.start(KafkaTopic(one_kafka.bootstrap, topic, observations))
        send(one_kafka, topic, *range(10, 30))
        assert wait_until(lambda: len(every) == 30 and len(later) == 20, WITHIN_S)
    assert [seen(every, partition) for partition in (0, 1)] == [list(range(0, 30, 2)), list(range(1, 30, 2))]
    assert [seen(later, partition) for partition in (0, 1)] == [list(range(10, 30, 2)), list(range(11, 30, 2))]
    for each in later.observations("kafka"):
        assert abs(each.seen_wall_ns - each.event_ns) < WITHIN_S * 10**9


def test_a_broker_that_stands_still_is_read_on_without_a_hole(one_kafka, topic):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        hop = runner.start(KafkaTopic(one_kafka.bootstrap, topic, observations))
        send(one_kafka, topic, *range(5))
        assert wait_until(lambda: len(ledger) == 5, WITHIN_S)
        one_kafka.hang()
        one_kafka.resume()
        send(one_kafka, topic, *range(5, 10))
        assert wait_until(lambda: len(ledger) == 10, WITHIN_S)
    assert (hop.failed, hop.interruptions) == (None, [])


def test_a_record_that_cannot_be_read_ends_the_hop(one_kafka, topic):
    def refuse(records, moment):
        raise ValueError("no Avro")

    with HopRunner(Ledger()) as runner:
        hop = runner.start(KafkaTopic(one_kafka.bootstrap, topic, refuse))
        send(one_kafka, topic, 1)
        assert wait_until(lambda: hop.failed is not None, WITHIN_S)
    assert hop.failed == "it could not read a message: ValueError: no Avro"


def test_a_topic_that_is_not_there_is_told(one_kafka):
    with HopRunner(Ledger()) as runner, pytest.raises(StackError, match="the broker has no topic nothing"):
        runner.start(KafkaTopic(one_kafka.bootstrap, "nothing", observations))
