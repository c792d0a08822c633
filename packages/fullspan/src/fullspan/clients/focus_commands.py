"""Commands to running jobs over AMQP, from a publisher of its own; each is confirmed by the broker."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import aio_pika
import aio_pika.exceptions
import anyio
from aio_pika.abc import AbstractConnection, AbstractExchange
from anyio.from_thread import start_blocking_portal

from fullspan.amqp import connect
from fullspan.clients.errors import OutcomeUnknown, Unreachable

CONFIRM_S: Final = 5.0
_CLOSE_S: Final = 0.5
_LOST: Final = (
    OSError,
    EOFError,
    TimeoutError,
    aio_pika.exceptions.AMQPError,
    aio_pika.exceptions.ChannelInvalidStateError,
)

Colormap = Literal["parula", "grayscale", "jet", "viridis"]


class AsyncFocusCommands:
    """Sends commands through the broker at `amqp_url`. A command without a job id is for the only job that lives.

    What a command does to its job shows in the job's metadata; a command that is refused lands in the dead letters.
    """

    def __init__(self, amqp_url: str, exchange: str = "prisma") -> None:
        self._url = amqp_url
        self._exchange_name = exchange
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def __aenter__(self) -> Self:
        try:
            with anyio.fail_after(CONFIRM_S):
                self._connection = await connect(self._url)
                channel = await self._connection.channel(on_return_raises=True)
                self._exchange = await channel.get_exchange(self._exchange_name)
        except _LOST as error:
            await self.aclose()
            raise Unreachable(f"{self._where} cannot be used ({_words(error)})") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, without waiting long for a broker that hangs."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                await connection.close()

    async def roi(self, start: int, end: int, job_id: str | None = None) -> None:
        """Show other channels, both included; 0 is taken as 1."""
        await self.command("roi", {"start": start, "end": end}, job_id)

    async def caxis(self, low_db: float, high_db: float, job_id: str | None = None) -> None:
        """Draw amplitudes from `low_db` to `high_db`."""
        await self.command("caxis", {"min": low_db, "max": high_db}, job_id)

    async def colormap(self, name: Colormap, job_id: str | None = None) -> None:
        """Draw with another table of colours."""
        await self.command("colormap", {"colormap": name}, job_id)

    async def keepalive(self, source: str, job_id: str | None = None) -> None:
        """Say that somebody, named `source`, still wants the job although nobody watches."""
        await self.command("keepalive", {"source": source}, job_id)

    async def input_changed(self, metadata: Mapping[str, Any], job_id: str | None = None) -> None:
        """Say that the source of the fibre is another one now."""
        await self.command("input_changed", {"metadata": metadata}, job_id)

    async def monitor_queues(self, job_id: str | None = None) -> None:
        """Let the analyzer write the figures of the job's queues to its log."""
        await self.command("monitor_queues", {}, job_id)

    async def command(self, name: str, document: Mapping[str, Any], job_id: str | None = None) -> None:
        """Send any command."""
        key = name if job_id is None else f"{job_id}.{name}"
        await self.raw(key, json.dumps(document).encode())

    async def raw(self, routing_key: str, body: bytes) -> None:
        """Send a message as it is; returns when the broker has put it into a queue.

        Raises `Unreachable` when no queue takes it, `OutcomeUnknown` when the broker does not confirm it.
        """
        if self._exchange is None:
            raise RuntimeError("the commands are not open: enter their context first")
        persistent = aio_pika.DeliveryMode.PERSISTENT
        message = aio_pika.Message(body, content_type="application/json", delivery_mode=persistent)
        try:
            with anyio.fail_after(CONFIRM_S):
                await self._exchange.publish(message, routing_key, mandatory=True)
        except (aio_pika.exceptions.DeliveryError, aio_pika.exceptions.PublishError):
            raise Unreachable(f"nobody listens for the command {routing_key} on {self._where}") from None
        except _LOST as error:
            words = _words(error)
            raise OutcomeUnknown(
                f"the command {routing_key} was sent to {self._where}, not confirmed ({words})"
            ) from None

    @property
    def _where(self) -> str:
        parts = urlsplit(self._url)
        return f"the exchange {self._exchange_name} of the broker at {parts.hostname}:{parts.port or 5672}"


class FocusCommands:
    """The same commands for code that blocks; a thread of its own keeps the connection."""

    def __init__(self, amqp_url: str, exchange: str = "prisma") -> None:
        self._commands = AsyncFocusCommands(amqp_url, exchange)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._portal = self._stack.enter_context(start_blocking_portal())
        try:
            self._stack.enter_context(self._portal.wrap_async_context_manager(self._commands))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and end its thread."""
        self._stack.close()

    def roi(self, start: int, end: int, job_id: str | None = None) -> None:
        """Show other channels, both included; 0 is taken as 1."""
        self._portal.call(self._commands.roi, start, end, job_id)

    def caxis(self, low_db: float, high_db: float, job_id: str | None = None) -> None:
        """Draw amplitudes from `low_db` to `high_db`."""
        self._portal.call(self._commands.caxis, low_db, high_db, job_id)

    def colormap(self, name: Colormap, job_id: str | None = None) -> None:
        """Draw with another table of colours."""
        self._portal.call(self._commands.colormap, name, job_id)

    def keepalive(self, source: str, job_id: str | None = None) -> None:
        """Say that somebody, named `source`, still wants the job although nobody watches."""
        self._portal.call(self._commands.keepalive, source, job_id)

    def input_changed(self, metadata: Mapping[str, Any], job_id: str | None = None) -> None:
        """Say that the source of the fibre is another one now."""
        self._portal.call(self._commands.input_changed, metadata, job_id)

    def monitor_queues(self, job_id: str | None = None) -> None:
        """Let the analyzer write the figures of the job's queues to its log."""
        self._portal.call(self._commands.monitor_queues, job_id)

    def command(self, name: str, document: Mapping[str, Any], job_id: str | None = None) -> None:
        """Send any command."""
        self._portal.call(self._commands.command, name, document, job_id)

    def raw(self, routing_key: str, body: bytes) -> None:
        """Send a message as it is; returns when the broker has put it into a queue."""
        self._portal.call(self._commands.raw, routing_key, body)


def _words(error: BaseException) -> str:
    """Say what happened without what the library knows of the URL."""
    return f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
