"""Recordings as ProdML 2.1 files (HDF5): written whole or not at all, and described so that a file explains itself.

A file appears under its name only after everything in it is on the disk, so whatever has a name is whole. Beside what
ProdML asks for, `/Acquisition` carries every field of the recording's entry as an attribute `focus_...`, and the
dataset `focus_gaps` says which samples are missing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from focus_server import __version__
from focus_server.errors import RecordingError
from focus_server.fiber import FiberGrid
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.new_file import new_file, sync

__all__ = [
    "CHUNK_CHANNELS",
    "IMPORTED",
    "gap_table",
    "open_recording",
    "part_name",
    "raw_data",
    "read_entry",
    "write_recording",
]

CHUNK_CHANNELS: Final = 64
IMPORTED: Final = "imported.d"
"""Below a folder of recordings, what was imported; no site has such a name, so the recorder keeps its hands off it."""
SCHEMA: Final = "2.1"

_GROUP: Final = "Acquisition"
_RAW: Final = "Acquisition/Raw[0]/RawData"
_TIME: Final = "Acquisition/Raw[0]/RawDataTime"
_GAPS: Final = "Acquisition/focus_gaps"
_PREFIX: Final = "focus_"
_OF_THE_PLACE: Final = frozenset({"base_path", "path", "deleted"})
"""What the file's own place says, not its content."""
_KNOWN_UNITS: Final = frozenset({"1/s", "m/s", "m", "rad", "rad/s", "Pa", "strain", "strain/s", "count", "counts", "V"})
"""Units that readers of ProdML understand; others stand in `focus_units` only."""
_MEBI: Final = 2**20


def part_name(name: str) -> str:
    """Return the name of a file while it is written; it lies beside the finished one."""
    return f".{name}.part"


def write_recording(
    entry: RecordingEntry, data: NDArray[Any] | Iterable[NDArray[Any]], gaps: NDArray[np.int64], folder: Path
) -> Path:
    """Write a finished recording to `entry.path` below `folder`, replacing the file that has its name.

    `data` is [time, channel] as on the wire, whole or in pieces that follow each other; `gaps` [n, 4] holds
    first_sample, end_sample (both on the fibre's grid), first_channel, last_channel of what is missing, where `data`
    must be 0 (int16) or NaN (float32). Raises OSError when the disk does not take it; then nothing is left of it.
    """
    path = entry.model_copy(update={"base_path": str(folder)}).file()
    new_folders = _make_folders(path.parent, folder)
    part = path.with_name(part_name(path.name))
    try:
        with new_file(part) as target, h5py.File(target, "w") as file:
            _write_content(file, entry, data, gaps)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    for changed in (path.parent, *new_folders):
        sync(changed)
    return path


