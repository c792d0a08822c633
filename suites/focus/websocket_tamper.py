"""Alters WebSocket messages on their way to the browser: a planted defect for a proxy's `tamper_down`."""

import struct
from collections.abc import Callable

BINARY = 0x2


class WebSocketTamper:
    """Follow the bytes of one connection from server to browser and edit its binary messages.

    Server frames are not masked. Everything before the end of an upgrade answer (status 101) passes as it is, and so
    does a connection that never upgrades. `edit` takes a message's payload and returns what is sent instead.
    """

    def __init__(self, edit: Callable[[bytes], bytes]) -> None:
        self._edit = edit
        self._buffer = b""
        self._upgraded: bool | None = None

    def __call__(self, data: bytes) -> bytes:
        """Return the bytes to send instead of `data`; an incomplete frame is held until the rest arrives."""
        if self._upgraded is False:
            return data
        self._buffer += data
        out = b""
        if self._upgraded is None:
            out = self._pass_headers()
        while self._upgraded and (frame := self._take_frame()) is not None:
            out += frame
        return out

    def _pass_headers(self) -> bytes:
        if not self._buffer.startswith(b"HTTP/1.1 101"[: len(self._buffer)]):
            self._upgraded = False
            out, self._buffer = self._buffer, b""
            return out
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return b""
        self._upgraded = True
        out, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        return out

    def _take_frame(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        first, length, start = self._buffer[0], self._buffer[1] & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(self._buffer) < 2 + width:
                return None
            length = int.from_bytes(self._buffer[2 : 2 + width], "big")
            start = 2 + width
        if len(self._buffer) < start + length:
            return None
        payload, frame = self._buffer[start : start + length], self._buffer[: start + length]
        self._buffer = self._buffer[start + length :]
        if first != 0x80 | BINARY:
            return frame
        edited = self._edit(payload)
        return frame if edited == payload else encode_frame(first, edited)


def encode_frame(first: int, payload: bytes) -> bytes:
    """Return an unmasked frame with the given first byte."""
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload
