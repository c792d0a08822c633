"""Delivery of the outbox to the broker: in order, with publisher confirms and many messages in flight.

A message leaves the outbox only when the broker confirmed it. When the connection is lost, refuses a message or stays
silent, it is dropped, everything unconfirmed is queued again, and a new connection sends it before anything new.
The library's own reconnecting connection is not used: it does not repeat publications, and it hides the outage.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Never
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AuthenticationError, ProbableAuthenticationError
from structlog.typing import FilteringBoundLogger

from focus_server.errors import SettingsError
from focus_server.fiber.announcement import PERIOD_S, FiberAnnouncement, announcement_key
from focus_server.fiber.blocks import Message
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.segment import Entry

EXCHANGE: Final = "prisma"
MAX_IN_FLIGHT: Final = 1000
MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
CONNECT_S: Final = 5.0
CONFIRM_S: Final = 15.0
"""A broker that confirms nothing for so long is taken for dead; a hang of a few seconds is waited for."""
CLOSE_S: Final = 1.0
RETRY_S: Final = 0.25
HEARTBEAT_S: Final = 10

LOST: Final = (*CONNECTION_EXCEPTIONS, TimeoutError)


class BrokerAddress:
    """An AMQP URL whose credentials never reach a log: it shows itself as host and port."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise SettingsError("The setting amqp_url is not of the form amqp://USER:PASSWORD@HOST:PORT/VHOST.")
        self.url = url
        self._password = parts.password
        self._shown = f"{parts.hostname}:{port or (5671 if parts.scheme == 'amqps' else 5672)}"

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"BrokerAddress({self._shown})"

    def explain(self, error: BaseException) -> str:
        """Say in one line why the broker cannot be used, without credentials."""
        if isinstance(error, (AuthenticationError, ProbableAuthenticationError)):
            return "the broker refuses the user or the password"
        if isinstance(error, TimeoutError):
            return "no answer in time"
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return text.replace(self._password, "********") if self._password else text


class Publisher:
    """Sends what is in the outbox for as long as it runs, whatever the broker does."""

    def __init__(
        self, broker: BrokerAddress, outbox: Outbox, announcement: FiberAnnouncement, log: FilteringBoundLogger
    ) -> None:
        self._broker = broker
        self._outbox = outbox
        self._announcement = announcement
        self._log = log
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._complaint = ""
        self._backlog = 0
        self._backlog_since = 0.0
        self.confirmed = 0

    def notify(self) -> None:
        """Say that there is something new in the outbox."""
        self._wake.set()

    async def wait_empty(self, timeout: float) -> bool:
        """Wait until everything is confirmed, at most `timeout` seconds; say whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._outbox.waiting:
                    self._emptied.clear()
                    await self._emptied.wait()
        return not self._outbox.waiting

    async def run(self) -> Never:
        """Connect and deliver, again and again, until cancelled."""
        while True:
            try:
                with _cancellation_is_loss():
                    await self._session()
            except* LOST as group:
                self._complain(first_cause(group))
            repeated = self._outbox.rewind()
            if repeated:
                self._log.info("interrogator.rewound", blocks=repeated)
            await asyncio.sleep(RETRY_S)

    async def _session(self) -> None:
        """Live for one connection; ends only by an exception."""
        connection = await aio_pika.connect(self._broker.url, timeout=CONNECT_S, heartbeat=HEARTBEAT_S)
        try:
            async with asyncio.timeout(CONNECT_S):
                channel = await connection.channel(publisher_confirms=True)
                exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
            self._begin_session()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce(exchange))
                await self._send_all(exchange, tasks)
        finally:
            await self._close(connection)

    def _begin_session(self) -> None:
        self._complaint = ""
        self._backlog = self._outbox.waiting
        self._backlog_since = time.monotonic()
        self._log.info("interrogator.connected", broker=str(self._broker), backlog_blocks=self._backlog)

    async def _send_all(self, exchange: AbstractExchange, tasks: asyncio.TaskGroup) -> Never:
        """Start the publications in order; the library's channel lock keeps the order in which they start."""
        while True:
            while not self._may_send():
                self._wake.clear()
                await self._wake.wait()
            taken = self._outbox.take()
            if taken is not None:
                tasks.create_task(self._deliver(exchange, *taken))

    def _may_send(self) -> bool:
        outbox = self._outbox
        has_room = outbox.in_flight < MAX_IN_FLIGHT and outbox.in_flight_bytes < MAX_IN_FLIGHT_BYTES
        return bool(outbox.unsent) and has_room

    async def _deliver(self, exchange: AbstractExchange, entry: Entry, message: Message) -> None:
        sent = aio_pika.Message(
            message.body, headers=dict(message.headers), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await _publish(exchange, sent, message.routing_key)
        self._outbox.confirm(entry)
        self._count_confirmed()

    def _count_confirmed(self) -> None:
        self.confirmed += 1
        self._wake.set()
        if not self._outbox.waiting:
            self._emptied.set()
        if self._backlog:
            self._backlog -= 1
            if not self._backlog:
                took = round(time.monotonic() - self._backlog_since, 3)
                self._log.info("interrogator.resent", seconds=took, detail="the backlog is confirmed")

    async def _announce(self, exchange: AbstractExchange) -> Never:
        key = announcement_key(self._announcement.site)
        body = self._announcement.to_json()
        while True:
            message = aio_pika.Message(body, content_type="application/json", expiration=10 * PERIOD_S)
            await _publish(exchange, message, key)
            await asyncio.sleep(PERIOD_S)

    def _complain(self, error: BaseException) -> None:
        """Say once why there is no broker, not at every attempt."""
        cause = self._broker.explain(error)
        if cause != self._complaint:
            self._complaint = cause
            waiting = self._outbox.waiting
            self._log.warning("interrogator.disconnected", broker=str(self._broker), cause=cause, waiting=waiting)

    async def _close(self, connection: AbstractConnection) -> None:
        with suppress(*LOST):
            async with asyncio.timeout(CLOSE_S):
                await connection.close()


async def _publish(exchange: AbstractExchange, message: aio_pika.Message, key: str) -> None:
    with _cancellation_is_loss():
        await exchange.publish(message, key, mandatory=False, timeout=CONFIRM_S)


@contextmanager
def _cancellation_is_loss() -> Iterator[None]:
    """Tell the library's own cancellations, by which it ends waits on a dead connection, from those of this task."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the connection was closed while it was used") from None


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception in a group that is not itself a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
