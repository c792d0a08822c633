"""The HTTP server around the application: its socket, its signals, its quick and clean end."""

import asyncio
import contextlib
import ipaddress
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final, cast

import structlog
import uvicorn

from focus_server.api.app import create_app
from focus_server.api.connections import ConnectionLimits, Connections
from focus_server.api.figures import Figures
from focus_server.api.http import HttpConnection, ViewerConnection
from focus_server.errors import FocusError
from focus_server.settings import ServeSettings

_log = structlog.get_logger()

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_PATIENCE_S: Final = 0.5
_BACKLOG: Final = 256
"""As many connections may be accepted at once, before any that they displace is closed."""
_SPARE_FILES: Final = 128
_GOODBYES: Final = 100
"""Connections of viewers that are just told why they cannot watch, beside those who do."""


class Server(uvicorn.Server):
    """A server that says where it listens, and that a signal ends within two seconds whatever its viewers do."""

    def __init__(self, settings: ServeSettings, listener: socket.socket) -> None:
        connections = self.connections = Connections(_connection_limits(settings))
        figures = Figures()
        figures.connections(lambda: len(connections), lambda: connections.told + connections.ended)
        config = uvicorn.Config(
            create_app(settings, figures),
            lifespan="on",
            http=cast(type[asyncio.Protocol], partial(HttpConnection, self.connections)),
            ws=cast(type[asyncio.Protocol], partial(ViewerConnection, self.connections)),
            backlog=_BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,  # longer than clients keep idle connections, so that none is cut under a request
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._listener = listener
        self._watch: asyncio.Task[None] | None = None
        self.signal: signal.Signals | None = None

    async def run_until_signal(self) -> None:
        """Serve; returns when a signal has ended the server and everything is closed."""
        host, port = self._listener.getsockname()[:2]
        await self.serve(sockets=[self._listener])
        _log.info("server.stopped", host=host, port=port, signal=self.signal.name if self.signal else None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        self._watch = asyncio.create_task(self.connections.watch())
        host, port = self._listener.getsockname()[:2]
        _log.info("server.ready", host=host, port=port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, those that take nothing any more without waiting for them."""
        if self._watch is not None:
            self._watch.cancel()
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


def _connection_limits(settings: ServeSettings) -> ConnectionLimits:
    """Let the system give as many files as the settings need, or make do with fewer connections."""
    viewers = settings.max_viewers + _GOODBYES
    needed = settings.max_connections + viewers + _BACKLOG + _SPARE_FILES
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < needed:
        allowed = needed if most == resource.RLIM_INFINITY else min(needed, most)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    if allowed >= needed:
        return ConnectionLimits(settings.max_connections, viewers)
    share = max(0.1, (allowed - _BACKLOG - _SPARE_FILES) / (settings.max_connections + viewers))
    limits = ConnectionLimits(max(8, int(share * settings.max_connections)), max(8, int(share * viewers)))
    _log.warning("server.few_files", allowed=allowed, needed=needed, connections=limits.most)
    return limits


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
