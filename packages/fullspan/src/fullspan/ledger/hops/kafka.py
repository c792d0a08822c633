"""What stands in a Kafka topic: a reader of the hop's own, in no group, beside the real consumers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio.to_thread

from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.ledger.record import Moment, Observation

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

__all__ = ["KafkaRecord", "KafkaTopic"]

BATCH: Final = 2_000
WAIT_S: Final = 0.1
ASK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One record as the broker keeps it; `timestamp_ms` since 1970 UTC, as the topic's settings choose it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class KafkaTopic(BackgroundHop):
    """Sees the records of all partitions that a topic has when the hop starts; none is committed, no group is joined.

    `to_observations` is called in the background with a batch of records, in the order of their offsets per partition,
    and the moment of their arrival. With `from_beginning` what is there already is seen first. A broker that is away is
    no interruption: its records are read on from where the hop stood; only when they are gone meanwhile the hop fails.
    `properties` are further settings of the client, such as those of TLS.
    """

    kind: ClassVar[str] = "kafka"

    def __init__(
        self,
        servers: str,
        topic: str,
        to_observations: Callable[[Sequence[KafkaRecord], Moment], Iterable[Observation]],
        name: str = "kafka",
        *,
        from_beginning: bool = False,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name)
        self._topic = topic
        self._to_observations = to_observations
        self._from_beginning = from_beginning
        self._properties = {
            "bootstrap.servers": servers,
            # A group must be named although none is joined.
            "group.id": f"fullspan-{name}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "log_level": 0,
            **(properties or {}),
        }

    async def watch(self, ready: Callable[[], None]) -> None:
        """Read until cancelled."""
        from confluent_kafka import Consumer

        consumer = Consumer(self._properties)
        try:
            await anyio.to_thread.run_sync(self._assign, consumer)
            ready()
            while self.failed is None:
                messages = await anyio.to_thread.run_sync(consumer.consume, BATCH, WAIT_S)
                if messages:
                    self._take(messages)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(consumer.close)

    def _assign(self, consumer: "Consumer") -> None:
        """Stand at the beginning or at the end of every partition; a topic that is not there is an error."""
        from confluent_kafka import TopicPartition

        found = consumer.list_topics(self._topic, timeout=ASK_S).topics[self._topic]
        if found.error is not None or not found.partitions:
            raise LookupError(f"the broker has no topic {self._topic} ({found.error})")
        positions = []
        for partition in found.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=ASK_S)
            positions.append(TopicPartition(self._topic, partition, low if self._from_beginning else high))
        consumer.assign(positions)

    def _take(self, messages: "Sequence[Message]") -> None:
        moment = Moment.now()
        records = []
        for message in messages:
            if (error := message.error()) is None:
                records.append(_record(message))
            elif not error.retriable() and error.code() not in _PASSING:
                self.fail(f"the topic {self._topic} cannot be read on: {error.str()}")
                return
        self.take_in(self._to_observations, records, moment)


_PASSING: Final = frozenset({-195, -187, -191, -185})
"""Of librdkafka: the connection broke, all brokers are away, the end was reached, a time-out; it goes on by itself."""


def _record(message: "Message") -> KafkaRecord:
    key, value = message.key(), message.value()
    return KafkaRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=key.encode() if isinstance(key, str) else key,
        value=value.encode() if isinstance(value, str) else value,
        timestamp_ms=message.timestamp()[1],
    )
