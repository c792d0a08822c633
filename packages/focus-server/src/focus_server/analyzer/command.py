"""The command `analyze`."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import click

from focus_server.analyzer.analyzer import Analyzer
from focus_server.log import configure_logging
from focus_server.memory import keep_freed_memory
from focus_server.settings import AnalyzerSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)

_EXAMPLES: Final = """\b
Examples:
  focus-server analyze
  FOCUS_AMQP_URL=amqp://focus:SECRET@broker:5672/ focus-server analyze --site north --fixed-ports
"""


@click.command(epilog=_EXAMPLES)
@click.option("--site", help="Name of the fibre in routing keys.  [default: local]")
@click.option("--analyzer-socket", type=_PATH, help="UNIX socket on which the focus server finds the analyzer.")
@click.option("--state-dir", type=_PATH, help="Keeps the jobs, so that they go on after a restart.")
@click.option("--ring-samples", type=int, help="Samples of each channel to keep in memory.  [default: 131072]")
@click.option("--fixed-ports", is_flag=True, default=None, help="Open streams from port 12301 on instead of any.")
@click.option(
    "--line-spacing",
    type=click.Choice(["fs", "display"]),
    help="Lines that nobody asked a rate for: by the sampling rate, or duration/height apart.  [default: fs]",
)
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def analyze(config: Path | None, **options: object) -> None:
    """Turn the live blocks of a fibre into spectrograms and stream them over gRPC.

    Reads the exchange `prisma` of the broker that FOCUS_AMQP_URL names (amqp://USER:PASSWORD@HOST:PORT/; never an
    option, because command lines are public), and connects again by itself when the broker was away. Jobs are made
    and ended by `focus-server serve`; each has a gRPC server on a port of its own. Started again with the same state
    folder, the analyzer takes up its jobs on the same ports.

    SIGTERM and Ctrl-C end it within three seconds.
    """
    settings = AnalyzerSettings.load(config, **options)
    configure_logging(settings.log_level)
    keep_freed_memory()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what the broker does is said once, in our own events
    if asyncio.run(Analyzer(settings).run()) is signal.SIGINT:
        sys.exit(130)
