"""Delivery of the outbox to the broker: in order, with publisher confirms and many messages in flight.

A message leaves the outbox only when the broker confirmed it. When the connection is lost, refuses a message or stays
silent, it is dropped, everything unconfirmed is queued again, and a new connection sends it before anything new.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final, Never

from structlog.typing import FilteringBoundLogger

from focus_server.fiber.announcement import PERIOD_S, FiberAnnouncement, announcement_key
from focus_server.fiber.blocks import Message
from focus_server.fiber.broker import LOST, BrokerAddress, BrokerConnection, Properties, is_cancelled
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.segment import Entry

MAX_IN_FLIGHT: Final = 1000
MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
RETRY_S: Final = 0.25
PERSISTENT: Final = 2


class Publisher:
    """Sends what is in the outbox for as long as it runs, whatever the broker does; `confirmed` counts blocks."""

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
            cause: BaseException = ConnectionError("the connection ended")
            try:
                await self._session()
            except* LOST as group:
                cause = first_cause(group)
            if is_cancelled():  # the library may end a cancelled wait with an error of its own
                raise asyncio.CancelledError from cause
            self._complain(cause)
            repeated = self._outbox.rewind()
            if repeated:
                self._log.info("interrogator.rewound", blocks=repeated)
            await asyncio.sleep(RETRY_S)

    async def _session(self) -> None:
        """Live for one connection; ends only by an exception."""
        connection = BrokerConnection(self._broker)
        try:
            await connection.open()
            self._begin_session()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce(connection))
                await self._send_all(connection, tasks)
        finally:
            await connection.close()

    def _begin_session(self) -> None:
        self._complaint = ""
        self._backlog = self._outbox.waiting
        self._backlog_since = time.monotonic()
        self._log.info("interrogator.connected", broker=str(self._broker), backlog_blocks=self._backlog)

    async def _send_all(self, connection: BrokerConnection, tasks: asyncio.TaskGroup) -> Never:
        """Begin the publications in order; tasks start, and the channel sends, in the order of their making."""
        while True:
            while not self._may_send():
                self._wake.clear()
                await self._wake.wait()
            taken = self._outbox.take()
            if taken is not None:
                tasks.create_task(self._deliver(connection, *taken))

    def _may_send(self) -> bool:
        outbox = self._outbox
        has_room = outbox.in_flight < MAX_IN_FLIGHT and outbox.in_flight_bytes < MAX_IN_FLIGHT_BYTES
        return bool(outbox.unsent) and has_room

    async def _deliver(self, connection: BrokerConnection, entry: Entry, message: Message) -> None:
        properties = Properties(headers=dict(message.headers), delivery_mode=PERSISTENT)
        await connection.publish(message.routing_key, message.body, properties)
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
                self._log.info("interrogator.resent", seconds=round(time.monotonic() - self._backlog_since, 3))

    async def _announce(self, connection: BrokerConnection) -> Never:
        key = announcement_key(self._announcement.site)
        body = self._announcement.to_json()
        while True:
            properties = Properties(content_type="application/json", expiration=str(int(10_000 * PERIOD_S)))
            await connection.publish(key, body, properties)
            await asyncio.sleep(PERIOD_S)

    def _complain(self, error: BaseException) -> None:
        """Say once why there is no broker, not at every attempt."""
        cause = self._broker.explain(error)
        if cause != self._complaint:
            self._complaint = cause
            waiting = self._outbox.waiting
            self._log.warning("interrogator.disconnected", broker=str(self._broker), cause=cause, waiting=waiting)


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception in a group that is not itself a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
