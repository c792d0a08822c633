"""The command `feed`."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import click
import structlog
from prometheus_client import start_http_server

from k2.bus.codecs import registry_of
from k2.errors import K2Error, SettingsError
from k2.feed.feed import Feed
from k2.feed.figures import Figures
from k2.lock import only_one
from k2.log import configure_logging
from k2.settings import FeedSettings

_EXAMPLES: Final = """\b
Examples:
  k2 feed                                             # the real exchange, BTCUSDT and ETHUSDT
  k2 feed --feed-urls ws://127.0.0.1:9443 --rest-url http://127.0.0.1:9443     # k2 exchange
  k2 feed --symbols BTCUSDT,SOLUSDT --no-quotes --metrics-port 9100
"""


@click.command(epilog=_EXAMPLES)
@click.option("--feed-urls", help="The exchange's WebSockets, with commas; the first is the primary.")
@click.option("--rest-url", help="Where missing trades are asked for; empty: gaps stay open.")
@click.option("--symbols", help="With commas.  [default: BTCUSDT,ETHUSDT]")
@click.option("--quotes/--no-quotes", default=None, help="Best bid and ask too.  [default: yes]")
@click.option("--kafka-bootstrap", help="HOST:PORT of some brokers, with commas.  [default: 127.0.0.1:9092]")
@click.option("--spool-dir", type=click.Path(file_okay=False, path_type=Path), help="What is on its way lies there.")
@click.option("--silence-s", type=float, help="Without a frame for so long a connection is dead.  [default: 20]")
@click.option("--attempts", type=int, help="End after so many failed connections in a row; 0: never.  [default: 0]")
@click.option("--metrics-port", type=int, help="Prometheus figures on 127.0.0.1.  [default: none]")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead of ./k2.toml.")
def feed(config: Path | None, **options: object) -> None:
    """Bring an exchange's trades and quotes to Kafka, each trade once, until it is stopped.

    What Kafka has not confirmed lies in the spool folder; a feed that is started again goes on there. Trades that did
    not come are asked for; what stays missing is told in the topic of gaps. Frames that cannot be used go to the dead
    letters: `k2 dlq list`.
    """
    settings = FeedSettings.load(config, **options)
    configure_logging(settings.log_level)
    with only_one(settings.spool_dir, "lock", "k2 feed", "--spool-dir"):
        asyncio.run(_run(settings))


async def _run(settings: FeedSettings) -> None:
    log = structlog.get_logger()
    figures = Figures()
    feed = Feed(settings, figures, registry_of(settings))
    server = None
    if settings.metrics_port is not None:
        try:
            server, _ = start_http_server(settings.metrics_port, "127.0.0.1", figures.registry)
        except OSError as error:
            raise SettingsError(
                f"Figures cannot be served on port {settings.metrics_port}: {error.strerror}."
            ) from None
        log.info("feed.metrics", port=server.server_port)
    task = asyncio.create_task(feed.run())
    ready = asyncio.create_task(_say_ready(feed))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("feed.stopped")
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        ready.cancel()
        if server is not None:
            server.shutdown()
            server.server_close()


async def _say_ready(feed: Feed) -> None:
    await feed.producer.ready.wait()
    structlog.get_logger().info("feed.ready")


def _first(group: "BaseExceptionGroup[BaseException]") -> BaseException:
    """Return the error that a person should see."""
    known = group.subgroup(K2Error)
    found: BaseException = known if known is not None else group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
