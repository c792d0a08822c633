"""The UNIX socket of the HTTP interface, and the server on it, which a signal ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from focus_server.errors import FocusError

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_CONNECT_S: Final = 1.0


class ControlServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, which it then names in `signal`; `listening` is called when it listens."""

    def __init__(self, app: ASGIApp, listener: socket.socket, listening: Callable[[], None] = lambda: None) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._listener = listener
        self._listening = listening
        self.signal: signal.Signals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        self._listening()

    async def until_signal(self) -> None:
        """Serve; returns when a signal has come and connections are closed."""
        await self.serve(sockets=[self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the ending signals as a wish to end, instead of dying by them after all is done."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in _ENDING:
                loop.remove_signal_handler(number)

    def _end(self, number: signal.Signals) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.signal = number


@contextmanager
def control_socket(path: Path) -> Iterator[socket.socket]:
    """Listen on a UNIX socket that only its owner may use; one that a dead process left is replaced.

    The kernel takes 107 bytes of a path, so the socket is reached through a handle on its folder.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FocusError(f"The folder of the socket {path} cannot be used: {error.strerror}.") from None
    listener = socket.socket(socket.AF_UNIX)
    try:
        address = f"/proc/self/fd/{folder}/{path.name}"
        _remove_left_over(address, path)
        listener.bind(address)
        path.chmod(0o600)
        yield listener
        path.unlink(missing_ok=True)
    except OSError as error:
        raise FocusError(f"The socket {path} cannot be opened: {error.strerror or error}.") from None
    finally:
        listener.close()
        os.close(folder)


def _remove_left_over(address: str, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_S)
        try:
            probe.connect(address)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FocusError(f"Another analyzer listens on {path}; stop it, or choose another --analyzer-socket.")
