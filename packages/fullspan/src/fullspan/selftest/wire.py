"""Editors of what passes a link: they cut the bytes of one direction into messages and let a defect edit these."""

import struct
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

__all__ = ["TEXT", "AmqpEditor", "Edit", "Text", "WebSocketEditor"]

Edit: TypeAlias = Callable[[str, bytes], list[bytes]]
"""Gets a message's name and its payload; returns the payloads that are sent instead.

The name is of AMQP the routing key, of a WebSocket's text message TEXT, of its binary ones nothing.
"""
TEXT: Final = "text"

BINARY: Final = 0x82  # a whole binary message
WORDS: Final = 0x81  # a whole text message
METHOD, BODY = 1, 3
DELIVER: Final = struct.pack(">HH", 60, 60)
END: Final = b"\xce"


class Text(bytes):
    """A payload that is sent as a text message, whatever it is sent instead of."""


class WebSocketEditor:
    """Edits the messages of one connection from server to browser; whatever else passes is left as it is."""

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._waiting = b""
        self._upgraded = False

    def __call__(self, data: bytes) -> bytes:
        """Return what is sent instead of some bytes; a message that is not complete is held until it is."""
        self._waiting += data
        out = b""
        if not self._upgraded:
            head, blank, rest = self._waiting.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"[: len(head)]):
                out, self._waiting = self._waiting, b""
                return out
            if not blank:
                return b""
            out, self._waiting, self._upgraded = head + blank, rest, True
        while (frame := self._take()) is not None:
            first, payload = frame
            name = TEXT if first == WORDS else ""
            messages = self._edit(name, payload) if first in (BINARY, WORDS) else [payload]
            out += b"".join(_frame(WORDS if isinstance(message, Text) else first, message) for message in messages)
        return out

    def _take(self) -> tuple[int, bytes] | None:
        """Take one whole frame out of what waits; a server's frames are not masked."""
        if len(self._waiting) < 2:
            return None
        length, start = self._waiting[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self._waiting) < start:
                return None
            length = int.from_bytes(self._waiting[2:start], "big")
        if len(self._waiting) < start + length:
            return None
        first, payload = self._waiting[0], self._waiting[start : start + length]
        self._waiting = self._waiting[start + length :]
        return first, payload


def _frame(first: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


class AmqpEditor:
    """Edits what a broker delivers to a consumer: a message is dropped, or gets another body of the same length.

    A dropped message is never acknowledged, as if it had been lost on its way.
    """

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._waiting = b""
        self._message: list[bytes] = []
        self._key = ""
        self._body = b""
        self._missing = 0

    def __call__(self, data: bytes) -> bytes:
        """Return what is sent instead of some bytes; a message that is not complete is held until it is."""
        self._waiting += data
        return b"".join(self._edited())

    def _edited(self) -> Iterator[bytes]:
        while len(self._waiting) >= 7:
            kind, _, size = struct.unpack(">BHI", self._waiting[:7])
            if len(self._waiting) < size + 8:
                return
            frame, self._waiting = self._waiting[: size + 8], self._waiting[size + 8 :]
            payload = frame[7:-1]
            if kind == METHOD and payload.startswith(DELIVER):
                self._message, self._body, self._missing = [frame], b"", 0
                self._key = _routing_key(payload)
            elif not self._message:
                yield frame
            elif kind == BODY:
                self._body += payload
                self._message.append(frame)
                if len(self._body) >= self._missing:
                    yield self._whole()
            else:
                self._missing = struct.unpack(">Q", payload[4:12])[0]
                self._message.append(frame)
                if not self._missing:
                    yield self._whole()

    def _whole(self) -> bytes:
        """Return a complete message as it is sent on."""
        frames, self._message = self._message, []
        bodies = self._edit(self._key, self._body)
        if not bodies:
            return b""
        if bodies[0] == self._body:
            return b"".join(frames)
        if len(bodies[0]) != len(self._body):
            raise ValueError("a body can only be replaced by one of the same length")
        channel = frames[0][1:3]
        body = struct.pack(">B", BODY) + channel + struct.pack(">I", len(bodies[0])) + bodies[0] + END
        return b"".join(frames[:2]) + body


def _routing_key(payload: bytes) -> str:
    """Return the routing key of a Basic.Deliver: consumer tag, delivery tag, redelivered, exchange, routing key."""
    place = 4
    place += 1 + payload[place] + 8 + 1
    place += 1 + payload[place]
    return payload[place + 1 : place + 1 + payload[place]].decode(errors="replace")
