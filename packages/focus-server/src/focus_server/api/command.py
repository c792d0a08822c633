"""The commands `serve` and `config`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

import click

from focus_server.api.server import Server, listen
from focus_server.log import configure_logging
from focus_server.memory import keep_freed_memory
from focus_server.settings import AnalyzerSettings, FocusSettings, ReplaySettings, ServeSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_SERVE_EXAMPLES: Final = """\b
Examples:
  focus-server serve
  FOCUS_MONGO_URL=mongodb://prisma:SECRET@127.0.0.1:27017/prisma focus-server serve --port 8080
  curl http://127.0.0.1:5000/health
"""
_CONFIG_EXAMPLES: Final = """\b
Examples:
  focus-server config
  FOCUS_PORT=8080 focus-server config --config site.toml
"""


@click.command(epilog=_SERVE_EXAMPLES)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.  [default: 5000]")
@click.option("--analyzer-socket", type=click.Path(path_type=Path), help="UNIX socket of the analyzer.")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
@click.option("--no-auth", is_flag=True, help="Listen beyond loopback although nobody is asked who they are.")
def serve(host: str | None, port: int | None, analyzer_socket: Path | None, config: Path | None, no_auth: bool) -> None:
    """Answer REST and WebSocket clients and serve LiveView at /liveView.

    Needs no other program to start: what depends on the analyzer answers 503 until that is there.
    SIGTERM and Ctrl-C end it within two seconds.
    """
    settings = ServeSettings.load(config, host=host, port=port, analyzer_socket=analyzer_socket)
    configure_logging(settings.log_level)
    keep_freed_memory()
    with listen(settings.host, settings.port, no_auth=no_auth) as listener:
        server = Server(settings, listener)
        asyncio.run(server.run_until_signal())
    if server.signal is signal.SIGINT:
        sys.exit(130)


@click.command(epilog=_CONFIG_EXAMPLES)
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def config(config: Path | None) -> None:
    """Print the effective settings of every program and where each comes from; secrets are masked."""
    programs: dict[str, type[FocusSettings]] = {
        "serve": ServeSettings,
        "analyze": AnalyzerSettings,
        "replay": ReplaySettings,
    }
    for program, settings in programs.items():
        click.echo(f"[{program}]")
        effective = settings.effective(config)
        name_width = max(len(setting.name) for setting in effective)
        value_width = max(len(setting.value) for setting in effective)
        for setting in effective:
            click.echo(f"{setting.name:<{name_width}}  {setting.value:<{value_width}}  ({setting.origin})")
        click.echo()
