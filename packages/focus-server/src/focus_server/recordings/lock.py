"""One recorder for one folder: two would write the same files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from focus_server.errors import FocusError

__all__ = ["only_one"]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it when the process ends, however it does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".recorder.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FocusError(
            f"The folder of recordings {folder} cannot be used: {error.strerror}; choose another."
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FocusError(
                f"Another recorder writes to {folder}; stop it, or choose another --recordings-dir."
            ) from None
        yield
    finally:
        os.close(handle)
