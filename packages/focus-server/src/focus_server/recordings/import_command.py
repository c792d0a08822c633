"""The command `import`."""

import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Final

import click

from focus_server.errors import FocusError
from focus_server.lock import only_one
from focus_server.log import configure_logging
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.import_store import ImportStore
from focus_server.recordings.importing import Imported, import_files
from focus_server.recordings.moment import moment_ns
from focus_server.recordings.prodml import IMPORTED
from focus_server.recordings.rebuild import Rebuilt, rebuild
from focus_server.recordings.told import Told
from focus_server.settings import RecordSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
_SHOWN: Final = 20
"""Files that are no recordings are named up to so many, then counted."""
_STEP: Final = 500
"""A line of progress comes after so many files, when nobody sits at a terminal."""

_EXAMPLES: Final = """\b
Examples:
  focus-server import survey.sgy --site north --units 1/s
  focus-server import --scan /data/recordings
"""


@click.command(name="import", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--scan", "folder", type=_FOLDER, help="Look through this folder and those below it, instead of FILES.")
@click.option("--recordings-dir", type=_NEW_FOLDER, help="Where imports go.  [default: var/focus/recordings]")
@click.option("--site", help="Name of the fibre.  [default: what the file says, or imported]")
@click.option("--fs", help="Samples per second, for example 1999.976, when the file rounds them or does not say them.")
@click.option("--start", help="Time of the first sample, such as 2026-11-21T10:54:30Z, when the file does not say it.")
@click.option("--dx", type=click.FloatRange(0, min_open=True), help="Distance of two channels, m.")
@click.option("--units", help="Units of the values, for example 1/s.")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def import_(
    files: Sequence[Path],
    folder: Path | None,
    recordings_dir: Path | None,
    site: str | None,
    fs: str | None,
    start: str | None,
    dx: float | None,
    units: str | None,
    config: Path | None,
) -> None:
    """Take files of other programs in as recordings, or enter recordings that the catalogue does not know.

    FILES may be SEG-Y, recordings that were exported, or what DASCore reads (pip install 'focus-server[dascore]').
    They are copied to the folder of recordings as ProdML files with exact times, where nothing deletes them, and
    entered in the MongoDB that FOCUS_MONGO_URL names, so that they can be viewed. All of a file is taken or nothing.
    Importing a file again changes nothing.

    With --scan the files stay as they are: each .h5 file of ours below the folder that has no entry gets one. Entries
    whose file is gone are noted as deleted. Files of other programs and broken ones are refused, named, and counted in
    the catalogue as unrecognized.

    Exit codes: 0 everything is entered, 1 some files were refused, 3 nothing could be done.
    """
    if bool(files) == (folder is not None):
        raise click.UsageError("Name files to import, or a folder with --scan.")
    settings = RecordSettings.load(config, recordings_dir=recordings_dir)
    configure_logging(settings.log_level)
    address = MongoAddress(settings.mongo_url.get_secret_value())
    if folder is not None:
        sys.exit(_tell_scanned(asyncio.run(_scan(address, folder))))
    told = Told(
        site=site,
        fs=None if fs is None else _rate(fs),
        start_ns=None if start is None else moment_ns(start),
        dx=dx,
        units=units,
    )
    base = settings.recordings_dir.absolute()
    with only_one(base / IMPORTED, ".import.lock", "import", "--recordings-dir", mode=0o755):
        store = ImportStore(base, settings.recording_s, settings.min_free_bytes)
        done = asyncio.run(import_files(address, store, files, told))
    for sentence in done.refused:
        click.echo(f"refused: {sentence}", err=True)
    click.echo(_imported(done, len(files)))
    sys.exit(1 if done.refused else 0)


def _imported(done: Imported, files: int) -> str:
    return (
        f"{files - len(done.refused)} of {files} files imported: {done.added} recordings added, "
        f"{done.known} were there already."
    )


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        rate = Fraction(0)
    if not 0 < rate <= 10**9:
        raise FocusError(f"{text!r} is no sampling rate; write it as a decimal such as 1999.976.")
    return rate


def _tell_scanned(done: Rebuilt) -> int:
    for sentence in done.sentences[:_SHOWN]:
        click.echo(f"refused: {sentence}", err=True)
    if len(done.sentences) > _SHOWN:
        click.echo(f"refused: and {len(done.sentences) - _SHOWN} more", err=True)
    renewed = f"{done.renewed} renewed, " if done.renewed else ""
    click.echo(
        f"{done.added} recordings added, {done.closed} closed, {renewed}{done.gone} without a file, "
        f"{done.unrecognized} files not recognized."
    )
    return 1 if done.unrecognized else 0


async def _scan(address: MongoAddress, folder: Path) -> Rebuilt:
    async with Catalogue(address) as catalogue:
        await catalogue.prepare()
        return await rebuild(catalogue, folder, 0, restore=True, progress=_tell)


def _tell(done: int, total: int) -> None:
    """Show how far it is: in place on a terminal, as lines now and then elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} files", err=True, nl=done == total)
    elif total and (done == total or done % _STEP == 0):
        click.echo(f"{done} of {total} files", err=True)
