"""What a writer reads from Kafka: partitions assigned by hand, from the offsets that the table's rows end at."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from k2.bus.kafka import connection
from k2.errors import BusError, LakeError
from k2.lake.offsets import Offsets
from k2.settings import BusSettings

__all__ = ["Read", "Source"]

_ANSWER_S: Final = 10.0
_NEW_PARTITIONS_S: Final = 30.0
_NO_ERRORS: Final = frozenset({KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})
"""Events that pass by themselves: the library goes on trying."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one look at Kafka gave, in order; `next_offsets` is what comes after it, by partition."""

    messages: Sequence[Message]
    next_offsets: Mapping[tuple[str, int], int]


class Source:
    """Reads one topic. `group` only names who reads: its offsets are told to Kafka for people to look at."""

    def __init__(self, settings: BusSettings, topic: str, group: str) -> None:
        self.topic: Final = topic
        self._where: Final = ",".join(settings.kafka_bootstrap)
        self._consumer: Final = Consumer(
            {
                **connection(settings),
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # Rows that Kafka has deleted before they were read are a loss that nobody may step over silently.
                "auto.offset.reset": "error",
                "enable.partition.eof": False,
                "queued.min.messages": 200_000,
                "queued.max.messages.kbytes": 131_072,
                "fetch.message.max.bytes": 4_194_304,
                "fetch.wait.max.ms": 50,
                # Its own lines on standard error are no events of ours; troubles come as errors and are logged.
                "log_level": 0,
            }
        )
        self._assigned: frozenset[int] = frozenset()
        self._looked_s = 0.0

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def start(self, offsets: Offsets) -> None:
        """Read on from these offsets; a partition that they do not name is read from its beginning.

        Raises BusError when Kafka does not answer, and LakeError when it does not have what comes next.
        """
        partitions = self._partitions()
        places = [self._place(number, offsets[self.topic, number]) for number in sorted(partitions)]
        self._consumer.assign(places)
        self._assigned = partitions
        self._looked_s = time.monotonic()

    def read(self, most: int, timeout_s: float) -> Read:
        """Wait for records, at most `most` of them, and not much longer than `timeout_s` for the first.

        Raises LakeError when Kafka has deleted what comes next, BusError for what does not pass by itself.
        """
        messages: list[Message] = []
        next_offsets: dict[tuple[str, int], int] = {}
        for message in self._consumer.consume(most, timeout_s):
            if (error := message.error()) is not None:
                self._check(error)
                continue
            messages.append(message)
            next_offsets[self.topic, message.partition() or 0] = (message.offset() or 0) + 1
        return Read(messages, next_offsets)

    def tell(self, offsets: Offsets) -> None:
        """Let Kafka know how far the table is, for whoever looks at the group's lag; nothing depends on it."""
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items().items()]
        if places:
            try:
                self._consumer.commit(offsets=places, asynchronous=True)
            except KafkaException:
                return

    def lag(self, offsets: Offsets) -> dict[int, int]:
        """Return how many records Kafka has after these offsets, by partition, as far as it said so lately."""
        lags: dict[int, int] = {}
        for number in self._assigned:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, number), cached=True)
            reached = offsets[self.topic, number]
            if high >= 0:
                lags[number] = max(0, high - (max(low, 0) if reached is None else reached))
        return lags

    def grown(self) -> bool:
        """Tell whether the topic has partitions that are not read yet; looks at most every 30 s."""
        if time.monotonic() - self._looked_s < _NEW_PARTITIONS_S:
            return False
        self._looked_s = time.monotonic()
        try:
            return not self._partitions() <= self._assigned
        except BusError:
            return False

    def _partitions(self) -> frozenset[int]:
        try:
            found = self._consumer.list_topics(self.topic, timeout=_ANSWER_S).topics[self.topic]
        except KafkaException as error:
            raise BusError(f"Kafka at {self._where} does not answer: {error.args[0].str()}.") from None
        if found.error is not None:
            raise BusError(f"Kafka at {self._where} does not give the topic {self.topic}: {found.error.str()}.")
        return frozenset(found.partitions)

    def _place(self, number: int, offset: int | None) -> TopicPartition:
        if offset is None:
            return TopicPartition(self.topic, number, OFFSET_BEGINNING)
        try:
            place = TopicPartition(self.topic, number)
            low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_S)
        except KafkaException as error:
            raise BusError(f"Kafka at {self._where} does not answer: {error.args[0].str()}.") from None
        if not low <= offset <= high:
            raise LakeError(
                f"The table's rows end before offset {offset} of {self.topic} partition {number}, and Kafka has "
                f"{low} to {high}: "
                + ("what lies between was deleted unread." if offset < low else "it is another topic of that name.")
                + " Look at it, then run `k2 repair` with the offsets to go on from."
            )
        return TopicPartition(self.topic, number, offset)

    def _check(self, error: KafkaError) -> None:
        if error.code() in _NO_ERRORS or error.retriable():
            return
        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            raise LakeError(f"Kafka has deleted what comes next of {self.topic}: {error.str()}. Run `k2 repair`.")
        raise BusError(f"Kafka at {self._where} refuses {self.topic}: {error.str()}.")
