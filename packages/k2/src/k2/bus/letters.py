"""Dead letters: what could not be used, with where it came from and why, to be looked at and tried again.

Two kinds lie in a topic of dead letters: frames that the feed could not read (header `source: feed`), and records of
Kafka that the writer could not (headers `topic`, `partition`, `offset`). Both say `reason` and `sentence`.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from k2.bus.kafka import connection, dead_letters_of
from k2.errors import BusError
from k2.settings import BusSettings

__all__ = ["DeadLetter", "read_letters", "send"]

_ANSWER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them: its place among the dead letters, and what its headers say."""

    topic: str
    partition: int
    offset: int
    laid_aside: int
    """When, in microseconds since 1970."""
    key: bytes
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why, in a word."""
        return self.headers.get("reason", "")

    @property
    def of_feed(self) -> bool:
        """Whether it is a frame; otherwise it is a record of Kafka."""
        return self.headers.get("source") == "feed"

    @property
    def name(self) -> str:
        """What `k2 dlq replay` takes to mean it."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def origin(self) -> str:
        """Where it came from."""
        told = self.headers
        return "feed" if self.of_feed else f"{told.get('topic', '?')}:{told.get('partition')}:{told.get('offset')}"

    def as_json(self) -> str:
        """Return it as one line; bytes that are no text are written as hexadecimal digits."""
        made: dict[str, Any] = {"name": self.name, "laid_aside": self.laid_aside, "origin": self.origin, **self.headers}
        try:
            made["value"] = self.value.decode()
        except UnicodeDecodeError:
            made["value_hex"] = self.value.hex()
        return json.dumps(made, ensure_ascii=False)


def read_letters(settings: BusSettings, topics: Sequence[str]) -> Iterator[DeadLetter]:
    """Go through all dead letters of some topics as they are now; raises BusError."""
    consumer = Consumer({
        **connection(settings), "group.id": "k2-dlq", "enable.auto.commit": False, "enable.partition.eof": True,
        "auto.offset.reset": "earliest", "log_level": 3,
    })  # fmt: skip
    try:
        parts = [part for topic in topics for part in _parts(consumer, dead_letters_of(topic))]
        consumer.assign(parts)
        left, deadline = len(parts), time.monotonic() + _ANSWER_S
        while left:
            for message in consumer.consume(1000, 0.1):
                deadline = time.monotonic() + _ANSWER_S
                problem = message.error()
                if problem is None:
                    yield _letter(message)
                elif problem.code() == KafkaError._PARTITION_EOF:
                    left -= 1
                else:
                    raise BusError(f"The dead letters cannot be read: {problem.str()}.")
            if time.monotonic() > deadline:
                raise BusError(f"Kafka at {','.join(settings.kafka_bootstrap)} has not answered for {_ANSWER_S:g} s.")
    except KafkaException as error:
        raise BusError(
            f"The dead letters at {','.join(settings.kafka_bootstrap)} cannot be read: {error.args[0].str()}."
        ) from None
    finally:
        consumer.close()


def _parts(consumer: Consumer, topic: str) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise BusError(f"The topic {topic} cannot be read: {found.error.str()}.")
    parts = []
    for number in found.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S)
        if high > low:
            parts.append(TopicPartition(topic, number, low))
    return parts


def _letter(message: Message) -> DeadLetter:
    told = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    headers = {name: (text or b"").decode(errors="replace") for name, text in told}
    return DeadLetter(
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        int(message.timestamp()[1]) * 1000,
        message.key() or b"",
        message.value() or b"",
        headers,
    )


def send(settings: BusSettings, records: Sequence[tuple[str, bytes, bytes]]) -> None:
    """Send records (topic, key, value) and wait until the broker has confirmed all; raises BusError."""
    producer = Producer({**connection(settings), "enable.idempotence": True, "acks": "all", "log_level": 3})
    failed: list[str] = []

    def told(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    try:
        for topic, key, value in records:
            producer.produce(topic, value, key, on_delivery=told)
            producer.poll(0)
        left = producer.flush(_ANSWER_S)
    except (KafkaException, BufferError) as error:
        raise BusError(f"Records could not be sent: {error}.") from None
    if left or failed:
        raise BusError(
            f"{left + len(failed)} of {len(records)} records could not be sent: {(failed or ['no answer'])[0]}."
        )
