"""How a job is drawn, the same for all its viewers: the colours, and the levels at their ends; rows do not change."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ColorMap = Literal["parula", "grayscale", "jet", "viridis"]


class CAxis(BaseModel):
    """The levels in dB that the first and the last colour stand for; min is below max."""

    model_config = ConfigDict(frozen=True)

    min: float
    max: float


class Display(BaseModel):
    """What commands have set; what is null is up to the viewer."""

    model_config = ConfigDict(frozen=True)

    caxis: CAxis | None = None
    colormap: ColorMap | None = None


class Displays(BaseModel):
    """The displays that have changed after an earlier revision, by job id, and the revision that this makes."""

    model_config = ConfigDict(frozen=True)

    revision: int
    jobs: dict[str, Display]
