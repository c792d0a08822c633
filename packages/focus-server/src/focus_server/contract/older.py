"""The older form of a request, POST /config/{task_id}, and what it means in the form of today."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from focus_server.contract.limits import MAX_CHANNELS, TASK_ID_PATTERN, TASK_KEY
from focus_server.contract.refusal import Refusal
from focus_server.contract.request import (
    Channels,
    ConfigureRequest,
    DisplayInfo,
    FrequencyRange,
    Number,
    View,
    Whole,
    shape_problems,
    shape_refusal,
)

_TASK_ID: Final = re.compile(TASK_ID_PATTERN)

Stamp = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
"""A time as yymmddHHMMSS, UTC, of the years 2000 to 2099."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CanvasInfo(_Part):
    """What the viewer shows: `height` lines."""

    height: Whole


class Sensors(_Part):
    """A range of sensors, both ends included, counted from 0 as `/sensors` lists them: sensor n is channel n + 1."""

    min: Whole
    max: Whole


class OlderRequest(_Part):
    """The body of POST /config/{task_id}. Absent and null are the same; keys that are not listed are ignored."""

    canvas: CanvasInfo = Field(alias="canvasInfo")
    sensors: Sensors
    duration_s: Number | None = Field(default=None, alias="displayTimeAxisDuration")
    nfft: Whole | None = Field(default=None, alias="nfftSelection")
    frequency_range: FrequencyRange | None = Field(default=None, alias="frequencyRange")
    start_time: Stamp | None = None
    end_time: Stamp | None = None

    @classmethod
    def read(cls, body: bytes | Mapping[str, Any]) -> Self:
        """Read JSON bytes or an already parsed object. Raises `Refusal` 422 with every place of the wrong shape."""
        try:
            return cls.model_validate_json(body) if isinstance(body, bytes) else cls.model_validate(body)
        except ValidationError as error:
            raise shape_refusal(shape_problems(error)) from None

    def translated(self) -> ConfigureRequest:
        """Give the same request in the form of today: a view of many channels.

        Raises `Refusal` 400 for what has another name there; the rest is for `check_request`.
        """
        _check_sensors(self.sensors)
        if self.canvas.height <= 0:
            raise Refusal(400, "canvasInfo.height must be positive, a number of lines above 0.", "canvasInfo.height")
        return ConfigureRequest(
            view_type=View.MULTICHANNEL,
            channels=Channels(min=self.sensors.min + 1, max=self.sensors.max + 1),
            displayInfo=DisplayInfo(height=self.canvas.height),
            displayTimeAxisDuration=self.duration_s,
            nfftSelection=self.nfft,
            frequencyRange=self.frequency_range,
            start_time=_epoch_s(self.start_time, "start_time"),
            end_time=_epoch_s(self.end_time, "end_time"),
        )


class TaskAnswer(_Part):
    """A task that was taken on."""

    status: Literal["success"] = "success"
    task_id: str


def is_task_id(name: str) -> bool:
    """Tell whether a name can be a task's."""
    return _TASK_ID.fullmatch(name) is not None


def task_key(task_id: str) -> str:
    """Give the key by which the job of a task is kept. Raises `Refusal` 400 for what is no task_id."""
    if not is_task_id(task_id):
        raise Refusal(400, "A task_id has 1 to 256 characters: letters, digits, hyphens and underscores.", "task_id")
    return TASK_KEY + task_id


def _check_sensors(sensors: Sensors) -> None:
    if sensors.min < 0:
        raise Refusal(400, "sensors.min must be at least 0; sensors are counted from 0.", "sensors.min")
    if sensors.max < sensors.min:
        raise Refusal(400, "sensors.max must not be below sensors.min.", "sensors.max")
    if sensors.max >= MAX_CHANNELS:
        raise Refusal(
            400, f"sensors.max must be at most {MAX_CHANNELS - 1}; sensors are counted from 0.", "sensors.max"
        )


def _epoch_s(stamp: str | None, field: str) -> float | None:
    if stamp is None:
        return None
    year, month, day, hour, minute, second = (int(stamp[at : at + 2]) for at in range(0, 12, 2))
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError as error:
        sentence = f"{field} must be a time yymmddHHMMSS (UTC), such as 250131235959; it is none: {error}."
        raise Refusal(400, sentence, field) from None
