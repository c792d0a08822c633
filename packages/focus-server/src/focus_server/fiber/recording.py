"""A recording that can be played as a live fibre: a plain .npy array and a JSON file of the same name beside it."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from focus_server.errors import FocusError

DTYPES: Final = ("float64", "float32", "int16")
NPY_MAGIC: Final = b"\x93NUMPY"


def _decimal(text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("must be a decimal number in quotes") from None
    if not (value.is_finite() and value > 0):
        raise ValueError("must be positive")
    return text


class RecordingInfo(BaseModel):
    """What the JSON beside the array says. `fs` is in samples/s as a decimal string, `dx` and the start in m."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    dims: tuple[Literal["channel"], Literal["time"]] | tuple[Literal["time"], Literal["channel"]]
    fs: Annotated[str, AfterValidator(_decimal)]
    dx: float = Field(gt=0, allow_inf_nan=False)
    fiber_start_meters: float = Field(default=0.0, allow_inf_nan=False)
    units: str = Field(min_length=1, max_length=32)
    quantity: str = ""
    description: str = ""
    start_time: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    origin: str = ""
    license: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """A loaded recording: `values` [time, channel] in the file's physical unit, and the sha256 of the .npy file."""

    name: str
    values: NDArray[np.float64]
    info: RecordingInfo
    sha256: str

    @property
    def channels(self) -> int:
        """Number of channels, C of the replay formula."""
        return int(self.values.shape[1])

    @property
    def samples(self) -> int:
        """Number of samples of each channel, L of the replay formula."""
        return int(self.values.shape[0])

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read `path` (.npy, float64, float32 or int16, two dimensions) and the JSON of the same name beside it."""
        info = _read_info(path.with_suffix(".json"))
        digest, array = _read_array(path)
        if info.sha256 not in (None, digest):
            raise FocusError(
                f"The recording {path.name} has sha256 {digest}, its JSON file says {info.sha256}: one of the two was"
                " changed. Fetch or write both again."
            )
        values = array.T if info.dims[0] == "channel" else array
        return cls(path.name, np.ascontiguousarray(values, dtype=np.float64), info, digest)


def _read_info(path: Path) -> RecordingInfo:
    try:
        return RecordingInfo.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FocusError(
            f"The recording's description {path} cannot be read: {error.strerror}. It must lie beside the .npy file."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise FocusError(f"The recording's description {path} is wrong at {where}: {first['msg']}.") from error


def _read_array(path: Path) -> tuple[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as file:
            if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
                raise FocusError(f"The recording {path} is not a NumPy .npy file.")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            array: NDArray[np.generic] = np.load(file, allow_pickle=False)
    except OSError as error:
        raise FocusError(f"The recording {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError) as error:
        raise FocusError(f"The recording {path} is not a readable .npy file: {error}.") from error
    if array.ndim != 2 or not array.size or array.dtype.name not in DTYPES:
        raise FocusError(
            f"The recording {path} holds {array.dtype.name} of shape {array.shape};"
            f" it must have two dimensions and one of the types {', '.join(DTYPES)}."
        )
    if not np.isfinite(array).all():
        raise FocusError(f"The recording {path} holds values that are not finite; a replay needs finite ones.")
    return digest, array
