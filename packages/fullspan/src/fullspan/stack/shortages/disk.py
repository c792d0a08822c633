"""A shortage of disk: a file fills the file system of a folder, up to what is left free."""

import asyncio
import errno
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from fullspan.errors import StackError
from fullspan.stack.shortages.shortage import Shortage, Target

__all__ = ["BALLAST", "FullDisk"]

BALLAST: Final = ".fullspan-ballast-"
_BLOCK: Final = 4096


@dataclass
class FullDisk(Shortage):
    """Disk: of the file system of `folder` (relative to the component's own) `spare_bytes` are left.

    At most `most_bytes` are taken for it: a folder on a disk with more room than that is left alone, and so is one on
    the disk that the run itself writes to, because a run that cannot write cannot heal.
    """

    kind: ClassVar[str] = "disk"
    folder: str = "."
    spare_bytes: int = 0
    most_bytes: int = 2**30
    _ballast: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        for name in ("spare_bytes", "most_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of bytes that is not negative")

    @property
    def left_behind(self) -> Path | None:
        """The file that fills the disk."""
        return self._ballast

    def place(self, own: Path, run: Path) -> Path:
        """Return the folder to fill, given the component's own and one of the run; StackError why it cannot be."""
        folder = own / self.folder
        if not folder.is_dir():
            raise StackError(f"There is no folder {folder} whose disk could be filled.")
        free = _free(folder)
        if folder.stat().st_dev == run.stat().st_dev:
            raise StackError(
                f"The folder {folder} lies on the disk that the run itself writes to, which is not filled.",
                "Give the component a disk of its own, for example a small tmpfs.",
            )
        if free - self.spare_bytes > self.most_bytes:
            raise StackError(
                f"The disk of {folder} has {free:,} bytes free; to fill it would take more than {self.most_bytes:,}.",
                "Give the component a smaller disk, or say with most_bytes that so much may be taken.",
            )
        if list(folder.glob(f"{BALLAST}*")):
            raise StackError(f"Something else has filled the disk of {folder}.")
        return folder

    def prepare(self, own: Path, run: Path) -> None:
        """Choose the file, before anything is written."""
        self._ballast = self.place(own, run) / f"{BALLAST}{secrets.token_hex(4)}"

    async def begin(self, target: Target) -> None:
        """Fill the disk; `prepare` comes first."""
        assert self._ballast is not None  # noqa: S101 - a programming error, not input
        try:
            await asyncio.to_thread(self._fill, self._ballast)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            raise StackError(f"The disk of {self._ballast.parent} could not be filled: {error.strerror}.") from error

    def _fill(self, ballast: Path) -> None:
        handle = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = max(0, _free(ballast.parent) - self.spare_bytes)
            try:
                if size:
                    os.posix_fallocate(handle, 0, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            if self.spare_bytes == 0:
                os.lseek(handle, 0, os.SEEK_END)
                _write_until_full(handle)
        finally:
            os.close(handle)

    async def end(self, target: Target) -> None:
        """Take the file away."""
        if self._ballast is not None:
            await asyncio.to_thread(self._ballast.unlink, missing_ok=True)


def _write_until_full(handle: int) -> None:
    """Take the last blocks too, which an estimate of what is free leaves."""
    while True:
        try:
            os.write(handle, bytes(_BLOCK))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return
            raise


def _free(folder: Path) -> int:
    """Return what may still be written, bytes; root may write what is reserved for it."""
    disk = os.statvfs(folder)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize
