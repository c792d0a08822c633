"""The command `dlq`."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from k2.bus.codecs import Codec, registry_of
from k2.bus.letters import DeadLetter, read_letters, send
from k2.errors import BusError, CodecError
from k2.feed.frames import read_frame
from k2.log import configure_logging
from k2.schema import QUOTE, TRADE, Quote, Trade
from k2.settings import DlqSettings

_CONFIG: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_NAME: Final = re.compile(r"[^:]+:\d+:\d+")
_BATCH: Final = 1000
_EXAMPLES: Final = """\b
Examples:
  k2 dlq list
  k2 dlq list --reason precision --limit 20 --json
  k2 dlq replay --reason unknown_schema
  k2 dlq replay market.crypto.trades.binance.dlq:0:17
"""


@click.group(epilog=_EXAMPLES)
def dlq() -> None:
    """List or replay dead letters: frames and records that could not be used."""


@dlq.command(name="list")
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Everything about each, one JSON object a line.")
@click.option("--config", type=_CONFIG, help="Settings file instead of ./k2.toml.")
def list_(reason: str | None, limit: int | None, as_json: bool, config: Path | None) -> None:
    """List dead letters: where they lie, from where they came, why, and how they begin."""
    settings = DlqSettings.load(config)
    configure_logging(settings.log_level)
    seen: Counter[str] = Counter()
    for letter in _chosen(settings, reason, frozenset()):
        seen[letter.reason] += 1
        if as_json:
            click.echo(letter.as_json())
        else:
            click.echo(f"{letter.name}  {letter.origin}  {letter.reason}: {letter.headers.get('sentence', '')}")
            click.echo(f"    {letter.value[:100]!r}")
        if limit is not None and seen.total() >= limit:
            break
    words = ", ".join(f"{count} {name}" for name, count in sorted(seen.items())) or "none"
    click.echo(f"dead letters: {words}", err=True)


@dlq.command()
@click.argument("names", nargs=-1, metavar="[TOPIC:PARTITION:OFFSET]...")
@click.option("--reason", help="Those with this reason.")
@click.option("--all", "whole", is_flag=True, help="All of them.")
@click.option("--config", type=_CONFIG, help="Settings file instead of ./k2.toml.")
def replay(names: tuple[str, ...], reason: str | None, whole: bool, config: Path | None) -> None:
    """Try dead letters again: what can be used now is sent to its topic, the rest stays where it is.

    A trade that is sent a second time is stored once. Letters are never removed; Kafka forgets them by age.
    """
    if not (names or reason or whole):
        raise click.UsageError("Say which: their names from `k2 dlq list`, --reason, or --all.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise click.UsageError(f"{name} names no dead letter; write TOPIC:PARTITION:OFFSET.")
    settings = DlqSettings.load(config)
    configure_logging(settings.log_level)
    wanted = frozenset(names)
    tried: Counter[str] = Counter()
    batch: list[tuple[str, bytes, bytes]] = []
    again = _Again(settings)
    for letter in _chosen(settings, reason, wanted):
        try:
            batch.append(again.record(letter))
            tried["sent"] += 1
        except CodecError as error:
            tried["kept"] += 1
            click.echo(f"{letter.name} stays: {error.reason}: {error}")
        if len(batch) >= _BATCH:
            send(settings, batch)
            batch = []
            click.echo(f"dead letters: {tried['sent']} sent, {tried['kept']} stay", err=True)
    send(settings, batch)
    click.echo(f"dead letters: {tried['sent']} sent, {tried['kept']} stay", err=True)
    if missing := max(0, len(wanted) - tried.total()):
        raise BusError(f"{missing} of the {len(wanted)} named dead letters do not exist (any more).")


def _chosen(settings: DlqSettings, reason: str | None, wanted: frozenset[str]) -> Iterator[DeadLetter]:
    for letter in read_letters(settings, [settings.trades_topic, settings.quotes_topic]):
        if (reason is None or letter.reason == reason) and (not wanted or letter.name in wanted):
            yield letter


class _Again:
    """Makes of a dead letter the record that it should have been, if it is one by now."""

    def __init__(self, settings: DlqSettings) -> None:
        self._settings = settings
        registry = registry_of(settings)
        self._codecs = {
            settings.trades_topic: Codec(TRADE, registry, f"{settings.trades_topic}-value"),
            settings.quotes_topic: Codec(QUOTE, registry, f"{settings.quotes_topic}-value"),
        }

    def record(self, letter: DeadLetter) -> tuple[str, bytes, bytes]:
        """Return topic, key and value; raises CodecError when it still is none."""
        if letter.of_feed:
            received = letter.headers.get("received", "")
            content = read_frame(
                letter.value, int(received) if received.isdigit() else letter.laid_aside, letter.offset
            )
            if isinstance(content, Trade):
                return self._written(self._settings.trades_topic, content)
            if isinstance(content, Quote):
                return self._written(self._settings.quotes_topic, content)
            raise CodecError("unknown_event", "It is a notice, no record.")
        topic = letter.headers.get("topic", "")
        if topic not in self._codecs:
            raise CodecError("value", f"It is of the topic {topic!r}, which is neither that of trades nor of quotes.")
        rejected = self._codecs[topic].decode([letter.value]).rejected
        if rejected:
            raise CodecError(rejected[0].reason, rejected[0].sentence)
        return topic, letter.key, letter.value

    def _written(self, topic: str, record: Trade | Quote) -> tuple[str, bytes, bytes]:
        return topic, record.symbol.encode(), self._codecs[topic].encode(record)
