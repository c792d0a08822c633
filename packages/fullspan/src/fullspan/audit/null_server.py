"""The null server: it takes every connection and does nothing useful, in one of three moods.

A test that is content with it in all three would be content with anything.
"""

import asyncio
import threading
from enum import StrEnum
from typing import Final, Self

__all__ = ["Mood", "NullServer"]

LONGEST: Final = 1_000_000
ANSWER: Final = (
    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
)
READ_S: Final = 5.0


class Mood(StrEnum):
    """What the server does with a request."""

    AGREES = "agrees to everything"
    FAILS = "fails at everything"
    HANGS_UP = "hangs up on everybody"


STATUS: Final = {Mood.AGREES: "200 OK", Mood.FAILS: "500 Internal Server Error"}


class NullServer:
    """Serves on a port of 127.0.0.1 from entering to leaving its context, in a thread of its own.

    HTTP is answered with an empty object, and 200 or 500; whatever else is said is hung up on. `asked` counts the
    connections that said anything, and a second port tells that number to whoever connects.
    """

    def __init__(self, mood: Mood) -> None:
        self.mood = mood
        self.asked = 0
        self.port = self.count_port = 0
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="null server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None  # noqa: S101 - set before it is ready
        assert self._stop is not None  # noqa: S101
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        count = await asyncio.start_server(self._tell, "127.0.0.1", 0)
        self.port, self.count_port = (one.sockets[0].getsockname()[1] for one in (server, count))
        self._ready.set()
        async with server, count:
            await self._stop.wait()

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.asked}\n".encode())
        writer.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_S):
                first = await reader.read(LONGEST)
                self.asked += bool(first)
                if self.mood in STATUS and b" HTTP/1." in first.partition(b"\r\n")[0]:
                    writer.write(ANSWER.format(status=STATUS[self.mood]).encode())
                    await writer.drain()
        except (OSError, TimeoutError):
            pass  # who goes away, or says nothing, has asked nothing
        finally:
            writer.close()