def _write_content(
    file: h5py.File, entry: RecordingEntry, data: NDArray[Any] | Iterable[NDArray[Any]], gaps: NDArray[np.int64]
) -> None:
    fs = float(entry.fs)
    common = {"NumberOfLoci": entry.channels, "StartLocusIndex": round(entry.fiber_start_meters / entry.dx)}
    group = file.create_group(_GROUP)
    group.attrs.update(
        _described(entry)
        | common
        | {
            "schemaVersion": SCHEMA, "uuid": entry.uuid, "AcquisitionId": entry.uuid, "FacilityId": [entry.site],
            "VendorCode": f"focus-server {__version__}", "MeasurementStartTime": _iso(entry.start_ns),
            "TriggeredMeasurement": False, "MinimumFrequency": 0.0, "MaximumFrequency": fs / 2,
            "PulseRate": fs, "PulseRate.uom": "Hz", "PulseWidth": np.nan, "PulseWidth.uom": "ns",
            "GaugeLength": np.nan, "GaugeLength.uom": "m",
            "SpatialSamplingInterval": entry.dx, "SpatialSamplingInterval.uom": "m",
        }
    )  # fmt: skip
    chunk = (max(1, min(entry.samples, round(fs))), min(CHUNK_CHANNELS, entry.channels))
    raw = file.create_dataset(_RAW, (entry.samples, entry.channels), np.dtype(entry.dtype), chunks=chunk)
    _fill(raw, [data] if isinstance(data, np.ndarray) else data)
    times_ns = sample_times_ns(entry)
    times = file.create_dataset(_TIME, data=times_ns // 1000)
    part = {"PartStartTime": _iso(int(times_ns[0])), "PartEndTime": _iso(int(times_ns[-1])), "StartIndex": 0}
    raw.attrs.update(part | {"Dimensions": ["time", "locus"], "Count": raw.size})
    times.attrs.update(part | {"Count": entry.samples})
    raw.parent.attrs.update(
        common | {"uuid": entry.uuid, "RawIndex": 0, "OutputDataRate": fs, "OutputDataRate.uom": "Hz"}
    )
    if entry.units in _KNOWN_UNITS:
        raw.parent.attrs["RawDataUnit"] = entry.units if entry.scale == "1" else f"{entry.scale} {entry.units}"
    file.create_dataset(_GAPS, data=np.asarray(gaps, dtype=np.int64).reshape(-1, 4))


def _fill(raw: h5py.Dataset, pieces: Iterable[NDArray[Any]]) -> None:
    done = 0
    for piece in pieces:
        end = done + len(piece)
        if piece.shape[1:] != raw.shape[1:] or piece.dtype != raw.dtype or end > len(raw):
            raise ValueError(f"data of shape {piece.shape} and type {piece.dtype} is not what the entry describes")
        raw[done:end] = piece
        done = end
    if done != len(raw):
        raise ValueError(f"data of {done} samples is not the {len(raw)} that the entry describes")


def sample_times_ns(entry: RecordingEntry) -> NDArray[np.int64]:
    """Return when each sample of a recording was taken, ns since 1970, as `FiberGrid.time_ns` gives them."""
    before, rest = divmod(entry.first_sample * 1_000_000_000 * entry.fs_den, entry.fs_num)
    period, fraction = divmod(1_000_000_000 * entry.fs_den, entry.fs_num)
    fits = entry.samples * fraction + 2 * entry.fs_num < 2**63
    index = np.arange(entry.samples, dtype=np.int64 if fits else object)
    times = index * period - (-(rest + index * fraction) // entry.fs_num)
    return np.asarray(times, dtype=np.int64) + (entry.t0_ns + before)


def _described(entry: RecordingEntry) -> dict[str, Any]:
    """Return the entry as attributes: integers as int64, decimals as text, so that nothing is rounded."""
    fields = entry.model_dump(exclude=set(_OF_THE_PLACE), exclude_none=True)
    return {_PREFIX + name: np.int64(value) if isinstance(value, int) else str(value) for name, value in fields.items()}


def read_entry(path: Path, base_path: Path) -> RecordingEntry:
    """Rebuild a recording's entry from its file alone; `base_path` is the folder above it that the catalogue knows."""
    with open_recording(path) as file:
        attributes = {
            name.removeprefix(_PREFIX): value.item() if isinstance(value, np.generic) else value
            for name, value in file[_GROUP].attrs.items()
            if name.startswith(_PREFIX)
        }
        try:
            entry = RecordingEntry.model_validate(
                {
                    **{name: value for name, value in attributes.items() if name not in _OF_THE_PLACE},
                    "base_path": str(base_path),
                    "path": path.relative_to(base_path).as_posix(),
                }
            )
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordingError(f"The recording {path.name} is wrong at {_PREFIX}{where}: {first['msg']}.") from None
        _check_against_data(entry, raw_data(file), path)
    return entry


def _check_against_data(entry: RecordingEntry, raw: h5py.Dataset, path: Path) -> None:
    if raw.shape != (entry.samples, entry.channels) or raw.dtype != np.dtype(entry.dtype).newbyteorder("<"):
        raise RecordingError(
            f"The recording {path.name} holds {raw.dtype} of shape {raw.shape}, but its attributes say {entry.dtype}"
            f" of shape {(entry.samples, entry.channels)}."
        )
    grid = FiberGrid(entry.t0_ns, entry.fs_num, entry.fs_den)
    if (entry.start_ns, entry.end_ns) != (grid.time_ns(entry.first_sample), grid.time_ns(entry.end_sample)):
        raise RecordingError(f"The recording {path.name} has times that do not fit its own grid.")


@contextmanager
def open_recording(path: Path) -> Iterator[h5py.File]:
    """Open a recording for reading. Raises RecordingError when it is gone, broken or not one of ours."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.get(_GROUP, getclass=True, getlink=True) is not h5py.HardLink:
                raise RecordingError(f"{path.name} is not a recording: it has no {_GROUP}.")
            yield file
    except RecordingError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
        raise RecordingError(f"The recording {path.name} cannot be read: {cause}.") from None


def raw_data(file: h5py.File) -> h5py.Dataset:
    """Return the samples [time, locus] of an open recording."""
    return _own_dataset(file, _RAW, 2)


def gap_table(file: h5py.File) -> NDArray[np.int64]:
    """Return what is missing in an open recording, [n, 4]: first_sample, end_sample, first_channel, last_channel."""
    dataset = _own_dataset(file, _GAPS, 2)
    if dataset.dtype != np.dtype("<i8") or dataset.shape[1] != 4 or dataset.nbytes > 16 * _MEBI:
        raise RecordingError("A recording's table of gaps is not four columns of int64.")
    return np.asarray(dataset[:], dtype=np.int64)


def _own_dataset(file: h5py.File, name: str, dimensions: int) -> h5py.Dataset:
    """Return a dataset that lies in the file itself: links and storage outside could name any file of this machine."""
    place: Any = file
    for part in name.split("/"):
        if not isinstance(place, h5py.Group) or place.get(part, getclass=True, getlink=True) is not h5py.HardLink:
            raise RecordingError(f"A recording has no {name} of its own; links to elsewhere are not followed.")
        place = place[part]
    if not isinstance(place, h5py.Dataset) or place.external is not None or place.is_virtual:
        raise RecordingError(f"A recording's {name} does not lie in the file itself; it is not read.")
    if place.ndim != dimensions:
        raise RecordingError(f"A recording's {name} has {place.ndim} dimensions; it must have {dimensions}.")
    return place


def _iso(time_ns: int) -> str:
    return f"{np.datetime64(time_ns, 'ns')}Z"


def _make_folders(folder: Path, base: Path) -> list[Path]:
    """Make a folder below `base`; return the folders that thereby got a new entry."""
    changed = [place.parent for place in (folder, *folder.parents) if place.is_relative_to(base) and not place.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    return changed
