"""What is on its way to Kafka, on the disk first: neither an absent broker nor a killed process loses it.

Records lie in files that are named by the position of their first byte; a position counts all bytes ever spooled. What
was added is the kernel's at once, and so is the position up to which the broker has confirmed: both outlive a kill -9.
A file is deleted when all of it is confirmed. Records survive the death of the process, not that of the machine.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from k2.errors import BusError, SpoolDown

__all__ = ["Entry", "Spool"]

_HEAD: Final = struct.Struct("<IIHHI")
_SEGMENT_BYTES: Final = 2**20
_LARGEST: Final = 2**24


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on its way."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Write it with its length and checksum."""
        topic, headers = self.topic.encode(), json.dumps(dict(self.headers)).encode() if self.headers else b""
        body = topic + self.key + headers + self.value
        return _HEAD.pack(len(body), zlib.crc32(body), len(topic), len(self.key), len(headers)) + body

    @classmethod
    def read(cls, file: IO[bytes]) -> "Entry | None":
        """Read the next one; None at the end, also where a kill has cut the last one off."""
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, checksum, topic, key, headers = _HEAD.unpack(head)
        if not topic or length > _LARGEST or topic + key + headers > length:
            return None
        body = file.read(length)
        if len(body) < length or zlib.crc32(body) != checksum:
            return None
        at = topic + key
        told = json.loads(body[at : at + headers]) if headers else {}
        return cls(body[:topic].decode(), body[topic:at], body[at + headers :], told)


class Spool:
    """A queue on the disk, of at most `limit` bytes that are not confirmed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self.limit = folder, limit
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._note = _opened(folder / "confirmed")
            self._noted = int.from_bytes(self._note.read(8), "little")
            self._starts = sorted(int(path.stem) for path in folder.glob("*.spool"))
            self.end = self._mend()
            self.confirmed = max(min(self._noted, self.end), min(self._starts, default=0))
            self._file = self._segment()
            self._down = False
        except OSError as error:
            raise BusError(
                f"The spool {folder} cannot be used: {error.strerror}; choose another --spool-dir."
            ) from None

    @property
    def waiting(self) -> int:
        """How many bytes are not confirmed."""
        return self.end - self.confirmed

    @property
    def full(self) -> bool:
        """Whether no more should come."""
        return self.waiting >= self.limit

    def append(self, entry: Entry) -> int:
        """Add a record and return the position after it; SpoolDown when the disk does not take it, and it is not in."""
        encoded = entry.encode()
        try:
            self._write(encoded)
        except OSError as error:
            self._down = True
            raise SpoolDown(f"The spool {self._folder} cannot be written: {error.strerror}; make room there.") from None
        self._down = False
        self.end += len(encoded)
        return self.end

    def confirm(self, position: int, needed_from: int | None = None) -> None:
        """Note that everything before a position has arrived; files before `needed_from` too are deleted.

        What a disk that takes nothing now does not let happen, happens with a later call; until then more is kept than
        is needed.
        """
        self.confirmed = position
        keep = position if needed_from is None else min(position, needed_from)
        with suppress(OSError):
            while len(self._starts) > 1 and self._starts[1] <= keep:
                self._path(self._starts[0]).unlink(missing_ok=True)
                self._starts.pop(0)
            if position != self._noted:
                os.pwrite(self._note.fileno(), position.to_bytes(8, "little"), 0)
                self._noted = position

    def since(self, position: int) -> Iterator[tuple[int, Entry]]:
        """Go through the records from a position on, each with the position after it.

        Raises BusError when a file is damaged, or is not there any more.
        """
        for start, following in zip(self._starts, [*self._starts[1:], self.end], strict=True):
            if following <= position:
                continue
            with self._readable(start) as file:
                file.seek(max(0, position - start))
                read = file.tell()
                while (entry := Entry.read(file)) is not None:
                    read = file.tell()
                    yield start + read, entry
                if start + read != following:
                    raise BusError(
                        f"{file.name} is damaged at byte {read}; move it away to go on without the rest of it."
                    )

    def close(self) -> None:
        """Close its files."""
        self._file.close()
        self._note.close()

    def _path(self, start: int) -> Path:
        return self._folder / f"{start:020d}.spool"

    def _readable(self, start: int) -> IO[bytes]:
        try:
            return self._path(start).open("rb")
        except OSError as error:
            raise BusError(
                f"The spool {self._folder} cannot be read: {error.strerror}; choose another --spool-dir."
            ) from None

    def _write(self, encoded: bytes) -> None:
        """Write a record, or raise OSError; what was written of it then is written over by the next one."""
        size = self.end - self._starts[-1]
        # On a full disk the file that all has arrived from goes when nothing more is added to it.
        if size >= _SEGMENT_BYTES or (self._down and size and self.confirmed == self.end):
            former, self._file = self._file, self._segment()
            former.close()
            size = 0
        left = memoryview(encoded)
        while left:
            left = left[os.pwrite(self._file.fileno(), left, size + len(encoded) - len(left)) :]

    def _segment(self) -> IO[bytes]:
        file = _opened(self._path(self.end))
        if self.end not in self._starts:
            self._starts.append(self.end)
        return file

    def _mend(self) -> int:
        """Cut off what a kill left unfinished, and return where the spool ends."""
        if not self._starts:
            return self._noted
        last = self._starts[-1]
        with self._path(last).open("r+b") as file:
            whole = 0
            while Entry.read(file) is not None:
                whole = file.tell()
            file.truncate(whole)
        return last + whole


def _opened(path: Path) -> IO[bytes]:
    """Open a file without a buffer, for its owner alone; it is made when it is missing."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
