"""A record of the double, and what is right about it: its content is a pure function of its stream and its number."""

import json
import math
import zlib
from dataclasses import dataclass, replace
from typing import Any, Final, Self

__all__ = ["Line", "right_text", "right_value"]

PERIOD: Final = 17.0


def right_value(stream: str, seq: int) -> float:
    """Return the value that a record must carry, in volts, between -1 and 1."""
    return math.sin(seq / PERIOD + zlib.crc32(stream.encode()) % 1000)


def right_text(stream: str, seq: int) -> str:
    """Return the text that a record must carry: unlike that of any other record, and not all of it plain ASCII."""
    return f"{stream} №{seq}: {zlib.crc32(f'{stream}/{seq}'.encode()):08x}"


@dataclass(frozen=True, slots=True)
class Line:
    """One record on its way; `due_ns` is the UTC time at which it is sent, ns, `end` marks the end of its stream."""

    stream: str
    seq: int
    due_ns: int
    value: float
    text: str
    end: bool = False

    @property
    def key(self) -> str:
        """Return the record's key in the ledger."""
        return f"{self.stream}/{self.seq}"

    @property
    def digest(self) -> str:
        """Return what stands for its text."""
        return f"{zlib.crc32(self.text.encode()):08x}"

    @classmethod
    def right(cls, stream: str, seq: int, due_ns: int) -> Self:
        """Return the record as it must be."""
        return cls(stream, seq, due_ns, right_value(stream, seq), right_text(stream, seq))

    def with_content_of(self, other: "Line") -> "Line":
        """Return this record with another one's content."""
        return replace(self, value=other.value, text=other.text)

    def to_json(self) -> bytes:
        """Return the record as one line."""
        fields = [self.stream, self.seq, self.due_ns, self.value, self.text, self.end]
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Read what `to_json` wrote."""
        fields: list[Any] = json.loads(line)
        return cls(*fields)
