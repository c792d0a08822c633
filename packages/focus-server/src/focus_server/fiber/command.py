"""The commands `replay` and `sample`."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import click
import structlog

from focus_server.fiber.broker import BrokerAddress
from focus_server.fiber.formula import ReplayFormula, ReplayOptions, parse_channels
from focus_server.fiber.grid import exact_rate
from focus_server.fiber.interrogator import Fiber, Interrogator
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.recording import Recording
from focus_server.fiber.sample import DASPY_EXAMPLE, store_sample
from focus_server.fiber.state import replay_state
from focus_server.log import configure_logging
from focus_server.settings import ReplaySettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)

_REPLAY_EXAMPLES: Final = """\b
Examples:
  focus-server replay
  focus-server replay --recording noise.npy --fs 1999.976 --channels 2222 --seed 7
  focus-server replay --dtype float32 --nan-channels "7,9-12"
"""
_SAMPLE_EXAMPLES: Final = """\b
Examples:
  pip download --no-deps DASPy-toolbox==1.2.7
  focus-server sample daspy_toolbox-1.2.7-py3-none-any.whl --to var/data
"""


@click.command(epilog=_REPLAY_EXAMPLES)
@click.option("--recording", type=_FILE, help="What to play: a .npy file with its .json beside it.")
@click.option("--fs", help="Samples per second and channel, an exact decimal such as 1999.976.  [default: 1000]")
@click.option("--channels", type=int, help="Number of channels.  [default: as many as the recording has]")
@click.option("--seed", type=int, help="Makes tiles and loops of the recording differ.  [default: 1]")
@click.option("--dtype", type=click.Choice(["int16", "float32"]), help="Type of the samples.  [default: int16]")
@click.option("--dc", type=float, help="Offset added to the recording, in its own unit.  [default: 0]")
@click.option("--nan-channels", help='Channels that are NaN, for example "7,9-12"; float32 only.')
@click.option("--site", help="Name of the fibre in routing keys.  [default: local]")
@click.option("--state-dir", type=_FOLDER, help="Keeps the grid in time and what the broker did not confirm.")
@click.option("--preroll-s", type=float, help="A new fibre's time begins so much before its first start.  [default: 0]")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def replay(config: Path | None, **options: object) -> None:
    """Play a recording as a live fibre, by the wall clock, until it is stopped.

    Every 100 ms one block of each 64 channels goes to the exchange `prisma` of the broker that FOCUS_AMQP_URL names
    (amqp://USER:PASSWORD@HOST:PORT/; never an option, because command lines are public). Blocks that the broker does
    not confirm are kept for 60 s below the state folder and sent again in order, also by the next run. Each sample
    follows a published formula, which is announced once a second and described in docs/interrogator.md.

    Started again with the same state folder it goes on on the same grid; the time it was away is a gap.
    SIGTERM and Ctrl-C end it within three seconds.
    """
    settings = ReplaySettings.load(config, **options)
    configure_logging(settings.log_level)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what the broker does is said once, in our own events
    interrupted = play(settings)
    if interrupted:
        sys.exit(130)


def play(settings: ReplaySettings) -> bool:
    """Play until a signal comes; say whether it was Ctrl-C. Raises FocusError when the settings cannot be played."""
    broker = BrokerAddress(settings.amqp_url.get_secret_value())
    rate = exact_rate(settings.fs)
    recording = Recording.load(settings.recording)
    options = ReplayOptions(
        channels=settings.channels or recording.channels,
        seed=settings.seed,
        dtype=settings.dtype,
        dc=settings.dc,
        nan_channels=parse_channels(settings.nan_channels),
    )
    formula = ReplayFormula(recording, options)
    log = structlog.get_logger().bind(site=settings.site)
    with replay_state(settings.state_dir, rate, settings.preroll_s) as state:
        fiber = Fiber(settings.site, state.epoch, state.grid, formula)
        with Outbox(state.outbox) as outbox:
            log.info(
                "interrogator.start",
                recording=recording.name,
                channels=options.channels,
                fs=str(settings.fs),
                epoch=state.epoch,
                waiting=outbox.waiting,
            )
            return asyncio.run(_play_until_signal(Interrogator(fiber, outbox, broker, log)))


async def _play_until_signal(interrogator: Interrogator) -> bool:
    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    await interrogator.run(stop)
    return received[:1] == [signal.SIGINT]


@click.command(epilog=_SAMPLE_EXAMPLES)
@click.argument("wheel", type=_FILE)
@click.option("--to", "folder", type=_FOLDER, required=True, help="Folder for sample.npy and sample.json.")
def sample(wheel: Path, folder: Path) -> None:
    """Take the sample recording out of WHEEL, the package DASPy-toolbox 1.2.7.

    A real earthquake on a real fibre: 500 channels, 50 s at 100 samples per second. Only the one file whose sha256 is
    known is read; without effect when the sample is already in the folder.
    """
    stored = store_sample(wheel, folder)
    click.echo(
        f"sample: {folder / 'sample.npy'} {'written' if stored else 'is already there'} ({DASPY_EXAMPLE.origin})"
    )
