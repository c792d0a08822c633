"""The command `record`."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import click

from focus_server.log import configure_logging
from focus_server.recordings.recorder.recorder import Recorder
from focus_server.settings import RecordSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)

_EXAMPLES: Final = """\b
Examples:
  focus-server record --retention-s 86400
  FOCUS_AMQP_URL=amqp://focus:SECRET@broker:5672/ focus-server record --site north --recordings-dir /data/north
"""


@click.command(epilog=_EXAMPLES)
@click.option("--site", help="Name of the fibre in routing keys.  [default: local]")
@click.option("--recordings-dir", type=_FOLDER, help="Where the files go.  [default: var/focus/recordings]")
@click.option("--recording-s", type=int, help="Length of one file, seconds.  [default: 10]")
@click.option("--retention-s", type=float, help="Delete files that are older, seconds.  [default: 600]")
@click.option("--min-free-bytes", type=int, help="Pause with less free disk than this.  [default: 1 GiB]")
@click.option("--pause-keep-s", type=float, help="Paused, leave blocks with the broker for so long.  [default: 60]")
@click.option("--preroll-s", type=float, help="Also record so much from before a replay began.  [default: 0]")
@click.option("--preroll-recording", type=_FILE, help="The .npy file that is replayed; for the pre-roll only.")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def record(config: Path | None, **options: object) -> None:
    """Record the live blocks of a fibre in rolling files, and enter each one in the catalogue.

    Reads the queue `recorder.SITE` on the exchange `prisma` of the broker that FOCUS_AMQP_URL names
    (amqp://USER:PASSWORD@HOST:PORT/) and enters files in the MongoDB that FOCUS_MONGO_URL names
    (mongodb://USER:PASSWORD@HOST:PORT/DATABASE); neither is ever an option, because command lines are public. Files
    are ProdML 2.1 (HDF5), aligned to the fibre's own time, and appear under their names when they are whole. A block
    is acknowledged when the file that holds it is on the disk, so nothing is lost when this program, the broker or the
    catalogue dies at any moment. Without MongoDB recording goes on and the catalogue is made up later; with little
    free disk recording pauses and resumes by itself.

    SIGTERM and Ctrl-C end it within three seconds; what is not in a file yet waits with the broker.
    """
    settings = RecordSettings.load(config, **options)
    configure_logging(settings.log_level)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what the broker does is said once, in our own events
    if asyncio.run(_record(settings)) is signal.SIGINT:
        sys.exit(130)


async def _record(settings: RecordSettings) -> signal.Signals:
    """Record until a signal comes, and give that."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not received.done():
            received.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    await Recorder(settings).run(received)
    return received.result()
