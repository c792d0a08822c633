"""One connection to an exchange: its frames, until it ends, hangs, or is not wanted any more."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

__all__ = ["Wire"]

_OPEN_S: Final = 10.0
_LARGEST_FRAME: Final = 2**19
_AT_ONCE: Final = 50
"""Frames that wait already are taken without a pause; after so many everything else has its turn: who falls behind
must still be able to ask for what is missing."""

OnFrame = Callable[[str | bytes, int], Awaitable[object]]
"""Takes a frame and when it came, microseconds since 1970."""


class Wire:
    """A connection to one address; `alive` is set by its first frame, `lasted` says for how long frames came."""

    def __init__(self, url: str, streams: tuple[str, ...], silence_s: float, on_frame: OnFrame) -> None:
        self.url = url
        self._address = f"{url.rstrip('/')}/stream?streams={'/'.join(streams)}"
        self._silence_s = silence_s
        self._on_frame = on_frame
        self.alive = asyncio.Event()
        self._first = self._last = 0.0

    @property
    def lasted(self) -> float:
        """Seconds from the first frame to the last one."""
        return self._last - self._first

    @property
    def name(self) -> str:
        """The address without anything that might be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'wss' else 80)}"

    async def run(self, opened: Callable[[], object]) -> str:
        """Read until it ends, and return why in a word: closed, lost, silent, unreachable or refused."""
        try:
            async with connect(
                self._address,
                open_timeout=_OPEN_S,
                close_timeout=1,
                ping_interval=None,  # the watchdog below sees more, and costs nothing
                max_size=_LARGEST_FRAME,
                max_queue=1024,
                proxy=None,
                compression=None,
            ) as connection:
                opened()
                return await self._read(connection)
        except (InvalidHandshake, InvalidURI):
            return "refused"
        except (OSError, TimeoutError):
            return "unreachable"

    async def _read(self, connection: ClientConnection) -> str:
        taken = 0
        while True:
            taken += 1
            if taken % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                async with asyncio.timeout(self._silence_s):
                    frame = await connection.recv()
            except TimeoutError:
                connection.transport.abort()  # there may be nobody to say goodbye to
                return "silent"
            except ConnectionClosed as error:
                return "closed" if error.rcvd is not None and error.rcvd.code in (1000, 1001) else "lost"
            received = time.time_ns() // 1000
            self._last = time.monotonic()
            if not self.alive.is_set():
                self._first = self._last
                self.alive.set()
            await self._on_frame(frame, received)
