"""From the broker to the feed: a named queue that outlives this process for a minute, and our own reconnecting.

The library's own reconnecting connection is not used, because it hides the outage that clients must be told about.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Never

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from focus_server.analyzer.feed import Feed
from focus_server.contract import MAX_CHANNELS, Dependency
from focus_server.errors import BlockError
from focus_server.fiber import FiberAnnouncement, announcement_key, decode
from focus_server.fiber.broker import CONNECT_S, EXCHANGE, LOST, BrokerAddress

_log = structlog.get_logger()

_PREFETCH: Final = 1000
"""Messages on their way; unacknowledged ones do not count towards the queue's limit."""
_ACK_EVERY: Final = 50
_ACK_WITHIN_S: Final = 0.2
_HEARTBEAT_S: Final = 10
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_CLOSE_S: Final = 1.0
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
        self._unacknowledged: AbstractIncomingMessage | None = None
        self._since_ack = 0
        self.state = Dependency(state="unknown", detail="RabbitMQ has not been reached yet.")

    async def run(self) -> Never:
        """Connect and read, again and again, until cancelled."""
        pause_s = _FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            try:
                await self._session()
                cause = "the connection ended"
            except LOST as error:
                cause = self._broker.explain(error)
            except asyncio.CancelledError:
                # The library cancels waits on a dead connection, as if we had.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                cause = "the connection was lost"
            if time.monotonic() - began_s > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            self._down(cause)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _session(self) -> None:
        connection = await aio_pika.connect(self._broker.url, timeout=CONNECT_S, heartbeat=_HEARTBEAT_S)
        try:
            async with asyncio.timeout(CONNECT_S):
                channel = await connection.channel(publisher_confirms=False)
                await self._consume(channel)
            self._up()
            await self._until_lost(channel)
        finally:
            self._unacknowledged = None
            with suppress(*LOST):
                async with asyncio.timeout(_CLOSE_S):
                    await connection.close()

    async def _consume(self, channel: AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=_PREFETCH)
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(f"analyzer.{self._site}", durable=True, arguments=_QUEUE_ARGUMENTS)
        # One queue for both, so that an announcement keeps its place among the blocks.
        await queue.bind(exchange, f"fiber.{self._site}.*")
        await queue.bind(exchange, announcement_key(self._site))
        await queue.consume(self._take)

    async def _until_lost(self, channel: AbstractChannel) -> None:
        """Wait until the channel is closed, by whomever; acknowledge meanwhile what is left over."""
        closed = asyncio.ensure_future(channel.closed())
        try:
            while not closed.done():
                await asyncio.wait((closed,), timeout=_ACK_WITHIN_S)
                await self._acknowledge()
        finally:
            closed.cancel()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        try:
            self._read(message)
        except BlockError as error:
            self._complain(str(error))
        self._unacknowledged = message
        self._since_ack += 1
        if self._since_ack >= _ACK_EVERY:
            await self._acknowledge()

    def _read(self, message: AbstractIncomingMessage) -> None:
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
        elif self._feed.arrived(decode(key, message.headers, message.body), now_s):
            self._arrived()

    async def _acknowledge(self) -> None:
        """Acknowledge everything up to the newest message that was read, at once."""
        message, self._unacknowledged = self._unacknowledged, None
        self._since_ack = 0
        if message is not None:
            with suppress(*LOST):
                await message.ack(multiple=True)

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
