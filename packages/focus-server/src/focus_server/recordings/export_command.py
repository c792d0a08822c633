"""The command `export`."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from focus_server.errors import FocusError, RecordingError
from focus_server.log import configure_logging
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.export import check_target, write_export
from focus_server.recordings.import_file import open_sources
from focus_server.recordings.moment import moment_ns
from focus_server.recordings.progress import Percent
from focus_server.recordings.selection import Selection, TimeRange
from focus_server.recordings.source import RecordedSource, Source
from focus_server.settings import RecordSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TARGET = click.Path(path_type=Path)

_EXAMPLES: Final = """\b
Examples:
  focus-server export --start 2026-11-21T10:54:00Z --end 2026-11-21T10:55:00Z --channels 1-98 --to minute.sgy
  focus-server export recording.h5 --to recording.sgy
"""


@click.command(epilog=_EXAMPLES)
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--to", "target", type=_TARGET, required=True, help="New file; its name ends with .sgy or .h5.")
@click.option("--start", help="From this time on, such as 2026-11-21T10:54:30Z; needed without FILES.")
@click.option("--end", help="Until before this time; needed without FILES.")
@click.option("--channels", help='Channels of the fibre, for example "7" or "1-98".  [default: all]')
@click.option("--site", help="Only recordings of this site.")
@click.option("--overwrite", is_flag=True, help="Replace the file that has this name.")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def export(
    files: Sequence[Path],
    target: Path,
    start: str | None,
    end: str | None,
    channels: str | None,
    site: str | None,
    overwrite: bool,
    config: Path | None,
) -> None:
    """Write what was recorded as one file, SEG-Y rev 2 or HDF5 (ProdML 2.1).

    Without FILES the recordings of that time are found in the MongoDB that FOCUS_MONGO_URL names. FILES may be
    recordings, SEG-Y, or what DASCore reads, so this also converts. Times are UTC, with up to nine decimals, or seconds
    since 1970. Values, sampling rate and times are kept to the last bit; what is missing is told apart from zero. The
    file appears when it is whole.

    Exit codes: 0 done, 1 done but a recording could not be read and is a gap, 3 nothing was written.
    """
    settings = RecordSettings.load(config)
    configure_logging(settings.log_level)
    times = (None if start is None else moment_ns(start), None if end is None else moment_ns(end))
    chosen = None if channels is None else _channels(channels)
    check_target(target, overwrite=overwrite)
    if files:
        sources, refused = _from_files(files), list[str]()
    else:
        sources, refused = _from_catalogue(MongoAddress(settings.mongo_url.get_secret_value()), times, site)
    sources = [source for source in sources if site is None or source.entry.site == site]
    if not sources:
        raise FocusError("There is nothing recorded in that time; choose another, or another --site.")
    selection = Selection(sources, times, chosen)
    write_export(selection, target, Percent("exported"))
    for sentence in refused:
        click.echo(f"left out: {sentence}", err=True)
    click.echo(_summary(target, selection))
    sys.exit(1 if refused else 0)


def _from_files(files: Sequence[Path]) -> list[Source]:
    sources: list[Source] = []
    for file in files:
        found, notes = open_sources(file)
        sources += found
        for note in notes:
            click.echo(f"note: {note}", err=True)
    return sources


def _from_catalogue(address: MongoAddress, times: TimeRange, site: str | None) -> tuple[list[Source], list[str]]:
    """Give the recordings that can be read, and a sentence for each one that cannot."""
    start_ns, end_ns = times
    if start_ns is None or end_ns is None:
        raise FocusError("Say which time to export with --start and --end, or which files.")
    if end_ns <= start_ns:
        raise FocusError("--end must be after --start.")
    sources: list[Source] = []
    refused = []
    for entry in asyncio.run(_find(address, start_ns, end_ns)):
        if site is not None and entry.site != site:
            continue
        try:
            sources.append(RecordedSource(entry))
        except RecordingError as error:
            refused.append(str(error))
    return sources, refused


async def _find(address: MongoAddress, start_ns: int, end_ns: int) -> list[RecordingEntry]:
    async with Catalogue(address) as catalogue:
        return await catalogue.find(start_ns, end_ns)


def _channels(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not low.isdecimal() or not (high or low).isdecimal() or text.endswith("-"):
        raise FocusError(f"{text!r} are no channels; write them as 7 or as 1-98.")
    return int(low), int(high or low)


def _summary(target: Path, selection: Selection) -> str:
    entry = selection.entry
    gap = f", {selection.missing_samples} of them missing" if selection.missing_samples else ""
    rate = f"{float(entry.fs):.9g}"
    return f"{target}: {entry.channels} channels, {entry.samples} samples{gap}, {rate} samples/s, {entry.units}."
