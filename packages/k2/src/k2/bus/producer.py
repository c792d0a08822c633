"""The way to Kafka: idempotent, confirmed by all replicas, over a spool; an absent broker costs nothing but disk.

A record is on the disk before the broker is told of it, so Kafka has none that the spool does not know. So many are on
their way at once; while the broker is away the others wait on the disk. After a kill, what the broker has not confirmed
is sent again, except what stands at the end of the topics already: a record of one feed is in Kafka once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Producer as Client

from k2.bus.kafka import connection, ensure_topics
from k2.bus.spool import Entry, Spool
from k2.errors import BusError
from k2.settings import FeedSettings

__all__ = ["Producer"]

WINDOW: Final = 10_000
"""Records that are on their way at once."""
_TICK_S: Final = 0.005
_AGAIN_S: Final = 1.0
_ANSWER_S: Final = 10.0


@dataclass(slots=True)
class _Sent:
    """A record on its way: where the spool goes on after it, and since when, by the monotonic clock."""

    after: int
    entry: Entry
    since: float
    done: bool = False


class Producer:
    """Sends records in the order in which they are given; `run` does the work, `send` never waits.

    `confirmed` is told each record that has arrived, and how many seconds after `send` that was (own clock); records
    of an earlier run come with NaN. `needed_from` says from which position on the spool is still needed elsewhere.
    """

    def __init__(
        self,
        settings: FeedSettings,
        spool: Spool,
        topics: Mapping[str, Mapping[str, str]],
        confirmed: Callable[[Entry, float], object] = lambda _entry, _seconds: None,
        needed_from: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._settings, self.spool, self._topics = settings, spool, topics
        self._confirmed, self._needed_from = confirmed, needed_from
        self._way: deque[_Sent] = deque()
        self._next = spool.confirmed  # what lies behind it waits on the disk
        self._client: Client | None = None
        self._known: set[bytes] = set()
        self._known_until = spool.end  # records up to here are of an earlier run
        self._broken = False
        self._renewed = 0.0
        self._roomy = asyncio.Event()
        self._times: deque[tuple[int, float]] = deque()
        self._log = structlog.get_logger()
        self.ready = asyncio.Event()

    @property
    def on_the_way(self) -> int:
        """How many records the broker has not confirmed yet that it was sent."""
        return len(self._way)

    async def room(self) -> None:
        """Wait until the spool takes more; meanwhile nobody should read from the exchange."""
        if self.spool.full:
            self._log.warning("spool.full", bytes=self.spool.waiting, limit=self.spool.limit)
            self._roomy.clear()
            await self._roomy.wait()
            self._log.info("spool.room", bytes=self.spool.waiting)

    def send(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Take a record, and return the spool's position after it; SpoolDown when the disk does not take it."""
        entry = Entry(topic, key, value, headers or {})
        direct = self._client is not None and self._next == self.spool.end and len(self._way) < WINDOW
        after = self.spool.append(entry)
        if direct:
            self._next = after
            self._produce(_Sent(after, entry, time.monotonic()))
        else:
            self._times.append((after, time.monotonic()))
        return after

    async def run(self) -> None:
        """Send until cancelled; a broker that is away is waited for."""
        await self._begin()
        while True:
            self.turn()
            await asyncio.sleep(_TICK_S)

    def turn(self) -> None:
        """Take what the broker has confirmed, and send what waits."""
        assert self._client is not None  # noqa: S101 - `_begin` has made it
        self._client.poll(0)
        if self._broken and time.monotonic() - self._renewed >= _AGAIN_S:
            self._renew()
        position = self.spool.confirmed
        while self._way and self._way[0].done:
            position = self._way.popleft().after
        # Also when nothing has arrived since: what was needed elsewhere may not be needed any more.
        self.spool.confirm(position, self._needed_from())
        if not self.spool.full:
            self._roomy.set()
        if self._next < self.spool.end and len(self._way) < WINDOW // 2:
            self._drain()

    async def close(self, within_s: float = _ANSWER_S) -> bool:
        """Wait until all has arrived; False when some of it stays in the spool for the next run."""
        deadline = time.monotonic() + within_s
        while self._client is not None and self.spool.waiting and time.monotonic() < deadline:
            self.turn()
            await asyncio.sleep(_TICK_S)
        return not self.spool.waiting

    async def _begin(self) -> None:
        """Make the topics and learn what of the spool has arrived, as soon as there is a broker."""
        said = False
        while True:
            try:
                for topic, options in self._topics.items():
                    await asyncio.to_thread(ensure_topics, self._settings, [topic], {topic: options})
                if self.spool.waiting:
                    self._known = await asyncio.to_thread(self._read_ends, list(self._topics))
                break
            except (BusError, KafkaException) as error:
                if not said:
                    self._log.warning("producer.waits", error=str(error))
                said = True
                await asyncio.sleep(_AGAIN_S)
        self._client = self._new_client()
        self._log.info("producer.ready", waiting_bytes=self.spool.waiting)
        self.ready.set()

    def _new_client(self) -> Client:
        compression = self._settings.compression
        return Client({
            **connection(self._settings),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": compression,
            "linger.ms": 5,
            "batch.num.messages": 2000,
            # A record waits for the broker as long as it takes: it is we who decide what is lost, and nothing is.
            "message.timeout.ms": 0,
            "queue.buffering.max.messages": 4 * WINDOW,
            "log_level": 3,
        })  # fmt: skip

    def _drain(self) -> None:
        """Send from the disk."""
        for after, entry in self.spool.since(self._next):
            since = float("nan")
            while self._times and self._times[0][0] <= after:
                at, moment = self._times.popleft()
                since = moment if at == after else since
            self._next = after
            if after <= self._known_until and _print(entry.value) in self._known:
                self._way.append(_Sent(after, entry, since, done=True))
            else:
                self._produce(_Sent(after, entry, since))
            if len(self._way) >= WINDOW:
                break
        if self._next >= self._known_until:
            self._known.clear()

    def _produce(self, sent: _Sent, *, again: bool = False) -> None:
        client = self._client
        assert client is not None  # noqa: S101 - the caller has looked
        if not again:
            self._way.append(sent)

        def told(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                sent.done = True
                self._confirmed(sent.entry, time.monotonic() - sent.since)
            elif client is self._client and not self._broken:
                self._log.error("producer.refused", error=error.str(), topic=sent.entry.topic)
                self._broken = True

        try:
            client.produce(
                sent.entry.topic,
                sent.entry.value,
                sent.entry.key,
                headers={name: text.encode() for name, text in sent.entry.headers.items()} or None,
                on_delivery=told,
            )
        except (BufferError, KafkaException) as error:
            self._log.error("producer.refused", error=str(error), topic=sent.entry.topic)
            self._broken = True

    def _renew(self) -> None:
        """Begin anew after what the library cannot mend: all that is not confirmed is sent again, in order."""
        self._broken, self._renewed = False, time.monotonic()
        former, self._client = self._client, self._new_client()
        if former is not None:
            former.purge()
            former.poll(0)
        for sent in self._way:
            if not sent.done:
                self._produce(sent, again=True)

    def _read_ends(self, topics: Sequence[str]) -> set[bytes]:
        """Return the fingerprints of the last records of each topic: what a killed run had sent is among them."""
        found: set[bytes] = set()
        consumer = Consumer({
            **connection(self._settings),
            "group.id": "k2-feed-looks-back",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 3,
        })  # fmt: skip
        try:
            parts: list[TopicPartition] = []
            for topic in topics:
                known = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
                for number in known.partitions:
                    low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S)
                    if high > low:
                        parts.append(TopicPartition(topic, number, max(low, high - WINDOW)))
            consumer.assign(parts)
            left = len(parts)
            deadline = time.monotonic() + 6 * _ANSWER_S
            while left and time.monotonic() < deadline:
                for message in consumer.consume(2000, 0.1):
                    problem = message.error()
                    if problem is None:
                        found.add(_print(message.value() or b""))
                    elif problem.code() == KafkaError._PARTITION_EOF:
                        left -= 1
                    else:
                        raise BusError(f"The end of a topic cannot be read: {problem.str()}.")
            if left:
                raise BusError("The ends of the topics could not be read in time.")
        finally:
            consumer.close()
        return found


def _print(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()
