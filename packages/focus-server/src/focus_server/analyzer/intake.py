"""From the broker to the feed: a named queue that outlives this process for a minute."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Never

import structlog
from aiormq.abc import DeliveredMessage

from focus_server.analyzer.feed import Feed
from focus_server.contract import MAX_CHANNELS, Dependency
from focus_server.errors import BlockError
from focus_server.fiber import FiberAnnouncement, announcement_key, decode
from focus_server.fiber.broker import LOST, BrokerAddress, BrokerConnection, raise_if_cancelled
from focus_server.fiber.reconnect import keep_connected

_log = structlog.get_logger()

_PREFETCH: Final = 1000
"""Messages on their way; unacknowledged ones do not count towards the queue's limit."""
_ACK_EVERY: Final = 50
_ACK_WITHIN_S: Final = 0.2
_QUEUE_ARGUMENTS: Final[dict[str, Any]] = {
    "x-expires": 60_000,
    "x-max-length-bytes": 64 * 2**20,
    "x-overflow": "drop-head",
}


class Intake:
    """Reads the site's blocks and announcements for as long as it runs. `arrived` is called when the feed has more."""

    def __init__(self, broker: BrokerAddress, site: str, feed: Feed, arrived: Callable[[], None]) -> None:
        self._broker = broker
        self._site = site
        self._feed = feed
        self._arrived = arrived
        self._complaints: set[str] = set()
        self._connection: BrokerConnection | None = None
        self._unacknowledged: int | None = None
        self._since_ack = 0
        self.state = Dependency(state="unknown", detail="RabbitMQ has not been reached yet.")

    async def run(self) -> Never:
        """Connect and read, again and again, until cancelled."""
        await keep_connected(self._broker, self._session, self._down)

    async def _session(self) -> None:
        connection = BrokerConnection(self._broker)
        # One queue for both, so that an announcement keeps its place among the blocks.
        keys = (f"fiber.{self._site}.*", announcement_key(self._site))
        self._connection = connection
        try:
            await connection.open()
            take = partial(self._take, connection)
            await connection.consume(f"analyzer.{self._site}", _QUEUE_ARGUMENTS, keys, _PREFETCH, take)
            self._up()
            while not await connection.wait_lost(_ACK_WITHIN_S):
                await self._acknowledge()
                raise_if_cancelled()
        finally:
            self._connection = None
            self._unacknowledged = None
            await connection.close()

    async def _take(self, connection: BrokerConnection, message: DeliveredMessage) -> None:
        if self._connection is not connection:
            return  # it will be delivered again
        try:
            self._read(message)
        except BlockError as error:
            self._complain(str(error))
        self._unacknowledged = message.delivery_tag
        self._since_ack += 1
        if self._since_ack >= _ACK_EVERY:
            await self._acknowledge()

    def _read(self, message: DeliveredMessage) -> None:
        now_s = time.monotonic()
        key = message.routing_key or ""
        if key == announcement_key(self._site):
            announcement = FiberAnnouncement.from_json(message.body)
            if announcement.number_of_channels > MAX_CHANNELS:
                raise BlockError(
                    f"A fibre of {announcement.number_of_channels} channels is announced; {MAX_CHANNELS} can be used."
                )
            self._feed.announced(announcement, now_s)
            self._arrived()
        elif self._feed.arrived(decode(key, message.header.properties.headers or {}, message.body), now_s):
            self._arrived()

    async def _acknowledge(self) -> None:
        """Acknowledge everything up to the newest message that was read, at once."""
        tag, self._unacknowledged = self._unacknowledged, None
        self._since_ack = 0
        if tag is not None and self._connection is not None:
            with suppress(*LOST):
                await self._connection.acknowledge(tag, multiple=True)

    def _complain(self, complaint: str) -> None:
        """Say once what is wrong with messages, not for every one of them."""
        if complaint not in self._complaints and len(self._complaints) < 100:
            self._complaints.add(complaint)
            _log.warning("message.refused", cause=complaint)

    def _up(self) -> None:
        self.state = Dependency(state="up", detail=f"RabbitMQ at {self._broker} is connected.")
        _log.info("rabbitmq.up", broker=str(self._broker))

    def _down(self, cause: str) -> None:
        detail = f"RabbitMQ at {self._broker} cannot be used: {cause}."
        if detail != self.state.detail:
            _log.warning("rabbitmq.down", broker=str(self._broker), cause=cause)
        self.state = Dependency(state="down", detail=detail)
