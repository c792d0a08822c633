"""One program for one folder: two of a kind would write the same files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k2.errors import K2Error

__all__ = ["only_one"]


@contextmanager
def only_one(folder: Path, name: str, program: str, option: str, mode: int = 0o700) -> Iterator[None]:
    """Hold the folder by its file `name`; the kernel lets go of it when the process ends, however it does.

    A folder that is missing is made, with `mode`.
    Raises K2Error, which names `program` and the `option` that chooses the folder, when another one holds it or it
    cannot be used.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise K2Error(f"The folder {folder} cannot be used: {error.strerror}; choose another {option}.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise K2Error(f"Another {program} uses the folder {folder}; stop it, or choose another {option}.") from None
        yield
    finally:
        os.close(handle)
