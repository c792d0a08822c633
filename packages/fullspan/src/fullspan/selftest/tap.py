"""What a stage of the double sends: the hop is one more who listens to it."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar, Final
from urllib.parse import urlsplit

import anyio

from fullspan.errors import StackError
from fullspan.ledger import Moment, Observation
from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.selftest.line import Line, right_value

__all__ = ["AMOUNT", "WATERMARK", "LineTap", "call", "observation_of", "tell"]

AGAIN_S: Final = 0.02
ANSWER_S: Final = 10.0
AMOUNT: Final = "amount"
WATERMARK: Final = "watermark_ns"


class LineTap(BackgroundHop):
    """Sees every line that a stage sends.

    `seen` counts the records of each stream, `ended` holds the streams whose end it saw.
    """

    kind: ClassVar[str] = "lines"

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name)
        parts = urlsplit(address)
        self._host, self.port = parts.hostname or "", parts.port or 0
        self.ended: set[str] = set()
        self.seen: Counter[str] = Counter()

    async def watch(self, ready: Callable[[], None]) -> None:
        """Look until cancelled, over as many connections as it takes."""
        while self.failed is None:
            try:
                await self._watch_connection(ready)
            except OSError as error:
                self.interrupt(f"the connection to {self.name} is lost ({str(error) or type(error).__name__})")
                await anyio.sleep(AGAIN_S)  # the pace of new attempts, not a wait for something

    async def _watch_connection(self, ready: Callable[[], None]) -> None:
        reader, writer = await asyncio.open_connection(self._host, self.port)
        try:
            writer.write(b"WATCH\n")
            if await reader.readline() != b"OK\n":
                raise ConnectionResetError("it does not let us watch")
            self.go_on()
            ready()
            while (line := await reader.readline()).endswith(b"\n"):
                if not self.take_in(self._read, line, Moment.now()):
                    return
            raise ConnectionResetError("closed by the stage")
        finally:
            writer.close()

    def _read(self, data: bytes, moment: Moment) -> Iterable[Observation]:
        line = Line.from_json(data)
        if line.end:
            self.ended.add(line.stream)
            return ()
        self.seen[line.stream] += 1
        return (observation_of(self.name, line, moment),)


def observation_of(hop: str, line: Line, moment: Moment, **attributes: int) -> Observation:
    """Return a line as a hop sees it; its deviation is that of its value, V, its amount the value in whole µV."""
    return Observation(
        hop=hop,
        key=line.key,
        sequence=line.seq,
        event_ns=line.due_ns,
        seen_ns=moment.mono_ns,
        seen_wall_ns=moment.wall_ns,
        digest=line.digest,
        deviation=abs(line.value - right_value(line.stream, line.seq)),
        attributes={AMOUNT: microvolts(line.value), WATERMARK: line.due_ns} | attributes,
    )


def microvolts(value: float) -> int:
    """Return a value as a whole number that can be added up exactly; nothing for what is no number."""
    return round(value * 1e6) if math.isfinite(value) else 0


async def tell(address: str, order: str) -> list[bytes]:
    """Give a stage an order, and return the lines that it answers before `OK`.

    Raises StackError when the stage cannot be reached, or does not obey.
    """
    answer = await _ask(address, order)
    if answer[-1:] != [b"OK\n"]:
        raise StackError(f"The stage at {address} did not obey {order!r}: {b''.join(answer).decode().strip()}")
    return answer[:-1]


async def call(address: str, order: str) -> bool:
    """Give a stage an order and tell whether it was answered; when not, nobody knows whether it was obeyed.

    Raises StackError when the stage cannot be reached.
    """
    return await _ask(address, order) == [b"OK\n"]


async def _ask(address: str, order: str) -> list[bytes]:
    parts = urlsplit(address)
    try:
        with anyio.fail_after(ANSWER_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(f"{order}\n".encode())
                return (await reader.read()).splitlines(keepends=True)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise StackError(f"The stage at {address} was told {order!r} and did not answer: {error!r}.") from error
