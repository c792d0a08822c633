"""A recording: one rolling file, described so that it can be found and placed in time without opening it."""

import uuid
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from focus_server.errors import RecordingError

__all__ = ["GridKey", "RecordingEntry", "recording_uuid"]

GridKey = tuple[int, int, int, int, str, str]
"""t0_ns, fs_num, fs_den, channels, dtype, scale: recordings that share it can be read as one."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[int, Field(ge=1, lt=2**63)]


class RecordingEntry(BaseModel):
    """One recording, as the catalogue and the file's own attributes hold it.

    Times are ns since 1970 (UTC): `start_ns` of the first sample, `end_ns` of the sample after the last one; `end_ns`
    and `path` are None while it is being recorded. Sample `first_sample` + i lies on the fibre's grid, at
    t0_ns + (first_sample + i) * 10^9 * fs_den / fs_num ns. `dx` and `fiber_start_meters` are in m; physical value in
    `units` = stored value * float(scale). `gaps` says that samples of some channels are missing.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    uuid: str = Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    base_path: str
    path: str | None = None
    start_ns: Count
    end_ns: Count | None = None
    site: str
    channels: Positive
    first_channel: Positive = 1
    dx: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fiber_start_meters: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    units: str
    dtype: Literal["int16", "float32"]
    scale: str = Field(pattern=r"^[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$")
    samples: Count
    t0_ns: Count
    fs_num: Positive
    fs_den: Positive
    first_sample: Count
    gaps: bool = False
    deleted: bool = False

    @property
    def fs(self) -> Fraction:
        """Samples per second and channel."""
        return Fraction(self.fs_num, self.fs_den)

    @property
    def end_sample(self) -> int:
        """The sample after the last one, on the fibre's grid."""
        return self.first_sample + self.samples

    @property
    def grid_key(self) -> GridKey:
        """What two recordings must share to be read as one."""
        return self.t0_ns, self.fs_num, self.fs_den, self.channels, self.dtype, self.scale

    @property
    def fibre_key(self) -> tuple[GridKey, str, int, float, float, str]:
        """What two recordings must share to be of the same channels of the same fibre, on one grid."""
        return self.grid_key, self.site, self.first_channel, self.fiber_start_meters, self.dx, self.units

    def file(self) -> Path:
        """Return where the file is. Raises RecordingError when the path would lead out of the base path."""
        base = Path(self.base_path)
        if self.path is None:
            raise RecordingError(f"Recording {self.uuid} is still being recorded; it has no file yet.")
        parts = PurePosixPath(self.path)
        inside = not parts.is_absolute() and ".." not in parts.parts and "\0" not in self.path
        if not inside or not (base / parts).resolve().is_relative_to(base.resolve()):
            raise RecordingError(f"The path of recording {self.uuid} leads out of its base path; it is not opened.")
        return base / parts


def recording_uuid(site: str, key: GridKey, slot: int) -> str:
    """Return the identity of a slot of a fibre, the same each time the slot is recorded."""
    t0_ns, fs_num, fs_den, channels, dtype, scale = key
    name = f"focus:{site}:{t0_ns}:{fs_num}/{fs_den}:{channels}:{dtype}:{scale}:{slot}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
