"""A range of time as clients write it: epoch seconds, or milliseconds, and answered in the same unit."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from focus_server.contract.derive import exact
from focus_server.contract.refusal import Refusal
from focus_server.contract.request import Number, shape_problems, shape_refusal

_FIRST_MS: Final = 1e11
"""What is not below this is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973."""
_LAST_S: Final = 253_402_300_800
"""The year 10000, before which every date ends."""
_NS: Final = 1_000_000_000


class TimeRange(BaseModel):
    """The body of POST /recordings_in_time_range, half-open. The later of both tells the unit of both."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start_time: Number = Field(json_schema_extra={"minimum": 0})
    end_time: Number = Field(json_schema_extra={"minimum": 0})

    @classmethod
    def read(cls, body: bytes | Mapping[str, Any]) -> Self:
        """Read JSON bytes or an already parsed object. Raises `Refusal` 422, or 400 for times that are no range."""
        try:
            asked = cls.model_validate_json(body) if isinstance(body, bytes) else cls.model_validate(body)
        except ValidationError as error:
            raise shape_refusal(shape_problems(error)) from None
        asked._check()
        return asked

    @property
    def in_ms(self) -> bool:
        """True when the client counts milliseconds."""
        return self.end_time >= _FIRST_MS

    @property
    def start_ns(self) -> int:
        """The start in ns since 1970, UTC."""
        return self._ns(self.start_time)

    @property
    def end_ns(self) -> int:
        """The end in ns since 1970, UTC."""
        return self._ns(self.end_time)

    def answer(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[float, float]]:
        """Write ranges in ns in the unit of the request: whole milliseconds, or seconds to the microsecond."""
        return [(self._own_unit(start_ns), self._own_unit(end_ns)) for start_ns, end_ns in ranges]

    def _check(self) -> None:
        if self.start_time < 0:
            raise Refusal(400, f"start_time must not be negative; it was {self.start_time:g}.", "start_time")
        if self.end_time <= self.start_time:
            raise Refusal(
                400,
                f"end_time must be after start_time ({self.start_time:.3f}); it was {self.end_time:.3f}.",
                "end_time",
            )
        if self.end_ns > _LAST_S * _NS:
            raise Refusal(400, "end_time must lie before the year 10000.", "end_time")

    def _ns(self, time: float) -> int:
        return round(exact(time) * (_NS // 1000 if self.in_ms else _NS))

    def _own_unit(self, time_ns: int) -> float:
        return (time_ns + 500_000) // 1_000_000 if self.in_ms else round(time_ns / _NS, 6)
