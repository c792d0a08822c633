"""The double: a small streaming system of real processes, whose stages go wrong on order.

Each stage is a process that reads lines from the stage before over TCP and sends them to all who ask. The first one
makes streams of records when told to. The first line that a client sends says what it wants, and is answered with `OK`:

WATCH                            all that passes from then on
SHOWN STREAM                     what passed so far of a stream
LOOK STREAM                      the newest record of it, and whether that is STALE or FRESH, as a view shows it
PLANT STREAM BEHAVIOUR           that the stage goes wrong with a stream
START STREAM COUNT INTERVAL_S    a new stream (this and the following: of the first stage only)
PUT STREAM SEQ DUE_NS            one record of a stream that somebody else makes
END STREAM COUNT                 its end

A stage that loses its source connects again; what was sent meanwhile it has missed, as anything does that is not built
to survive.
"""

import argparse
import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine, Sequence
from typing import Final

from fullspan.selftest.behaviours import BEHAVIOURS, Behaviour, Sent
from fullspan.selftest.line import Line

__all__ = ["Stage", "main"]

AGAIN_S: Final = 0.02
MOST_WAITING: Final = 4_000_000  # bytes that one client may leave unread


class Stage:
    """One stage: its streams with their behaviours, and who listens to it."""

    def __init__(self, upstream: tuple[str, int] | None) -> None:
        self._upstream = upstream
        self._planted: dict[str, Behaviour] = {}
        self._called: set[tuple[str, int]] = set()
        self._queues: dict[str, asyncio.Queue[Line]] = {}
        self._shown: dict[str, list[bytes]] = {}
        self._newest: dict[str, Line] = {}
        self._watchers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, port: int) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._client, "127.0.0.1", port)
        if self._upstream is not None:
            self._begin(self._follow(*self._upstream))
        async with server:
            await server.serve_forever()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            words = (await reader.readline()).decode().split()
            if words[:1] == ["WATCH"]:
                self._watchers.add(writer)
                writer.write(b"OK\n")
                await reader.read()
                return
            if words[:1] == ["PLANT"]:
                self._planted[words[1]] = BEHAVIOURS[words[2]]()
            elif words[:1] == ["SHOWN"]:
                writer.writelines(self._shown.get(words[1], []))
            elif words[:1] == ["LOOK"]:
                writer.writelines(self._look(words[1]))
            elif words[:1] == ["START"] and self._upstream is None:
                self._begin(self._make(words[1], int(words[2]), float(words[3])))
            elif words[:1] == ["PUT"] and self._upstream is None:
                if not self._put(Line.right(words[1], int(words[2]), int(words[3]))):
                    return
            elif words[:1] == ["END"] and self._upstream is None:
                self._take(Line(words[1], int(words[2]), time.time_ns(), 0.0, "", end=True))
            writer.write(b"OK\n" if words else b"")
            await writer.drain()
        except (ConnectionError, KeyError, IndexError, ValueError) as error:
            with contextlib.suppress(ConnectionError):
                writer.write(f"NO {error!r}\n".encode())
        finally:
            self._watchers.discard(writer)
            writer.close()

    async def _make(self, stream: str, count: int, interval_s: float) -> None:
        """Send a stream's records, each when it is due, and the mark of its end."""
        began_ns = time.time_ns() + round(interval_s * 1e9)
        for seq in range(count):
            due_ns = began_ns + round(seq * interval_s * 1e9)
            await asyncio.sleep(max(0.0, (due_ns - time.time_ns()) / 1e9))
            self._take(Line.right(stream, seq, due_ns))
        self._take(Line(stream, count, time.time_ns(), 0.0, "", end=True))

    def _put(self, line: Line) -> bool:
        """Take a call in, or not, as the stream's behaviour is; tell whether it is answered."""
        behaviour = self._planted.get(line.stream) or Behaviour()
        again = (line.stream, line.seq) in self._called
        if behaviour.takes(line.seq, again):
            self._called.add((line.stream, line.seq))
            self._take(line)
        return behaviour.answers(line.seq)

    def _look(self, stream: str) -> list[bytes]:
        """Show the newest record of a stream, and say whether it is old; nothing when there is none yet."""
        newest = self._newest.get(stream)
        if newest is None:
            return []
        age_s = (time.time_ns() - newest.due_ns) / 1e9
        stale = (self._planted.get(stream) or Behaviour()).is_called_stale(age_s)
        return [newest.to_json(), b"STALE\n" if stale else b"FRESH\n"]

    async def _follow(self, host: str, port: int) -> None:
        """Read what the stage before sends, over as many connections as it takes."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(b"WATCH\n")
                    await reader.readline()
                    while (line := await reader.readline()).endswith(b"\n"):
                        self._take(Line.from_json(line))
                finally:
                    writer.close()
            await asyncio.sleep(AGAIN_S)  # the pace of new attempts, not a wait for something

    def _take(self, line: Line) -> None:
        if line.stream not in self._queues:
            self._queues[line.stream] = asyncio.Queue()
            self._begin(self._pass_on(line.stream, self._queues[line.stream]))
        self._queues[line.stream].put_nowait(line)

    async def _pass_on(self, stream: str, queue: asyncio.Queue[Line]) -> None:
        """Send one stream on, as its behaviour is."""
        behaviour = self._planted.get(stream) or Behaviour()
        while not (line := await queue.get()).end:
            await self._send(behaviour.take(line))
        await self._send(behaviour.close())
        self._tell(line)
        del self._queues[stream]

    async def _send(self, sent: Sent) -> None:
        for wait_s, line in sent:
            if wait_s:
                await asyncio.sleep(wait_s)
            self._tell(line)

    def _tell(self, line: Line) -> None:
        data = line.to_json()
        self._shown.setdefault(line.stream, []).append(data)
        if not line.end:
            self._newest[line.stream] = line
        for writer in list(self._watchers):
            if writer.transport.get_write_buffer_size() > MOST_WAITING:
                self._watchers.discard(writer)
                writer.transport.abort()
                continue
            writer.write(data)


def main(words: Sequence[str] | None = None) -> None:
    """Run one stage until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="One stage of the double that `fullspan selftest` plants defects in.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, help="the port of the stage before; without it this is the source")
    given = parser.parse_args(words)
    upstream = ("127.0.0.1", given.upstream) if given.upstream else None
    asyncio.run(_until_told(Stage(upstream).serve(given.port)))


async def _until_told(serving: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(serving)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    main()
