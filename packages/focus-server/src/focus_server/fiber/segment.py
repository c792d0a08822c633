"""One second of the outbox: a file to which messages are appended and in which each one is marked when confirmed.

The mark is one byte in place, so a process that is killed at any moment leaves a file that says exactly what was
confirmed. Nothing is synced to the disk: the file outlives its process, not a loss of power.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from focus_server.errors import FocusError
from focus_server.fiber.blocks import Message

SUFFIX: Final = ".blocks"

_HEAD: Final = struct.Struct("<4sB3xHHIqI")  # magic, confirmed, lengths of key, headers and body, due_ns, crc32
_MAGIC: Final = b"FOB1"
_CONFIRMED_AT: Final = 4


class DamagedRecordError(FocusError):
    """A stored message is not what was written; it can only be skipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Where a message lies: its segment, the offset of its record, the lengths of key, headers and body, its crc32."""

    segment: "Segment"
    offset: int
    lengths: tuple[int, int, int]
    due_ns: int
    crc32: int

    @property
    def body_bytes(self) -> int:
        """Return the size of the message's body."""
        return self.lengths[2]


class Segment:
    """A file of messages; `waiting` counts those that are not confirmed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._size = os.fstat(self._fd).st_size

    def append(self, message: Message, due_ns: int) -> Entry:
        """Write a message behind the last one; a full disk is a FocusError and leaves the segment as it was."""
        key = message.routing_key.encode()
        headers = json.dumps(message.headers, separators=(",", ":")).encode()
        lengths = len(key), len(headers), len(message.body)
        crc = zlib.crc32(message.body, zlib.crc32(headers, zlib.crc32(key)))
        head = _HEAD.pack(_MAGIC, 0, *lengths, due_ns, crc)
        self._write([head, key, headers, message.body])
        entry = Entry(self, self._size, lengths, due_ns, crc)
        self._size += _HEAD.size + sum(lengths)
        self.waiting += 1
        return entry

    def _write(self, parts: list[bytes]) -> None:
        try:
            written = os.pwritev(self._fd, parts, self._size)
            if written == sum(map(len, parts)):
                return
            cause = "the disk is full"
        except OSError as error:
            cause = error.strerror or str(error)
        raise FocusError(f"The outbox {self.path.parent} cannot keep another block: {cause}. Make room on that disk.")

    def read(self, entry: Entry) -> Message:
        """Return a stored message, or raise DamagedRecordError when its crc32 says that it was altered."""
        content = os.pread(self._fd, sum(entry.lengths), entry.offset + _HEAD.size)
        if len(content) != sum(entry.lengths) or zlib.crc32(content) != entry.crc32:
            raise DamagedRecordError(f"A block kept in {self.path.name} was altered on the disk and cannot be sent.")
        key, headers, _ = entry.lengths
        return Message(content[:key].decode(), json.loads(content[key : key + headers]), content[key + headers :])

    def confirm(self, entry: Entry) -> None:
        """Mark a message as confirmed."""
        os.pwrite(self._fd, b"\x01", entry.offset + _CONFIRMED_AT)
        self.waiting -= 1

    def scan(self) -> Iterator[Entry]:
        """Yield the messages that a former process left unconfirmed; a record that it did not finish ends the file."""
        offset = 0
        while offset + _HEAD.size <= self._size:
            magic, confirmed, key, headers, body, due_ns, crc = _HEAD.unpack(os.pread(self._fd, _HEAD.size, offset))
            end = offset + _HEAD.size + key + headers + body
            if magic != _MAGIC or end > self._size:
                return
            if not confirmed:
                self.waiting += 1
                yield Entry(self, offset, (key, headers, body), due_ns, crc)
            offset = end

    def close(self) -> None:
        """Close the file and keep it."""
        os.close(self._fd)

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)
