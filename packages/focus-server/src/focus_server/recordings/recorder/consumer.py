"""The recorder's queue: read for as long as it runs, connected again after every outage, acknowledged by tag."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Never

import structlog
from aiormq.abc import DeliveredMessage

from focus_server.contract import MAX_CHANNELS
from focus_server.fiber import announcement_key, group_count
from focus_server.fiber.broker import LOST, BrokerAddress, BrokerConnection, raise_if_cancelled
from focus_server.fiber.grid import BLOCKS_PER_SECOND
from focus_server.fiber.reconnect import keep_connected
from focus_server.recordings.recorder.acks import Deliveries

__all__ = ["Consumer", "Take", "prefetch", "queue_name"]

_log = structlog.get_logger()

QUEUE_ARGUMENTS: Final[Mapping[str, Any]] = {"x-max-length-bytes": 4 * 2**30}
MAX_PREFETCH: Final = 65535
_LOOK_S: Final = 10.0

Take = Callable[[str, Mapping[str, Any], bytes, int], Sequence[int]]
"""Takes routing key, headers, body and delivery tag; gives the deliveries to acknowledge at once."""


def queue_name(site: str) -> str:
    """Return the name of a site's queue."""
    return f"recorder.{site}"


def prefetch(recording_s: int) -> int:
    """Return how many messages may be on their way unacknowledged: two open slots of the largest fibre, and more."""
    return min(MAX_PREFETCH, group_count(MAX_CHANNELS) * BLOCKS_PER_SECOND * recording_s * 2 + 1000)


class Consumer:
    """Reads a site's queue; `take` gets every message, `lost` is called when all deliveries became void.

    `connected_s` is since when (monotonic clock) the queue is read, None while it is not; `backlog` how many messages
    waited with the broker when it was asked last.
    """

    def __init__(
        self, broker: BrokerAddress, site: str, recording_s: int, take: Take, lost: Callable[[], None]
    ) -> None:
        self._broker = broker
        self._site = site
        self._prefetch = prefetch(recording_s)
        self._take = take
        self._lost = lost
        self._deliveries = Deliveries()
        self._connection: BrokerConnection | None = None
        self._complaint = ""
        self._was_ready = False
        self.connected_s: float | None = None
        self.backlog: int | None = None

    @property
    def unacknowledged(self) -> int:
        """Return how many deliveries wait for their acknowledgement."""
        return len(self._deliveries)

    async def run(self) -> Never:
        """Connect and read, again and again, until cancelled."""
        await keep_connected(self._broker, self._session, self._complain)

    async def _session(self) -> None:
        connection = BrokerConnection(self._broker)
        queue, keys = queue_name(self._site), (f"fiber.{self._site}.*", announcement_key(self._site))
        self._connection = connection
        try:
            await connection.open()
            await connection.consume(
                queue, QUEUE_ARGUMENTS, keys, self._prefetch, partial(self._on_message, connection)
            )
            self._up()
            while not await connection.wait_lost(_LOOK_S):
                self.backlog = await connection.waiting(queue)
                raise_if_cancelled()
        finally:
            self._connection = None
            self.connected_s = None
            self._deliveries = Deliveries()
            self._lost()
            await connection.close()

    async def _on_message(self, connection: BrokerConnection, message: DeliveredMessage) -> None:
        tag = message.delivery_tag
        if self._connection is not connection or tag is None:
            return
        self._deliveries.delivered(tag)
        headers = message.header.properties.headers or {}
        tags = self._take(message.routing_key or "", headers, message.body, tag)
        if tags:
            await self.acknowledge(tags)

    def pause(self, seconds: float) -> None:
        """Leave what comes with the broker for a while."""
        if self._connection is not None:
            self._connection.pause(seconds)

    async def acknowledge(self, tags: Iterable[int]) -> None:
        """Acknowledge deliveries; without a connection the broker delivers them again, and they are told again."""
        connection = self._connection
        if connection is None:
            return
        with suppress(*LOST):
            for tag, multiple in self._deliveries.settle(tags):
                await connection.acknowledge(tag, multiple=multiple)

    def _up(self) -> None:
        self._complaint = ""
        self.connected_s = time.monotonic()
        _log.info("rabbitmq.up", broker=str(self._broker))
        if not self._was_ready:
            self._was_ready = True
            _log.info("recorder.ready", site=self._site, queue=queue_name(self._site))

    def _complain(self, cause: str) -> None:
        """Say once why there is no broker, not at every attempt."""
        if cause != self._complaint:
            self._complaint = cause
            _log.warning("rabbitmq.down", broker=str(self._broker), cause=cause)
