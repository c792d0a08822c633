"""A file that an HDF5 library writes: synced when it is done, and with a disk that may be full.

When the operating system refuses a write, HDF5 cannot close its file any more and takes the process down with it. So
it writes through an object that remembers the refusal and lets HDF5 finish as if nothing had happened; who opened the
file gets the refusal afterwards.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["free_bytes", "new_file", "sync"]


class _Target(io.RawIOBase):
    """The file as HDF5 sees it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._position = 0
        self._size = 0
        self.refusal: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        found = os.preadv(self._handle, [buffer], self._position)
        self._position += found
        return found

    def write(self, content: Any, /) -> int:
        view = memoryview(content).cast("B")
        end = self._position + len(view)
        try:
            while self.refusal is None and self._position < end:
                self._position += os.pwrite(self._handle, view[self._position - end :], self._position)
        except OSError as error:
            self.refusal = error
        self._position = end
        self._size = max(self._size, end)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self._position if size is None else size
        try:
            if self.refusal is None:
                os.ftruncate(self._handle, self._size)
        except OSError as error:
            self.refusal = error
        return self._size


@contextmanager
def new_file(path: Path) -> Iterator[io.RawIOBase]:
    """Open `path` anew; at the end its content is on the disk. Raises OSError when the disk does not take it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        target = _Target(handle)
        try:
            yield target
        except Exception:
            if target.refusal is None:
                raise
        if target.refusal is not None:
            raise target.refusal
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written below a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
