"""The command `import`."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click

from focus_server.log import configure_logging
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.rebuild import Rebuilt, rebuild
from focus_server.settings import RecordSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_SHOWN: Final = 20
"""Files that are no recordings are named up to so many, then counted."""
_STEP: Final = 500
"""A line of progress comes after so many files, when nobody sits at a terminal."""


@click.command(name="import")
@click.option("--scan", "folder", type=_FOLDER, required=True, help="Look through this folder and those below it.")
@click.option("--config", type=_FILE, help="Settings file instead of ./focus.toml.")
def import_(folder: Path, config: Path | None) -> None:
    """Enter recordings that the catalogue does not know.

    Reads the attributes of every .h5 file below FOLDER that has no entry, and enters it in the MongoDB that
    FOCUS_MONGO_URL names; the files stay as they are. Entries whose file is gone are noted as deleted. Files of other
    programs and broken ones are refused, named, and counted in the catalogue as unrecognized.

    Exit codes: 0 everything is entered, 1 some files were refused, 3 nothing could be done.
    """
    settings = RecordSettings.load(config)
    configure_logging(settings.log_level)
    address = MongoAddress(settings.mongo_url.get_secret_value())
    done = asyncio.run(_import(address, folder))
    for sentence in done.sentences[:_SHOWN]:
        click.echo(f"refused: {sentence}", err=True)
    if len(done.sentences) > _SHOWN:
        click.echo(f"refused: and {len(done.sentences) - _SHOWN} more", err=True)
    click.echo(
        f"{done.added} recordings added, {done.closed} closed, {done.gone} without a file, "
        f"{done.unrecognized} files not recognized."
    )
    sys.exit(1 if done.unrecognized else 0)


async def _import(address: MongoAddress, folder: Path) -> Rebuilt:
    async with Catalogue(address) as catalogue:
        await catalogue.prepare()
        return await rebuild(catalogue, folder, 0, restore=True, progress=_tell)


def _tell(done: int, total: int) -> None:
    """Show how far it is: in place on a terminal, as lines now and then elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} files", err=True, nl=done == total)
    elif total and (done == total or done % _STEP == 0):
        click.echo(f"{done} of {total} files", err=True)
