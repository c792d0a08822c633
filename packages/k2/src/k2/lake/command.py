"""The command `ingest`."""

import sys
from pathlib import Path
from typing import Final

import click

from k2.lake.ingest import run_writers
from k2.lake.signals import ending
from k2.lake.tables import TABLES
from k2.log import configure_logging
from k2.settings import IngestSettings

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FED: Final = tuple(name for name, form in TABLES.items() if form.fed)
_INTERRUPTED: Final = 130


@click.command(
    epilog="\b\nExamples:\n  k2 ingest\n  k2 ingest trades --flush-rows 200000\n  K2_METRICS_PORT=9102 k2 ingest"
)
@click.argument("tables", nargs=-1, type=click.Choice(_FED))
@click.option("--flush-rows", type=click.IntRange(1), help="Commit at so many rows.  [default: 50000]")
@click.option("--flush-s", type=float, help="Commit when the first row has waited so many seconds.  [default: 1]")
@click.option("--config", type=_FILE, help="Settings file instead of ./k2.toml.")
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
