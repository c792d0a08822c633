"""The commands `ingest`, `candles`, `compact`, `expire` and `repair`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from k2.errors import LakeError, NotCommitted
from k2.lake.candle_runs import CandleRuns
from k2.lake.catalog import open_catalog
from k2.lake.compaction import compact as compact_table
from k2.lake.expiry import expire as expire_snapshots
from k2.lake.expiry import sweep
from k2.lake.figures import WriterFigures
from k2.lake.ingest import run_writers
from k2.lake.repair import find, mend
from k2.lake.signals import ending
from k2.lake.table import LakeTable
from k2.lake.tables import FRAMES, TABLES
from k2.log import configure_logging
from k2.settings import IngestSettings, LakeSettings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG: Final = click.option("--config", type=_FILE, help="Settings file instead of ./k2.toml.")
_FED: Final = tuple(name for name, form in TABLES.items() if form.fed)
_INTERRUPTED: Final = 130
_TRIES: Final = 5


@click.command(
    epilog="\b\nExamples:\n  k2 ingest\n  k2 ingest trades --flush-rows 200000\n  K2_METRICS_PORT=9102 k2 ingest"
)
@click.argument("tables", nargs=-1, type=click.Choice(_FED))
@click.option("--flush-rows", type=click.IntRange(1), help="Commit at so many rows.  [default: 50000]")
@click.option("--flush-s", type=float, help="Commit when the first row has waited so many seconds.  [default: 1]")
@_CONFIG
def ingest(tables: tuple[str, ...], flush_rows: int | None, flush_s: float | None, config: Path | None) -> None:
    """Write what Kafka has to the tables, each record exactly once, and keep their candles up to date.

    Without TABLES it writes all of them: trades and quotes. One such program per table; a second one does no harm, but
    each of them spends its time on losing races. SIGTERM and Ctrl-C commit what was read, then end it.
    """
    settings = IngestSettings.load(config, flush_rows=flush_rows, flush_s=flush_s)
    configure_logging(settings.log_level)
    with ending() as stop:
        run_writers(settings, [TABLES[name] for name in tables or _FED], stop.event)
    if stop.interrupted:
        sys.exit(_INTERRUPTED)


@click.command(epilog="\b\nExamples:\n  k2 candles\n  k2 candles 1m 1d --whole\n  k2 candles --every 5")
@click.argument("frames", nargs=-1, type=click.Choice(tuple(FRAMES)))
@click.option("--whole", is_flag=True, help="Make all candles anew, not only those whose trades changed.")
@click.option("--every", type=click.FloatRange(0.1), help="Go on, at most so often, in seconds, until it is ended.")
@_CONFIG
def candles(frames: tuple[str, ...], whole: bool, every: float | None, config: Path | None) -> None:
    """Make candles from the trades; without FRAMES of all lengths."""
    settings = LakeSettings.load(config)
    configure_logging(settings.log_level)
    runs = CandleRuns(settings, frames or tuple(FRAMES))
    with ending() as stop:
        for frame in frames or FRAMES:
            if stop.event.is_set():
                break
            click.echo(f"{frame}: {runs.run(frame, whole=whole)} candles made", err=True)
        if every is not None:
            runs.watch(every, stop.event, WriterFigures())
    if stop.interrupted:
        sys.exit(_INTERRUPTED)


@click.command(epilog="\b\nExamples:\n  k2 compact\n  k2 compact trades")
@click.argument("tables", nargs=-1, type=click.Choice(tuple(TABLES)))
@_CONFIG
def compact(tables: tuple[str, ...], config: Path | None) -> None:
    """Join small files of the tables, of all without TABLES; a writer may go on meanwhile."""

    def one(table: LakeTable) -> str:
        done = compact_table(table, _progress(f"{table.form.name}: joining group"))
        return f"{done.before} files with {done.rows} rows became {done.after}"

    _each(tables, config, one)


@click.command(epilog="\b\nExamples:\n  k2 expire\n  k2 expire trades --keep-s 0 --sweep-after-s 0")
@click.argument("tables", nargs=-1, type=click.Choice(tuple(TABLES)))
@click.option("--keep-s", type=click.FloatRange(0), help="Take older snapshots off the list.  [default: 300]")
@click.option("--sweep-after-s", type=click.FloatRange(0), help="Delete unneeded files so old.  [default: 600]")
@_CONFIG
def expire(tables: tuple[str, ...], keep_s: float | None, sweep_after_s: float | None, config: Path | None) -> None:
    """Take old snapshots off the tables' lists, and delete files that no snapshot needs any more."""
    settings = LakeSettings.load(config)

    def one(table: LakeTable) -> str:
        kept_s = settings.snapshot_keep_s if keep_s is None else keep_s
        gone = expire_snapshots(table, kept_s, settings.snapshot_keep)
        after_s = settings.sweep_after_s if sweep_after_s is None else sweep_after_s
        swept = sweep(table, after_s, lambda files: click.echo(f"{table.form.name}: looked at {files} files", err=True))
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


def _each(names: tuple[str, ...], config: Path | None, work: Callable[[LakeTable], str]) -> None:
    settings = LakeSettings.load(config)
    catalog = open_catalog(settings)
    for name in names or TABLES:
        table = LakeTable(catalog, TABLES[name])
        for tries_left in reversed(range(_TRIES)):
            try:
                click.echo(f"{name}: {work(table)}")
                break
            except NotCommitted:
                if not tries_left:
                    raise
                table.reload()


def _progress(words: str) -> Callable[[int, int], None]:
    return lambda done, of: click.echo(f"{words} {done + 1} of {of}", err=True)


def _offset(text: str) -> tuple[tuple[str, int], int]:
    topic, _, rest = text.rpartition(":")
    partition, _, offset = rest.partition("=")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        raise LakeError(f"--offset is {text!r}; write it as TOPIC:PARTITION=NEXT, for example trades:0=4711.")
    return (topic, int(partition)), int(offset)
