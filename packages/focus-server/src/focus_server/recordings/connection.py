"""The connection to MongoDB: every question has a deadline, and every failure becomes one sentence."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import pymongo
import structlog
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from focus_server.contract import Dependency
from focus_server.errors import CatalogueDown
from focus_server.recordings.address import MongoAddress, explain
from focus_server.recordings.document import Document

_log = structlog.get_logger()

ANSWER_S: Final = 1.5
"""For commands that belong together."""
_MARGIN_S: Final = 0.3
"""After the deadline, for what the driver does not end by itself; a cancellation would cost it a socket."""
_LEAST_S: Final = 0.02
_LOST_LOCK: Final = "Lock is not acquired"
"""What the driver says when a cancellation came in the very moment in which it gave up a wait, until Python 3.12."""
_CLOSE_S: Final = 0.3
_AT_ONCE: Final = 16
"""Questions that are asked at once; others wait for their turn, within their deadline."""
_UNLIMITED: Final = 1_000_000
"""The driver never waits for a turn itself: a wait that is cut off may keep its turn for ever, until Python 3.12."""


class Connection:
    """One database of a MongoDB server, as an asynchronous context manager; entering it asks nothing yet."""

    def __init__(self, address: MongoAddress, answer_s: float = ANSWER_S) -> None:
        self.address = address
        self._answer_s = answer_s
        self._client: AsyncMongoClient[Document] | None = None
        self._closing: set[asyncio.Task[bool]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._state = Dependency(state="unknown", detail="MongoDB has not been asked yet.")

    async def __aenter__(self) -> Self:
        self._client = self._made()
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is not None and not await _closed(client):
            await _closed(client)  # what the first one could not tell a server that hangs, this one does not try again
        if self._closing:
            await asyncio.wait(self._closing)

    @property
    def state(self) -> Dependency:
        """Tell what the last call found: `up`, `down`, or `unknown` before the first one."""
        return self._state

    @asynccontextmanager
    async def asking(self, answer_s: float | None = None) -> AsyncIterator[AsyncDatabase[Document]]:
        """Lend the database for commands that together get one deadline. Raises `CatalogueDown` when it is over.

        `answer_s` is another deadline, for a try that may fail: then the state stays as it was.
        """
        client = self._client
        if client is None:
            raise CatalogueDown("The catalogue is closed; nothing can be asked any more.")
        deadline_s = self._answer_s if answer_s is None else answer_s
        cancelled_before = _cancellations()
        try:
            async with asyncio.timeout(deadline_s + _MARGIN_S):
                until_s = time.monotonic() + deadline_s
                async with self._turns:
                    left_s = until_s - time.monotonic()
                    if left_s < _LEAST_S:  # it would only have to be cut off
                        raise TimeoutError
                    with pymongo.timeout(left_s):
                        yield client[self.address.database]
        except (PyMongoError, BSONError, TimeoutError, OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError):
                if str(error) != _LOST_LOCK:
                    raise
                self._renew(client)
            if answer_s is None:
                self._is("down", explain(error))
            _pass_on_cancellation(cancelled_before)
            raise CatalogueDown(explain(error)) from None
        _pass_on_cancellation(cancelled_before)
        self._is("up", "MongoDB answers.")

    def _made(self) -> AsyncMongoClient[Document]:
        ms = int(self._answer_s * 1000)
        logging.getLogger("pymongo.client").setLevel(logging.CRITICAL)  # what fails in its background is told here
        try:
            return AsyncMongoClient(
                self.address.url,
                appname="focus-server",
                tz_aware=True,
                datetime_conversion="DATETIME_AUTO",  # a date beyond the year 9999 must not spoil the whole answer
                unicode_decode_error_handler="replace",
                journal=True,  # what was written survives a kill of the server
                minPoolSize=1,  # made in the background, where a slow link has longer than one call may take
                maxPoolSize=_UNLIMITED,
                maxConnecting=_UNLIMITED,
                serverSelectionTimeoutMS=ms,
                connectTimeoutMS=ms,
                socketTimeoutMS=ms,
                timeoutMS=ms,
            )
        except PyMongoError as error:
            raise CatalogueDown(explain(error)) from None

    def _renew(self, lost: AsyncMongoClient[Document]) -> None:
        """Take another client: this one may wait for its lock for ever."""
        if self._client is lost:
            self._client = self._made()
            closing = asyncio.create_task(_closed(lost))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _is(self, state: str, detail: str) -> None:
        if state != self._state.state:
            _log.info(f"catalogue.{state}", mongodb=str(self.address), detail=detail)
        self._state = Dependency(state=state, detail=detail)


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _pass_on_cancellation(before: int) -> None:
    """Cancel again what was cancelled meanwhile: PyMongo uses `wait_for`, which may swallow that until Python 3.12."""
    if _cancellations() > before:
        raise asyncio.CancelledError


async def _closed(client: AsyncMongoClient[Document]) -> bool:
    """Close a client as far as that can be done in a moment; tell whether all of it was."""
    closing = asyncio.ensure_future(client.close())
    done, _ = await asyncio.wait({closing}, timeout=_CLOSE_S)
    if not done:
        closing.cancel()
        await asyncio.wait({closing}, timeout=_CLOSE_S)
    return closing.done() and not closing.cancelled() and closing.exception() is None
