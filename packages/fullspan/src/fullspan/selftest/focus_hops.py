"""The observers of the slice of Focus: blocks at the broker, rows at the analyzer, frames as a page gets them."""

import json
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, Final

import anyio
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from fullspan.clients import DataStream, Job, open_stream
from fullspan.ledger import Moment, Observation
from fullspan.ledger.hops import AmqpMessage, AmqpTap, GrpcStream
from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.selftest.focus_values import Samples, due_ns

__all__ = ["Frames", "Seen", "block_tap", "row_stream"]

EXCHANGE: Final = "prisma"
AGAIN_S: Final = 0.05
OPEN_S: Final = 5.0
CLOSE_S: Final = 0.5
LARGEST: Final = 10_000_000  # bytes of one frame


class Seen:
    """The rows of one job as they are seen at a hop, with their content judged by the samples of its channel."""

    def __init__(self, hop: str, job: Job, samples: Samples) -> None:
        self.hop = hop
        self.newest = -1
        self.found: list[tuple[Observation, bytes]] = []
        self._job = job
        self._samples = samples

    def read(self, message: DataStream, moment: Moment) -> Iterable[Observation]:
        """Note the rows of a message; what they must be is compared later, when all blocks are known."""
        for row, data in zip(message.row_index, message.main_data, strict=True):
            self.newest = max(self.newest, row)
            key = f"{self._job.job_id}/0/{row}"
            digest = f"{zlib.crc32(data):08x}"
            due = due_ns(self._job, row)
            seen = Observation(self.hop, key, row, due, moment.mono_ns, moment.wall_ns, digest)
            self.found.append((seen, data))
            yield seen


def block_tap(url: str, site: str, group: int, samples: Samples) -> AmqpTap:
    """Return a hop `block`: what the broker's exchange routes of one group of channels."""

    def block(message: AmqpMessage, moment: Moment) -> Observation:
        header = message.headers
        sequence, first = int(str(header["seq"])), int(str(header["first_sample"]))
        samples.take(header, message.body)
        rate = int(str(header["fs_num"])) / int(str(header["fs_den"]))
        channels = int(str(header["ch_last"])) - int(str(header["ch_first"])) + 1
        length = len(message.body) // (2 * channels)
        due = int(str(header["t0_ns"])) + round((first + length) * 1e9 / rate)
        digest = f"{zlib.crc32(message.body):08x}"
        key = f"{site}/{group}/{first // length}"
        return Observation("block", key, sequence, due, moment.mono_ns, moment.wall_ns, digest)

    return AmqpTap(url, EXCHANGE, f"fiber.{site}.{group}", block)


def row_stream(job: Job, address: tuple[str, int], seen: Seen) -> GrpcStream[DataStream]:
    """Return a hop `row`: one more viewer of the analyzer."""
    return GrpcStream(partial(open_stream, *address, 0), seen.read)


class Frames(BackgroundHop):
    """What a page gets over its WebSocket; connects again as a page does, and misses what comes meanwhile.

    `shown` is the newest row that it got, and whether it was told of a gap after it.
    """

    kind: ClassVar[str] = "websocket frames"

    def __init__(self, base_url: str, job: Job, seen: Seen) -> None:
        super().__init__("frame")
        self._url = f"{base_url.replace('http', 'ws', 1)}/ws/jobs/{job.job_id}/streams/0"
        self._seen = seen
        self.shown: tuple[int, bool] = (-1, False)

    async def watch(self, ready: Callable[[], None]) -> None:
        """Look until cancelled, over as many connections as it takes."""
        while self.failed is None:
            try:
                await self._watch_connection(ready)
            except (WebSocketException, OSError, TimeoutError) as error:
                self.interrupt(f"the WebSocket is lost ({error})")
                await anyio.sleep(AGAIN_S)  # the pace of new attempts, not a wait for something

    async def _watch_connection(self, ready: Callable[[], None]) -> None:
        connection = await connect(self._url, compression=None, proxy=None, max_size=LARGEST, open_timeout=OPEN_S)
        try:
            self.go_on()
            ready()
            async for frame in connection:
                if isinstance(frame, str):
                    # What is told in words is about the stream, not a row of it.
                    self.shown = (self._seen.newest, self.shown[1] or json.loads(frame)["type"] == "gap")
                elif not self._take(DataStream.FromString(frame)):
                    return
                else:
                    self.shown = (self._seen.newest, False)
            raise ConnectionResetError("closed by the server")
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
                await connection.close()

    def _take(self, message: DataStream) -> bool:
        return self.take_in(self._seen.read, message, Moment.now())
