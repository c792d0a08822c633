"""Files taken in one after the other: each becomes recordings on the disk, then entries in the catalogue."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from focus_server.errors import RecordingError
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.import_entry import on_grid_of
from focus_server.recordings.import_file import open_sources
from focus_server.recordings.import_store import ImportStore
from focus_server.recordings.progress import Percent
from focus_server.recordings.source import MovedSource
from focus_server.recordings.told import Told

__all__ = ["Imported", "import_files"]


@dataclass(slots=True)
class Imported:
    """What was taken in: recordings that are new and that were there, and a sentence for each file that was refused."""

    added: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


async def import_files(address: MongoAddress, store: ImportStore, files: Sequence[Path], told: Told) -> Imported:
    """Import files. Raises `CatalogueDown` before anything is written, or when MongoDB goes away meanwhile.

    In that case what is on the disk is whole, and is entered by the next import or by `import --scan`.
    """
    done, seen = Imported(), list[RecordingEntry]()
    async with Catalogue(address) as catalogue:
        await catalogue.base_path(store.base)
        await asyncio.to_thread(store.prepare)
        for file in files:
            stop = threading.Event()
            try:
                entries, new = await asyncio.to_thread(_import, store, file, told, seen, stop)
            except asyncio.CancelledError:
                stop.set()  # the thread is waited for, and takes away what it has written of this file
                raise
            except RecordingError as error:
                done.refused.append(str(error) if file.name in str(error) else f"{file.name}: {error}")
                continue
            for entry in entries:
                await catalogue.finished(entry)
            done.added += new
            done.known += len(entries) - new
    return done


class _Stoppable(Percent):
    """Progress that ends the work when somebody wants so."""

    def __init__(self, what: str, stop: threading.Event) -> None:
        super().__init__(what)
        self._stop = stop

    def __call__(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise RecordingError("The import was interrupted; import the file again.")
        super().__call__(done, total)


def _import(
    store: ImportStore, file: Path, told: Told, seen: list[RecordingEntry], stop: threading.Event
) -> tuple[list[RecordingEntry], int]:
    """Import one file; `seen` are the recordings of the files before, whose grids go on."""
    if file.resolve().is_relative_to(store.base.resolve()):
        raise RecordingError(f"{file.name} lies in the folder of recordings already; enter it with --scan.")
    sources, notes = open_sources(file, told)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    entries, new = list[RecordingEntry](), 0
    for source in sources:
        moved = MovedSource(source, on_grid_of(source.entry, seen))
        stored, fresh = store.store(moved, _Stoppable(file.name, stop))
        seen.append(moved.entry)
        entries += stored
        new += fresh
    return entries, new
