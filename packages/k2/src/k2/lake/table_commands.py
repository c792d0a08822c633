"""The commands `candles`, `compact`, `expire` and `repair`, which need the lake only and nothing of Kafka."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from k2.errors import LakeDown, LakeError, NotCommitted
from k2.lake.catalog import open_catalog
from k2.lake.compaction import compact as compact_table
from k2.lake.expiry import expire as expire_snapshots
from k2.lake.expiry import sweep
from k2.lake.repair import find, mend
from k2.lake.signals import ending
from k2.lake.table import LakeTable
from k2.lake.tables import FRAMES, TABLES
from k2.log import configure_logging
from k2.settings import LakeSettings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG: Final = click.option("--config", type=_FILE, help="Settings file instead of ./k2.toml.")
_FED: Final = tuple(name for name, form in TABLES.items() if form.fed)
_INTERRUPTED: Final = 130
_PATIENCE_S: Final = 60.0
_AGAIN_S: Final = 0.5

T = TypeVar("T")


@click.command(epilog="\b\nExamples:\n  k2 candles\n  k2 candles 1m 1d --whole\n  k2 candles --every 5")
@click.argument("frames", nargs=-1, type=click.Choice(tuple(FRAMES)))
@click.option("--whole", is_flag=True, help="Make all candles anew, not only those whose trades changed.")
@click.option("--every", type=click.FloatRange(0.1), help="Go on, at most so often, in seconds, until it is ended.")
@_CONFIG
def candles(frames: tuple[str, ...], whole: bool, every: float | None, config: Path | None) -> None:
    """Make candles from the trades; without FRAMES of all lengths.

    SIGTERM and Ctrl-C end it after the length in hand; the same command goes on from there.
    """
    from k2.lake.candle_runs import CandleRuns  # which needs an engine that the other commands do without

    settings = LakeSettings.load(config)
    configure_logging(settings.log_level)
    with ending() as stop:
        runs = CandleRuns(settings, frames or tuple(FRAMES))
        for frame in frames or FRAMES:
            _end_if(stop.event)
            made = _patiently(lambda frame=frame: runs.run(frame, whole=whole), stop.event)  # type: ignore[misc]
            click.echo(f"{frame}: {made} candles made", err=True)
        if every is None:
            return
        from k2.lake.figures import WriterFigures

        runs.watch(every, stop.event, WriterFigures())
    if stop.interrupted:
        sys.exit(_INTERRUPTED)


@click.command(epilog="\b\nExamples:\n  k2 compact\n  k2 compact trades")
@click.argument("tables", nargs=-1, type=click.Choice(tuple(TABLES)))
@_CONFIG
def compact(tables: tuple[str, ...], config: Path | None) -> None:
    """Join small files of the tables, of all without TABLES; a writer may go on meanwhile.

    SIGTERM and Ctrl-C end it after the files in hand; the same command goes on from there.
    """

    def one(table: LakeTable, stop: threading.Event) -> str:
        done = compact_table(table, _progress(f"{table.form.name}: joining group"), stop)
        return f"{done.before} files with {done.rows} rows became {done.after}"

    _each(tables, config, one)


@click.command(epilog="\b\nExamples:\n  k2 expire\n  k2 expire trades --keep-s 0 --sweep-after-s 0")
@click.argument("tables", nargs=-1, type=click.Choice(tuple(TABLES)))
@click.option("--keep-s", type=click.FloatRange(0), help="Take older snapshots off the list.  [default: 300]")
@click.option("--sweep-after-s", type=click.FloatRange(0), help="Delete unneeded files so old.  [default: 600]")
@_CONFIG
def expire(tables: tuple[str, ...], keep_s: float | None, sweep_after_s: float | None, config: Path | None) -> None:
    """Take old snapshots off the tables' lists, and delete files that no snapshot needs any more.

    SIGTERM and Ctrl-C end it between two files; the same command goes on from there.
    """
    settings = LakeSettings.load(config)

    def one(table: LakeTable, stop: threading.Event) -> str:
        kept_s = settings.snapshot_keep_s if keep_s is None else keep_s
        gone = expire_snapshots(table, kept_s, settings.snapshot_keep)
        after_s = settings.sweep_after_s if sweep_after_s is None else sweep_after_s
        swept = sweep(table, after_s, _looked(table.form.name), stop)
        return f"{gone} snapshots off the list, {swept.files} files with {swept.size_bytes} bytes deleted"

    _each(tables, config, one)


@click.command(
    epilog="\b\nExamples:\n  k2 repair trades\n  k2 repair trades --yes\n"
    "  k2 repair trades --offset market.crypto.trades.binance:0=4711 --yes"
)
@click.argument("table", type=click.Choice(_FED))
@click.option("--offset", "given", multiple=True, metavar="TOPIC:PARTITION=NEXT", help="Go on from here instead.")
@click.option("--yes", is_flag=True, help="Do it; without this only what would be done is said.")
@_CONFIG
def repair(table: str, given: tuple[str, ...], yes: bool, config: Path | None) -> None:
    """Say anew how far the rows of a table go, when its newest snapshot does not or Kafka lacks what comes next."""
    settings = LakeSettings.load(config)
    lake = LakeTable(open_catalog(settings), TABLES[table])
    found = find(lake)
    offsets = found.offsets.after(dict(_offset(text) for text in given))
    if found.whole and not given:
        click.echo(f"{table}: the newest snapshot says how far its rows go: {offsets.text()}; nothing to do.")
        return
    click.echo(f"{table}: {found.later} snapshots after the last one that says how far its rows go.")
    click.echo(f"{table}: the writer would go on from {offsets.text()}.")
    if not yes:
        click.echo("Nothing was changed; --yes does it.")
        return
    mend(lake, offsets)
    click.echo(f"{table}: done.")


def _each(names: tuple[str, ...], config: Path | None, work: Callable[[LakeTable, threading.Event], str]) -> None:
    settings = LakeSettings.load(config)
    with ending() as stop:
        for name in names or TABLES:
            _end_if(stop.event)

            def one(name: str = name) -> str:
                return work(LakeTable(open_catalog(settings), TABLES[name]), stop.event)

            click.echo(f"{name}: {_patiently(one, stop.event)}")
        _end_if(stop.event)


def _patiently(work: Callable[[], T], stop: threading.Event) -> T:
    """Do something again while the lake does not answer or somebody else was quicker, for a while, and say so."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return work()
        except (LakeDown, NotCommitted) as error:
            if time.monotonic() > deadline_s:
                raise
            click.echo(f"waiting: {error}", err=True)
        stop.wait(_AGAIN_S)
        _end_if(stop)


def _end_if(stop: threading.Event) -> None:
    if stop.is_set():
        click.echo("Ended early; what was done stays, and the same command goes on from there.", err=True)
        sys.exit(_INTERRUPTED)


def _looked(name: str) -> Callable[[int], None]:
    return lambda files: click.echo(f"{name}: looked at {files} files", err=True)


def _progress(words: str) -> Callable[[int, int], None]:
    return lambda done, of: click.echo(f"{words} {done + 1} of {of}", err=True)


def _offset(text: str) -> tuple[tuple[str, int], int]:
    topic, _, rest = text.rpartition(":")
    partition, _, offset = rest.partition("=")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        raise LakeError(f"--offset is {text!r}; write it as TOPIC:PARTITION=NEXT, for example trades:0=4711.")
    return (topic, int(partition)), int(offset)
