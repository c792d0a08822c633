"""What passes an AMQP exchange: a queue of the hop's own, bound beside the real consumers."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import aio_pika
import aio_pika.exceptions
import anyio
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, FieldValue

from fullspan.amqp import CONNECT_S, connect
from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.ledger.record import Moment, Observation

__all__ = ["AmqpMessage", "AmqpTap"]

QUEUE_BYTES: Final = 64_000_000
RETRY_EVERY_S: Final = 0.2
CLOSE_S: Final = 0.5

_LOST = (OSError, EOFError, TimeoutError, aio_pika.exceptions.AMQPError)


@dataclass(frozen=True, slots=True)
class AmqpMessage:
    """One message as it was published."""

    routing_key: str
    headers: Mapping[str, object]
    body: bytes


class AmqpTap(BackgroundHop):
    """Sees the messages that an exchange routes to a pattern, by an exclusive queue of its own.

    `to_observation` is called in the background with each message and the moment of its arrival, and returns None for a
    message that does not matter. The queue holds at most `queue_bytes` and then drops its oldest messages, so a stalled
    tap never harms the broker. A lost connection is an interruption: the tap connects again, but what was published
    meanwhile it has not seen.
    """

    kind: ClassVar[str] = "amqp"

    def __init__(
        self,
        url: str,
        exchange: str,
        routing_key: str,
        to_observation: Callable[[AmqpMessage, Moment], Observation | None],
        name: str = "block",
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        super().__init__(name)
        self._url = url
        self._exchange = exchange
        self._routing_key = routing_key
        self._to_observation = to_observation
        self._queue_bytes = queue_bytes

    async def watch(self, ready: Callable[[], None]) -> None:
        """Look until cancelled, over as many connections as it takes."""
        while self.failed is None:
            try:
                await self._watch_connection(ready)
            except _LOST as error:
                self.interrupt(f"the connection to the broker is lost ({str(error) or type(error).__name__})")
                await anyio.sleep(RETRY_EVERY_S)  # the pace of new attempts, not a wait for something

    async def _watch_connection(self, ready: Callable[[], None]) -> None:
        over = anyio.Event()
        connection = await connect(self._url)
        connection.close_callbacks.add(lambda *_: over.set())
        try:
            with anyio.fail_after(CONNECT_S):
                await self._subscribe(connection, over)
            self.go_on()
            ready()
            await over.wait()
            if self.failed is None:
                raise ConnectionResetError("closed by the broker")
        finally:
            await _close(connection)

    async def _subscribe(self, connection: AbstractConnection, over: anyio.Event) -> None:
        async def receive(message: AbstractIncomingMessage) -> None:
            moment = Moment.now()
            seen = AmqpMessage(message.routing_key or "", message.headers, message.body)
            if not self.take_in(self._observations, seen, moment):
                over.set()

        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(lambda *_: over.set())
        limit: dict[str, FieldValue] = {"x-max-length-bytes": self._queue_bytes, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=limit)
        await queue.bind(self._exchange, self._routing_key)
        # Without acknowledgements nothing waits in the broker for a tap that was stopped, and its limit always holds.
        await queue.consume(receive, no_ack=True)

    def _observations(self, message: AmqpMessage, moment: Moment) -> Iterable[Observation]:
        observation = self._to_observation(message, moment)
        return () if observation is None else (observation,)


async def _close(connection: AbstractConnection) -> None:
    """Say goodbye to the broker, but never wait long for an answer: it may hang."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S), contextlib.suppress(*_LOST):
        await connection.close()
