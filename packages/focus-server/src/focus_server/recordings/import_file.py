"""Any file as sources: a recording of ours, SEG-Y, or whatever DASCore reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import h5py

from focus_server.errors import RecordingError
from focus_server.recordings.import_dascore import read_with_dascore
from focus_server.recordings.import_entry import renamed
from focus_server.recordings.prodml import read_entry
from focus_server.recordings.segy import SEGY
from focus_server.recordings.segy_read import SegySource, is_segy
from focus_server.recordings.source import MovedSource, RecordedSource, Source
from focus_server.recordings.told import Told

__all__ = ["open_sources"]

_OURS: Final = "focus_uuid"


def open_sources(path: Path, told: Told = Told()) -> tuple[list[Source], list[str]]:  # noqa: B008 - it is frozen
    """Open a file; gives its sources, and sentences on what was assumed. Raises `RecordingError`."""
    path = path.absolute()
    if _is_ours(path):
        source = RecordedSource(read_entry(path, path.parent))
        return [MovedSource(source, renamed(source.entry, told))], []
    notes: list[str] = []
    if path.suffix.lower() in SEGY or is_segy(path):
        segy = SegySource(path, told)
        return [segy], [f"{path.name}: {note}" for note in segy.notes]
    sources: Sequence[Source] = read_with_dascore(path, told, notes)
    return list(sources), [f"{path.name}: {note}" for note in dict.fromkeys(notes)]


def _is_ours(path: Path) -> bool:
    """Tell whether a file has our attributes; a broken one of ours is then said to be broken, and not unknown."""
    try:
        if not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r", locking=False) as file:
            link = file.get("Acquisition", getlink=True)
            return isinstance(link, h5py.HardLink) and _OURS in file["Acquisition"].attrs
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise RecordingError(f"{path.name} cannot be read: {' '.join(str(error).split())}.") from None
