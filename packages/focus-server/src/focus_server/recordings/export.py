"""A source as one file, SEG-Y rev 2 or ProdML (HDF5): it appears under its name when it is whole, or not at all."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from focus_server.errors import FocusError, RecordingError
from focus_server.recordings.new_file import free_bytes, sync
from focus_server.recordings.prodml import part_name, write_recording
from focus_server.recordings.segy import SEGY
from focus_server.recordings.segy_write import write_segy
from focus_server.recordings.source import Samples, Source

__all__ = ["HDF5", "Progress", "check_target", "pieces", "write_export"]

HDF5: Final = frozenset({".h5", ".hdf5"})
Progress = Callable[[int, int], None]

_MOST_SAMPLES: Final = 2**31 - 1
_PIECE_BYTES: Final = 64 * 2**20


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise `FocusError` when a file cannot be written there, before anything is read."""
    if target.suffix.lower() not in SEGY | HDF5:
        raise FocusError(
            f"The format of {target.name} is not known; its name must end with .sgy or .segy (SEG-Y), or .h5 or .hdf5."
        )
    if not target.parent.is_dir():
        raise FocusError(f"The folder {target.parent} does not exist; make it, or choose another.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FocusError(f"{target} exists already; choose another name, or say --overwrite.")


def write_export(source: Source, target: Path, progress: Progress = lambda done, total: None) -> None:
    """Write a source to `target`, whose name says the format; what had that name is replaced at the end.

    `progress` is told how much of how much is done. Raises `RecordingError` when a source cannot be read, and
    `FocusError` when the disk does not take the file; then nothing is left of it.
    """
    entry = source.entry
    if entry.samples > _MOST_SAMPLES:
        raise RecordingError(f"{entry.samples} samples of a channel do not fit in one file; export a shorter time.")
    is_segy = target.suffix.lower() in SEGY
    needed = entry.samples * entry.channels * (4 if is_segy or entry.dtype == "float32" else 2)
    free = free_bytes(target.parent)
    if free < needed:
        raise FocusError(f"{target.name} needs {needed} bytes and {free} are free; make room, or export less.")
    try:
        if is_segy:
            _export_segy(source, target, progress)
        else:
            named = entry.model_copy(update={"path": target.name})
            write_recording(named, pieces(source, progress), source.gaps, target.parent)
    except OSError as error:
        raise FocusError(f"{target} cannot be written: {error.strerror or error}; nothing is left of it.") from None


def pieces(source: Source, progress: Progress = lambda done, total: None) -> Iterator[Samples]:
    """Read a source piece by piece, [time, channel]; each is of whole seconds as far as it stays small."""
    entry = source.entry
    second = max(1, round(entry.fs))
    fit = max(1, _PIECE_BYTES // (entry.channels * 4))
    step = fit // second * second or fit
    for begin in range(entry.first_sample, entry.end_sample, step):
        end = min(entry.end_sample, begin + step)
        yield source.read(begin, end, 1, entry.channels)
        progress(end - entry.first_sample, entry.samples)


def _export_segy(source: Source, target: Path, progress: Progress) -> None:
    part = target.with_name(part_name(target.name))
    try:
        write_segy(source, part, progress)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    sync(target.parent)
