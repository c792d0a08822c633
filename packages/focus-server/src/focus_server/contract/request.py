"""The shape of POST /configure: names and JSON types of its fields, before any rule about their values is applied."""

import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from focus_server.contract.limits import (
    DEFAULT_DURATION_S,
    DEFAULT_NFFT,
    MAX_CHANNELS,
    MAX_DURATION_S,
    MAX_FREQUENCY,
    MAX_HEIGHT,
    MAX_OVERLAP,
    MAX_PLAYRATE,
    MIN_LINES_PER_SECOND,
    MIN_PLAYRATE,
    NFFT_VALUES,
)
from focus_server.contract.refusal import Refusal, ShapeProblem


class View(IntEnum):
    """What a job draws."""

    MULTICHANNEL = 0
    SINGLE = 1
    WATERFALL = 2


def _view(value: object) -> View:
    if isinstance(value, str) and value in {"0", "1", "2"}:
        return View(int(value))
    if isinstance(value, int) and not isinstance(value, bool) and value in {0, 1, 2}:
        return View(value)
    raise ValueError(
        'must be 0 (multichannel), 1 (single channel) or 2 (waterfall), as a number or as a string like "1"'
    )


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("must be a whole number")


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ValueError("must be a finite number")


_VIEW_SCHEMA = {"anyOf": [{"type": "string", "enum": ["0", "1", "2"]}, {"type": "integer", "enum": [0, 1, 2]}]}

ViewField = Annotated[View, BeforeValidator(_view), WithJsonSchema(_VIEW_SCHEMA)]
Whole = Annotated[int, BeforeValidator(_whole), WithJsonSchema({"type": "integer"})]
Number = Annotated[float, BeforeValidator(_number), WithJsonSchema({"type": "number"})]


def _told(default: Any = ..., alias: str | None = None, **bounds: Any) -> Any:
    """Describe what `check_request` holds a value to; the shape alone is checked here."""
    return Field(default=default, alias=alias, json_schema_extra=bounds)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Channels(_Part):
    """A range of channel numbers, both ends included, counted from 1."""

    min: Whole = _told(minimum=1, maximum=MAX_CHANNELS)
    max: Whole = _told(minimum=1, maximum=MAX_CHANNELS)

    @property
    def amount(self) -> int:
        """How many channels the range holds."""
        return self.max - self.min + 1


class DisplayInfo(_Part):
    """What the viewer shows: `height` lines."""

    height: Whole = _told(minimum=1, maximum=MAX_HEIGHT)


class FrequencyRange(_Part):
    """A band in Hz, both ends included."""

    min: Number = _told(minimum=0, maximum=MAX_FREQUENCY)
    max: Number = _told(minimum=0, maximum=MAX_FREQUENCY)


class ConfigureRequest(_Part):
    """The body of POST /configure. Absent and null are the same; keys that are not listed here are ignored."""

    view_type: ViewField
    channels: Channels
    display_info: DisplayInfo = Field(alias="displayInfo")
    duration_s: Number | None = _told(None, "displayTimeAxisDuration", exclusiveMinimum=0, maximum=MAX_DURATION_S)
    nfft: Whole | None = _told(None, "nfftSelection", enum=[None, 1, *NFFT_VALUES])
    frequency_range: FrequencyRange | None = Field(default=None, alias="frequencyRange")
    start_time: Number | None = _told(None, minimum=0)
    end_time: Number | None = _told(None, minimum=0)
    overlap: Number | None = _told(None, minimum=0, maximum=MAX_OVERLAP)
    lines_per_second: Number | None = _told(None, minimum=MIN_LINES_PER_SECOND)
    playrate: Number | None = _told(None, minimum=MIN_PLAYRATE, maximum=MAX_PLAYRATE)
    """How many seconds of a recording are played in one second; as fast as the viewer reads when absent."""

    @property
    def historic(self) -> bool:
        """True when a time range was asked for, false for a live view."""
        return self.start_time is not None or self.end_time is not None

    @property
    def is_waterfall(self) -> bool:
        """True for the view that has no spectrum."""
        return self.view_type is View.WATERFALL

    @property
    def effective_nfft(self) -> int | None:
        """Samples per window, with the default filled in; None for a waterfall."""
        return None if self.is_waterfall else (self.nfft or DEFAULT_NFFT)

    @property
    def effective_duration_s(self) -> float | None:
        """Seconds that the viewer shows, with the default filled in; None for a waterfall."""
        return None if self.is_waterfall else (self.duration_s or DEFAULT_DURATION_S)

    @classmethod
    def read(cls, body: bytes | Mapping[str, Any]) -> Self:
        """Read a request from JSON bytes or an already parsed object.

        Raises `Refusal` 422 with every place that has the wrong shape; input is never echoed.
        """
        try:
            return cls.model_validate_json(body) if isinstance(body, bytes) else cls.model_validate(body)
        except ValidationError as error:
            raise shape_refusal(shape_problems(error)) from None

    def wire(self) -> dict[str, Any]:
        """Give the request as clients write it, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def shape_problems(error: ValidationError) -> list[ShapeProblem]:
    """List what a validation found wrong, without the input it was found in."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [ShapeProblem(loc=item["loc"], msg=_plain(item["msg"]), type=item["type"]) for item in found]


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def shape_refusal(problems: list[ShapeProblem]) -> Refusal:
    """Make the 422 for a body of the wrong shape; the sentence names the first place, the detail all of them."""
    first = problems[0]
    place = ".".join(str(part) for part in first.loc if part != "body") or "The request body"
    what = "is missing" if first.type == "missing" else first.msg[:1].lower() + first.msg[1:]
    joint = " " if what.startswith(("must", "is ")) else ": "
    more = f" ({len(problems) - 1} more in detail)" if len(problems) > 1 else ""
    return Refusal(422, f"{place}{joint}{what}{more}.", problems)
