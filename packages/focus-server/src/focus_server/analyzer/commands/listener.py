"""The loop that reads commands: one after the other, acknowledged when obeyed, or laid aside when they cannot be."""

import asyncio
from contextlib import suppress
from typing import Final, Never

import structlog
from aiormq.abc import DeliveredMessage

from focus_server.analyzer.commands.command import MOST_BYTES, read_command
from focus_server.analyzer.commands.orders import Orders
from focus_server.analyzer.commands.post import Post
from focus_server.analyzer.jobs import Jobs
from focus_server.errors import CommandError, FocusError
from focus_server.fiber.broker import BrokerAddress, BrokerConnection, raise_if_cancelled
from focus_server.fiber.reconnect import keep_connected

_log = structlog.get_logger()

_LOOK_S: Final = 0.1
"""How often jobs are looked at that began or ended."""
_ANNOUNCEMENTS: Final = "metadata."
"""Keys that begin so belong to the fibre, whatever its site is called."""


class CommandListener:
    """Reads the commands of a site for as long as it runs. None of them, and no defect in obeying one, ends it."""

    def __init__(self, broker: BrokerAddress, site: str, jobs: Jobs, orders: Orders) -> None:
        self._broker = broker
        self._site = site
        self._jobs = jobs
        self._orders = orders
        self._cause = ""

    async def run(self) -> Never:
        """Connect and read, again and again, until cancelled."""
        await keep_connected(self._broker, self._session, self._down)

    async def _session(self) -> None:
        connection = BrokerConnection(self._broker)
        messages: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        post = Post(connection, self._site, messages.put)
        try:
            await connection.open()
            await post.open()
            self._cause = ""
            _log.info("commands.up", broker=str(self._broker))
            while not await connection.wait_lost(0):
                await post.match(job.record for job in self._jobs.living())
                message = await _next(messages)
                if message is not None:
                    await self._handle(post, message)
                    await connection.acknowledge(message.delivery_tag or 0, multiple=False)
                raise_if_cancelled()
        finally:
            await connection.close()

    async def _handle(self, post: Post, message: DeliveredMessage) -> None:
        key, body = message.routing_key or "", message.body
        if key.startswith(_ANNOUNCEMENTS):
            return
        log = _log.bind(job=key.rpartition(".")[0] or None, key=key)
        try:
            await self._orders.obey(read_command(key, body))
        except CommandError as error:
            reason, detail = error.reason, str(error)
        except FocusError as error:
            log.error("command.not_saved", cause=str(error))
            reason, detail = "failed", "It is in force, but could not be written to disk; the analyzer's log says why."
        except Exception as defect:
            log.error("command.failed", exc_info=defect)
            reason, detail = "failed", "The analyzer failed at this command; its log says why."
        else:
            return
        log.warning("command.dead", reason=reason, detail=detail)
        await post.bury(key, message.exchange or "", body[:MOST_BYTES], reason, detail)

    def _down(self, cause: str) -> None:
        """Say once why no commands come, not at every attempt."""
        if cause != self._cause:
            self._cause = cause
            _log.warning("commands.down", broker=str(self._broker), cause=cause)


async def _next(messages: asyncio.Queue[DeliveredMessage]) -> DeliveredMessage | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_S):
            return await messages.get()
    return None
