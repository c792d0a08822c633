"""UNIX sockets whose path may be longer than the kernel allows: they are reached through a handle of their folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["listen", "short_path"]

_LONGEST: Final = 100


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a path of the same socket that is short enough; good as long as the block runs."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


def listen(path: Path) -> socket.socket:
    """Listen on a socket that only its owner can connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with short_path(path) as short:
            listener.bind(short)
    finally:
        os.umask(mask)
    listener.listen()
    return listener
