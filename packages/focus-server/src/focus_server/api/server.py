"""The HTTP server around the application: its socket, its signals, its quick and clean end."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import Final

import structlog
import uvicorn

from focus_server.api.app import create_app
from focus_server.errors import FocusError
from focus_server.settings import ServeSettings

_log = structlog.get_logger()

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_PATIENCE_S: Final = 0.5
_LARGEST_FRAME_FROM_A_VIEWER: Final = 64 * 1024


class Server(uvicorn.Server):
    """A server that says where it listens, and that a signal ends within two seconds whatever its viewers do."""

    def __init__(self, settings: ServeSettings, listener: socket.socket) -> None:
        config = uvicorn.Config(
            create_app(settings),
            lifespan="on",
            http="h11",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=_LARGEST_FRAME_FROM_A_VIEWER,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,  # longer than clients keep idle connections, so that none is cut under a request
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._listener = listener
        self.signal: signal.Signals | None = None

    async def run_until_signal(self) -> None:
        """Serve; returns when a signal has ended the server and everything is closed."""
        host, port = self._listener.getsockname()[:2]
        await self.serve(sockets=[self._listener])
        _log.info("server.stopped", host=host, port=port, signal=self.signal.name if self.signal else None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        _log.info("server.ready", host=host, port=port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, those that take nothing any more without waiting for them."""
        asyncio.get_running_loop().call_later(_PATIENCE_S, self._abort_connections)
        await super().shutdown(sockets)

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the ending signals as a request to end, instead of dying by them after all is done."""
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


def listen(host: str, port: int, *, no_auth: bool) -> socket.socket:
    """Open the socket to listen on; port 0 takes any free one.

    Raises `FocusError` when the port is taken or the address lies beyond loopback without `no_auth`.
    """
    if not (no_auth or _is_loopback(host)):
        raise FocusError(
            f"{host} can be reached from other machines, and this server asks nobody who they are; "
            "listen on 127.0.0.1, or say --no-auth when something in front of it does."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only with the protocol named does asyncio switch Nagle's delay off, which costs 40 ms for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise FocusError(f"Cannot listen on {host} port {port}: {error.strerror}; choose another --port.") from error
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
