"""The command `serve`."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import structlog
import uvicorn

from k2.api.app import create_app
from k2.errors import SettingsError
from k2.log import configure_logging
from k2.settings import ServeSettings

_log = structlog.get_logger()

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_INTERRUPTED: Final = 130


class _Server(uvicorn.Server):
    """A server that says where it listens, and that takes a signal as a request to end."""

    def __init__(self, settings: ServeSettings, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(settings),
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._listener = listener
        self.signal: signal.Signals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        _log.info("server.ready", host=host, port=port)

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


@click.command(
    epilog="\b\nExamples:\n  k2 serve\n  K2_API_KEY=SECRET k2 serve --port 8080\n"
    "  curl -H 'X-API-Key: k2-dev-api-key-2026' 'http://127.0.0.1:8000/v1/trades?symbol=BTCUSDT&limit=5'"
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.  [default: 8000]")
@click.option("--config", type=_FILE, help="Settings file instead of ./k2.toml.")
def serve(host: str | None, port: int | None, config: Path | None) -> None:
    """Answer questions about trades, quotes and candles over HTTP, and show how fresh they are at /.

    Needs no other program to start: what depends on Kafka or the tables answers 503 until these are there.
    """
    settings = ServeSettings.load(config, host=host, port=port)
    configure_logging(settings.log_level)
    with _listen(settings) as listener:
        server = _Server(settings, listener)
        asyncio.run(server.serve(sockets=[listener]))
    _log.info("server.stopped", signal=server.signal.name if server.signal else None)
    if server.signal is signal.SIGINT:
        sys.exit(_INTERRUPTED)


def _listen(settings: ServeSettings) -> socket.socket:
    """Open the socket; raises SettingsError when that cannot be, or would let in everybody with the well-known key."""
    host = settings.host
    if settings.api_key is None and not _is_loopback(host):
        raise SettingsError(f"{host} can be reached from other machines, and no key was set; set K2_API_KEY.")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host} port {settings.port}: {error.strerror}; choose another --port."
        ) from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
