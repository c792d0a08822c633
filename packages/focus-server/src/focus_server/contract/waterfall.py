"""What the pull interface answers: rows of a job as JSON, for clients that read neither gRPC nor a WebSocket."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class SensorValues(_Part):
    """The values of one sensor, counted from 0 as `/sensors` lists them: one for each bin, one in a waterfall."""

    id: int
    intensity: Sequence[float | None]
    """Amplitudes; null where the channel is missing or not finite."""


class WaterfallRow(_Part):
    """One line: its `row_index` as `canvasId`, and when its samples begin and end, in ms since 1970 (UTC)."""

    canvasId: int  # noqa: N815 - as the clients spell it
    startTimestamp: int  # noqa: N815
    endTimestamp: int  # noqa: N815
    sensors: list[SensorValues]


class WaterfallBlock(_Part):
    """Rows that were given together, oldest first, and the extremes of their finite values; 0 and 0 without any."""

    rows: list[WaterfallRow]
    current_max_amp: float
    current_min_amp: float
