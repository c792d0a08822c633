"""One connection to the broker: publications with confirms, a queue, an end that never waits for a broker that hangs.

aiormq is used directly, because the reconnecting connection of aio-pika hides outages, and because closing one politely
takes half a minute while the broker hangs: here the socket is ours and can be cut.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aiormq
from aiormq.abc import AbstractChannel, ConsumerCallback
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from pamqp.exceptions import PAMQPException
from yarl import URL

from focus_server.errors import SettingsError

EXCHANGE: Final = "prisma"
CONNECT_S: Final = 5.0
CONFIRM_S: Final = 15.0
"""A broker that confirms nothing for so long is taken for dead; a hang of a few seconds is waited for."""
CLOSE_S: Final = 0.5
HEARTBEAT_S: Final = 10

Properties = aiormq.spec.Basic.Properties

Binding = tuple[str, str]
"""An exchange and a key."""

LOST: Final = (AMQPError, PAMQPException, OSError, RuntimeError, StopAsyncIteration, TimeoutError)
"""What the library raises when a connection, its channel or its broker is gone."""


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


class _Streams(TransportFactory):
    """Opens the socket as the library would and remembers it."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self.writer = await factory.create(url, **kwargs)
        return reader, self.writer


class BrokerConnection:
    """A connection with one channel; whatever ends it, waiting publications raise one of `LOST`."""

    def __init__(self, address: BrokerAddress) -> None:
        self._streams = _Streams()
        self._connection = aiormq.Connection(
            URL(address.url).update_query(heartbeat=HEARTBEAT_S), transport_factory=self._streams
        )
        self._channel: AbstractChannel | None = None

    async def open(self) -> None:
        """Connect and declare the exchange, within five seconds."""
        with _cancellation_is_loss():
            async with asyncio.timeout(CONNECT_S):
                await self._connection.connect()
                self._channel = await self._connection.channel(publisher_confirms=True)
                await self._channel.exchange_declare(exchange=EXCHANGE, exchange_type="topic", durable=True)

    async def publish(self, routing_key: str, body: bytes, properties: Properties, exchange: str = EXCHANGE) -> None:
        """Publish and wait for the confirmation; publications are sent in the order in which they were begun."""
        channel = self._open_channel()
        with _cancellation_is_loss():
            await channel.basic_publish(
                body, exchange=exchange, routing_key=routing_key, properties=properties, timeout=CONFIRM_S
            )

    async def consume(
        self, queue: str, arguments: Mapping[str, Any], keys: Iterable[str], prefetch: int, take: ConsumerCallback
    ) -> None:
        """Declare a durable queue, bind it to the exchange and read it; `take` gets each message, in order."""
        await self.declare_queue(queue, arguments, [(EXCHANGE, key) for key in keys])
        await self.read(queue, prefetch, take)

    async def declare_exchange(
        self, name: str, arguments: Mapping[str, Any] | None = None, bindings: Iterable[Binding] = ()
    ) -> None:
        """Declare a durable topic exchange that gets what others have for these keys."""
        channel = self._open_channel()
        with _cancellation_is_loss():
            async with asyncio.timeout(CONNECT_S):
                await channel.exchange_declare(
                    exchange=name, exchange_type="topic", durable=True, arguments=dict(arguments or {})
                )
                for source, key in bindings:
                    await channel.exchange_bind(destination=name, source=source, routing_key=key)

    async def declare_queue(self, name: str, arguments: Mapping[str, Any], bindings: Iterable[Binding]) -> None:
        """Declare a durable queue that gets what exchanges have for these keys."""
        channel = self._open_channel()
        with _cancellation_is_loss():
            async with asyncio.timeout(CONNECT_S):
                await channel.queue_declare(queue=name, durable=True, arguments=dict(arguments))
                for exchange, key in bindings:
                    await channel.queue_bind(queue=name, exchange=exchange, routing_key=key)

    async def read(self, queue: str, prefetch: int, take: ConsumerCallback) -> str:
        """Read a queue: `take` gets each message, in order. Give what the reading is known by."""
        channel = self._open_channel()
        with _cancellation_is_loss():
            async with asyncio.timeout(CONNECT_S):
                await channel.basic_qos(prefetch_count=prefetch)
                consuming = await channel.basic_consume(queue, take)
        return consuming.consumer_tag or ""

    async def delete_queue(self, queue: str, reading: str | None) -> None:
        """Delete a queue with all that waits in it, and end its reading; one that is gone already is no error."""
        channel = self._open_channel()
        with _cancellation_is_loss():
            async with asyncio.timeout(CONNECT_S):
                if reading is not None:
                    await channel.basic_cancel(reading)
                await channel.queue_delete(queue=queue)

    async def waiting(self, queue: str) -> int:
        """Return how many messages wait in a queue; a queue that is gone ends the connection's channel."""
        with _cancellation_is_loss():
            async with asyncio.timeout(CONFIRM_S):
                declared = await self._open_channel().queue_declare(queue=queue, passive=True)
        return declared.message_count or 0

    async def acknowledge(self, delivery_tag: int, *, multiple: bool) -> None:
        """Acknowledge a message, or all up to it; a broker that hangs is not waited for."""
        with _cancellation_is_loss():
            await self._open_channel().basic_ack(delivery_tag, multiple=multiple, wait=False)

    async def wait_lost(self, timeout: float) -> bool:
        """Wait until the connection or its channel is closed, by whomever, at most `timeout` seconds."""
        closing = (self._connection.closing, self._open_channel().closing)
        done, _ = await asyncio.wait(closing, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    def _open_channel(self) -> AbstractChannel:
        if self._channel is None:
            raise ConnectionError("the connection is not open")
        return self._channel

    def pause(self, seconds: float) -> None:
        """Read nothing for a while: what comes meanwhile waits with the broker."""
        writer = self._streams.writer
        transport = None if writer is None else writer.transport
        if not isinstance(transport, asyncio.Transport) or transport.is_closing():
            return
        transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, transport.resume_reading)

    async def close(self) -> None:
        """Close politely, and cut the socket when the broker does not answer at once."""
        closing = asyncio.ensure_future(self._connection.close())
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_S)
        if not done and self._streams.writer is not None:
            self._streams.writer.transport.abort()
            await asyncio.wait({closing}, timeout=CLOSE_S)
        if closing.done():
            with suppress(*LOST, asyncio.CancelledError):
                closing.result()


@contextmanager
def _cancellation_is_loss() -> Iterator[None]:
    """Tell the library's own cancellations, by which it ends waits on a dead connection, from those of this task."""
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise ConnectionError("the connection was closed while it was used") from None


def is_cancelled() -> bool:
    """Say whether this task was asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def raise_if_cancelled() -> None:
    """End this task when it was asked to end: a library may have ended the cancelled wait as if nothing were."""
    if is_cancelled():
        raise asyncio.CancelledError
