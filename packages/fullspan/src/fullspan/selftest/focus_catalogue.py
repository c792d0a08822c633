"""All defects that are planted into the slice of Focus, each with the one diagnosis that is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fullspan.clients import DataStream
from fullspan.faults import Hang, Kill, Latency, Reset
from fullspan.faults.base import Fault
from fullspan.ledger import Kind
from fullspan.selftest.catalogue import broken
from fullspan.selftest.defect import NO_ALARM, Defect
from fullspan.selftest.wire import Edit

__all__ = ["CLEAN", "FOCUS", "Planted"]

SYSTEM: Final = "Focus"
HELD_S: Final = 4.6


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect of the slice, and what is it.

    An edit of what the server sends to the page, or the broker to the analyzer; a fault that is on for `seconds`; or a
    request for another channel.
    """

    defect: Defect
    frames: Callable[[], Edit] | None = None
    blocks: Callable[[], Edit] | None = None
    fault: Callable[[], Fault] | None = None
    seconds: float = 0.0
    off_channel: int = 0


CLEAN: Final = Planted(Defect("clean", SYSTEM, "nowhere", "nothing is planted", NO_ALARM))


class _Once:
    """Base of edits that do something once, to the third message after they are planted."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[bytes] = []

    def __call__(self, name: str, payload: bytes) -> list[bytes]:
        if name and not name.startswith("fiber."):
            return [payload]
        self.count += 1
        return self.edit(payload)

    def edit(self, payload: bytes) -> list[bytes]:
        raise NotImplementedError


class _Drop(_Once):
    def edit(self, payload: bytes) -> list[bytes]:
        return [] if self.count == 3 else [payload]


class _Twice(_Once):
    def edit(self, payload: bytes) -> list[bytes]:
        return [payload, payload] if self.count == 3 else [payload]


class _Turn(_Once):
    def edit(self, payload: bytes) -> list[bytes]:
        if self.count == 3:
            self.kept = [payload]
            return []
        kept, self.kept = self.kept, []
        return [payload, *kept]


class _Alter(_Once):
    """Make the largest value of a row larger by a hundredth: less than anybody sees on a screen."""

    def edit(self, payload: bytes) -> list[bytes]:
        if self.count != 3:
            return [payload]
        message = DataStream.FromString(payload)
        values = np.frombuffer(message.main_data[0], "<f4").copy()
        values[values.argmax()] *= 1.01
        message.main_data[0] = values.tobytes()
        return [message.SerializeToString()]


class _Renumber(_Once):
    """Send one row under the number of the row after it."""

    def edit(self, payload: bytes) -> list[bytes]:
        if self.count != 3:
            return [payload]
        message = DataStream.FromString(payload)
        message.row_index[:] = [row + 1 for row in message.row_index]
        return [message.SerializeToString()]


class _SwapContents(_Once):
    """Exchange the contents of two messages that follow each other, under the numbers that they have."""

    def edit(self, payload: bytes) -> list[bytes]:
        if self.count == 3:
            self.kept = [payload]
            return []
        if self.count != 4:
            return [payload]
        first, second = (DataStream.FromString(one) for one in (self.kept[0], payload))
        contents = first.main_data[0], second.main_data[0]
        second.main_data[0], first.main_data[0] = contents
        return [first.SerializeToString(), second.SerializeToString()]


class _Negate(_Once):
    """Turn the sign of each sample of one block; what is sent with it to check it is not changed."""

    def edit(self, payload: bytes) -> list[bytes]:
        if self.count != 3:
            return [payload]
        counts = np.frombuffer(payload, "<i2")
        return [np.where(counts == -32768, 32767, -counts).astype("<i2").tobytes()]


class _SwapBodies(_Once):
    """Send the samples of one block a second time, in place of those of the next one."""

    def edit(self, payload: bytes) -> list[bytes]:
        if self.count == 3:
            self.kept = [payload]
        return [self.kept[0]] if self.count == 4 and len(self.kept[0]) == len(payload) else [payload]


def _defect(name: str, where: str, story: str, hop: str, *kinds: Kind, spreads: bool = False) -> Defect:
    return Defect(name, SYSTEM, where, story, broken(hop, *kinds), spreads=spreads)


MISSING, DUPLICATE, ORDER = Kind.MISSING, Kind.DUPLICATE, Kind.ORDER
SWAPPED, ALTERED, LATE = Kind.SWAPPED, Kind.ALTERED, Kind.LATE
PAGE, BROKER = "server to page", "broker to analyzer"

FOCUS: Final = (
    Planted(_defect("frame-lost", PAGE, "one message never arrives", "frame", MISSING), frames=_Drop),
    Planted(_defect("frame-twice", PAGE, "one message arrives twice", "frame", DUPLICATE), frames=_Twice),
    Planted(_defect("frames-turned", PAGE, "one message arrives after the next one", "frame", ORDER), frames=_Turn),
    Planted(_defect("frame-altered", PAGE, "one value is a hundredth too large", "frame", ALTERED), frames=_Alter),
    Planted(_defect("rows-swapped", PAGE, "two rows exchange their values", "frame", SWAPPED), frames=_SwapContents),
    Planted(
        _defect("row-renumbered", PAGE, "a row comes under its successor's number", "frame",
                MISSING, DUPLICATE, SWAPPED),
        frames=_Renumber,
    ),
    Planted(_defect("block-lost", BROKER, "one block of samples never arrives", "row", MISSING), blocks=_Drop),
    Planted(_defect("block-altered", BROKER, "a block's samples are damaged, and it is refused for it", "row", MISSING),
            blocks=_Negate),
    Planted(_defect("block-repeated", BROKER, "a block with the samples of another one is refused", "row", MISSING),
            blocks=_SwapBodies),
    Planted(_defect("wrong-channel", "request", "the page asks for the next channel", "row", ALTERED), off_channel=1),
    Planted(_defect("server-killed", "focus", "the server is killed and started again", "frame", MISSING, spreads=True),
            fault=lambda: Kill("focus"), seconds=0.5),
    Planted(_defect("page-link-reset", "page-server", "its connections are reset", "frame", MISSING, spreads=True),
            fault=lambda: Reset("page-server"), seconds=0.7),
    Planted(_defect("page-link-slow", "page-server", "what the page gets takes four seconds longer", "frame", LATE),
            fault=lambda: Latency("page-server", 4_300), seconds=HELD_S),
    Planted(_defect("analyzer-hung", "analyzer", "the analyzer stands still", "row", LATE, spreads=True),
            fault=lambda: Hang("analyzer"), seconds=HELD_S),
    Planted(_defect("interrogator-hung", "interrogator", "the source stands still", "block", LATE, spreads=True),
            fault=lambda: Hang("interrogator"), seconds=HELD_S),
    Planted(_defect("broker-hung", "rabbitmq", "the broker stands still", "block", LATE, spreads=True),
            fault=lambda: Hang("rabbitmq"), seconds=HELD_S),
)  # fmt: skip
"""The defects, the quick ones first."""
