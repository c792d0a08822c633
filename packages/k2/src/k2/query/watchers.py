"""What the API knows of Kafka beside the tail: whether it answers, how far tables are behind, gaps, dead letters."""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from k2.bus.gaps import Gap
from k2.bus.kafka import connection, dead_letters_of
from k2.errors import CodecError, K2Error
from k2.lake.tables import QUOTES, TRADES, TableForm
from k2.query.views import Views
from k2.settings import ServeSettings

__all__ = ["KafkaWatch"]

_log = structlog.get_logger()

_EVERY_S: Final = 1.0
_ANSWER_S: Final = 1.5


class KafkaWatch:
    """Looks at Kafka once a second, in a thread of its own."""

    def __init__(self, settings: ServeSettings, views: Views) -> None:
        self._settings: Final = settings
        self._views: Final = views
        self._where: Final = ",".join(settings.kafka_bootstrap)
        self._gaps: dict[bytes, Gap] = {}
        self._next_gap: dict[int, int] = {}
        self.trouble: str | None = "Kafka has not been asked yet."
        self.lags: Mapping[str, int] = {}
        """Records that Kafka has and a table not, by table."""
        self.dead_letters: Mapping[str, int] = {}
        """Records laid aside, by topic."""

    @property
    def gaps(self) -> list[Gap]:
        """The gaps that are open: numbers that are still missing."""
        return [gap for gap in list(self._gaps.values()) if gap.missing]

    def watch(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        consumer = Consumer(
            {
                **connection(self._settings),
                "group.id": f"k2-serve-watch-{uuid.uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        try:
            while not stop.is_set():
                began_s = time.monotonic()
                try:
                    self._look(consumer)
                    self.trouble = None
                except (KafkaException, K2Error) as error:
                    if self.trouble is None:
                        _log.warning("kafka.waiting", why=str(error))
                    self.trouble = f"Kafka at {self._where} does not answer."
                stop.wait(max(0.05, _EVERY_S - (time.monotonic() - began_s)))
        finally:
            consumer.close()

    def _look(self, consumer: Consumer) -> None:
        topics = consumer.list_topics(timeout=_ANSWER_S).topics
        ends = {
            name: self._ends(consumer, name, len(topics[name].partitions)) for name in self._names() if name in topics
        }
        settings = self._settings
        self.lags = {
            form.name: self._lag(form, topic, ends[topic])
            for form, topic in ((TRADES, settings.trades_topic), (QUOTES, settings.quotes_topic))
            if topic in ends
        }
        letters = [dead_letters_of(topic) for topic in (settings.trades_topic, settings.quotes_topic)]
        self.dead_letters = {
            name: sum(high - low for low, high in ends[name].values()) for name in letters if name in ends
        }
        if settings.gaps_topic in ends:
            self._read_gaps(consumer, ends[settings.gaps_topic])

    def _names(self) -> list[str]:
        topics = [self._settings.trades_topic, self._settings.quotes_topic]
        return [*topics, *map(dead_letters_of, topics), self._settings.gaps_topic]

    def _ends(self, consumer: Consumer, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
        found = {}
        for number in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S)
            found[number] = (low, high)
        return found

    def _lag(self, form: TableForm, topic: str, ends: Mapping[int, tuple[int, int]]) -> int:
        offsets = self._views[form.name].offsets
        return sum(
            max(0, high - (low if (reached := offsets[topic, number]) is None else reached))
            for number, (low, high) in ends.items()
        )

    def _read_gaps(self, consumer: Consumer, ends: Mapping[int, tuple[int, int]]) -> None:
        behind = [number for number, (_, high) in ends.items() if self._next_gap.get(number, 0) < high]
        if not behind:
            return
        topic = self._settings.gaps_topic
        consumer.assign(
            [TopicPartition(topic, number, self._next_gap.get(number, ends[number][0])) for number in behind]
        )
        for message in consumer.consume(1000, 0.5):
            if message.error() is not None:
                continue
            self._next_gap[message.partition() or 0] = (message.offset() or 0) + 1
            key, value = message.key() or b"", message.value()
            try:
                self._gaps[key] = Gap.decode(value or b"")
            except CodecError:
                self._gaps.pop(key, None)
        consumer.unassign()
