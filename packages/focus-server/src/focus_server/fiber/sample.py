"""The sample recording: taken out of the one pickle that carries it and kept as .npy and JSON, never unpickled again.

A pickle runs code when it is read. So the file's size and sha256 are checked first, and even then only the exact
(module, name) pairs it needs are resolved, none of them by importing the module that the pickle names.
"""

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy._core import multiarray

from focus_server.errors import FocusError
from focus_server.fiber.recording import Recording

SAMPLE_NAME: Final = "sample"

ADMITTED: Final[Mapping[tuple[str, str], Any]] = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy.core.multiarray", "scalar"): multiarray.scalar,
    ("daspy.core.dasdatetime", "DASDateTime"): datetime,
    ("datetime", "timezone"): timezone,
    ("datetime", "timedelta"): timedelta,
}


@dataclass(frozen=True, slots=True)
class PickledSample:
    """Which file inside which package is admitted: its place in the archive, its size in bytes, its sha256."""

    member: str
    size: int
    sha256: str
    origin: str
    license: str


DASPY_EXAMPLE: Final = PickledSample(
    member="daspy/core/example.pkl",
    size=20_000_481,
    sha256="7209daed716ec798123bddf2ffd1925543496b63ca001c43ebc6bf1de9f3a077",
    origin="DASPy-toolbox 1.2.7, daspy/core/example.pkl",
    license="MIT",
)


class RestrictedUnpickler(pickle.Unpickler):
    """Resolves the admitted pairs and nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return what an admitted pair stands for, or refuse."""
        try:
            return ADMITTED[module_name, global_name]
        except KeyError:
            raise FocusError(f"The pickle asks for {module_name}.{global_name}, which is not admitted.") from None


def store_sample(wheel: Path, folder: Path, known: PickledSample = DASPY_EXAMPLE) -> bool:
    """Store the sample of `wheel` as `folder`/sample.npy and sample.json; False when it was there already, whole.

    Both files appear under their names only when they are complete, the JSON last.
    """
    npy, description = folder / f"{SAMPLE_NAME}.npy", folder / f"{SAMPLE_NAME}.json"
    if _is_whole(npy, description, known):
        return False
    fields = _unpickle(_read_member(wheel, known))
    data = np.ascontiguousarray(fields["data"])
    _make_folder(folder)
    buffer = io.BytesIO()
    np.save(buffer, data, allow_pickle=False)
    info = _describe(fields, hashlib.sha256(buffer.getbuffer()).hexdigest(), known)
    _write_whole(npy, buffer.getvalue())
    _write_whole(description, (json.dumps(info, indent=2) + "\n").encode())
    return True


def _is_whole(npy: Path, description: Path, known: PickledSample) -> bool:
    if not (npy.is_file() and description.is_file()):
        return False
    try:
        return Recording.load(npy).info.origin == known.origin
    except FocusError:
        return False


def _read_member(wheel: Path, known: PickledSample) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(known.member).file_size != known.size:
                raise FocusError(f"{known.member} in {wheel} has another size than the known file; it is not read.")
            content = archive.read(known.member)
    except KeyError:
        raise FocusError(f"{wheel} does not hold {known.member}; give the wheel of {known.origin}.") from None
    except OSError as error:
        raise FocusError(f"{wheel} cannot be read: {error.strerror or error}.") from error
    except zipfile.BadZipFile as error:
        raise FocusError(f"{wheel} is not a readable wheel: {error}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != known.sha256:
        raise FocusError(f"{known.member} in {wheel} has sha256 {digest}, not {known.sha256}; it is not unpickled.")
    return content


def _unpickle(content: bytes) -> dict[str, Any]:
    fields = RestrictedUnpickler(io.BytesIO(content)).load()
    if not isinstance(fields, dict) or not isinstance(fields.get("data"), np.ndarray):
        raise FocusError("The pickle does not hold the fields of a recording.")
    return fields


def _describe(fields: Mapping[str, Any], sha256: str, known: PickledSample) -> dict[str, Any]:
    start: datetime = fields["start_time"]
    channels, samples = fields["data"].shape
    return {
        "schema": 1,
        "dims": ["channel", "time"],
        "fs": format(fields["fs"], "g"),
        "dx": float(fields["dx"]),
        "fiber_start_meters": float(fields["start_distance"]),
        "units": "1/s",
        "quantity": str(fields["data_type"]),
        "description": f"Earthquake on a real fibre: {channels} channels, {samples} samples",
        "start_time": start.astimezone(UTC).isoformat(),
        "sha256": sha256,
        "origin": known.origin,
        "license": known.license,
    }


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FocusError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Write to a name of our own and rename, so that nobody ever sees half a file, nor two writers each other's."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise FocusError(f"{path} cannot be written: {error.strerror}.") from error
