"""The command `exchange`."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, Final

import click
import structlog

from k2.errors import CodecError, SettingsError
from k2.feed.exchange.course import Course
from k2.feed.exchange.history import History
from k2.feed.exchange.mischief import Mischief
from k2.feed.exchange.replay import Recorded
from k2.feed.exchange.server import Exchange
from k2.log import configure_logging
from k2.settings import ExchangeSettings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_EXAMPLES: Final = """\b
Examples:
  k2 exchange                                   # made-up trades, 25 a second of each symbol, port 9443
  k2 exchange --rate 1000 --seed 7 --trades 100000
  k2 exchange --capture trades.ndjson.gz --speed 10
  k2 exchange --mischief '{"malformed_every": 1000}'
"""


@click.command(epilog=_EXAMPLES)
@click.option("--port", "exchange_port", type=int, help="0: any free one, which the log tells.  [default: 9443]")
@click.option("--capture", type=_FILE, help="Replay these frames instead of making trades up; .gz too.")
@click.option("--quotes-capture", type=_FILE, help="Frames of quotes to replay beside them.")
@click.option("--speed", type=float, help="Of the replay; 10 plays ten seconds in one.  [default: 1]")
@click.option("--retime", type=click.Choice(["shift", "keep", "now"]), help="Times of a capture.  [default: shift]")
@click.option("--loop/--no-loop", default=None, help="Begin again at the end of the capture; numbers go on.")
@click.option("--seed", type=int, help="Of what is made up.  [default: 1]")
@click.option("--symbols", help="What is made up, with commas.  [default: BTCUSDT,ETHUSDT]")
@click.option("--rate", type=float, help="Made-up trades a second of each symbol.  [default: 25]")
@click.option("--quote-rate", type=float, help="Made-up quotes a second of each symbol.  [default: 5]")
@click.option("--trades", type=int, help="End after so many made-up trades of all symbols.")
@click.option("--exchange-dir", type=click.Path(file_okay=False, path_type=Path), help="Go on there after a restart.")
@click.option("--wait-for-viewer/--at-once", default=None, help="Begin with the first subscription.  [default]")
@click.option("--clock-offset-s", type=float, help="The exchange's clock is ahead by so much.  [default: 0]")
@click.option("--mischief", help="What it does wrong from the start, as JSON.")
@click.option("--config", type=_FILE, help="Settings file instead of ./k2.toml.")
def exchange(config: Path | None, **options: object) -> None:
    """Be an exchange on this machine: the wire of Binance, with a capture or made-up trades, and mischief on demand.

    It speaks on 127.0.0.1 only. With --exchange-dir all trades lie there in trades.ndjson, itself a capture, and a
    restart goes on after the last one. What it does wrong can be changed while it runs: docs/k2-feed.md.
    """
    settings = ExchangeSettings.load(config, **options)
    configure_logging(settings.log_level)
    asyncio.run(_run(settings))


def _course(settings: ExchangeSettings, history: History) -> Course:
    if settings.capture is not None:
        return Recorded(
            history, settings.capture, settings.quotes_capture, settings.speed, settings.retime, settings.loop
        )
    from k2.feed.exchange.market import Simulated  # its random numbers are numpy's, which a capture does without

    return Simulated(
        history, settings.symbols, settings.seed, settings.rate, settings.quote_rate, settings.trades
    )  # fmt: skip


def _mischief(settings: ExchangeSettings) -> Mischief:
    mischief = Mischief(clock_offset_s=settings.clock_offset_s)
    if settings.mischief:
        try:
            wanted: Any = json.loads(settings.mischief)
            mischief.set(wanted)
        except (ValueError, AttributeError, CodecError) as error:
            raise SettingsError(f'The mischief cannot be used: {error} Write {{"drop": 100}}.') from None
    return mischief


async def _run(settings: ExchangeSettings) -> None:
    history = History(settings.exchange_dir)
    server = Exchange(
        _course(settings, history), history, _mischief(settings), wait_for_viewer=settings.wait_for_viewer
    )

    def ready(port: int) -> None:
        structlog.get_logger().info("exchange.ready", port=port, url=f"ws://127.0.0.1:{port}")

    task = asyncio.create_task(_serve(server, settings, ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        structlog.get_logger().info("exchange.stopped")


async def _serve(server: Exchange, settings: ExchangeSettings, ready: Any) -> None:
    try:
        await server.run(settings.exchange_host, settings.exchange_port, ready)
    except OSError as error:
        raise SettingsError(
            f"The exchange cannot listen on port {settings.exchange_port}: {error.strerror}. Choose another --port."
        ) from None
