"""One analyzer for one state folder: two would answer for the same jobs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from focus_server.errors import FocusError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it when the process ends, however it does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FocusError(f"The state folder {folder} cannot be used: {error.strerror}; choose another.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FocusError(
                f"Another analyzer uses the state folder {folder}; stop it, or choose another --state-dir."
            ) from None
        yield
    finally:
        os.close(handle)
