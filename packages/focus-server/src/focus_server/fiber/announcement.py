"""The fibre's announcement: once a second the interrogator says what it plays, with all that no block carries."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from focus_server.errors import BlockError
from focus_server.fiber.blocks import SCHEMA

PERIOD_S: Final = 1.0
MAX_CHANNELS: Final = 1_000_000

Number = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Positive = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
Metres = Annotated[float, Field(allow_inf_nan=False)]


class FiberAnnouncement(BaseModel):
    """What the fibre is: rate fs_num/fs_den in samples/s, `dx` and the start in m, physical value = count * scale.

    `num_samples_per_trace` is the number of spatial samples of one laser pulse, so of channels.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    site: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    epoch: Number
    t0_ns: Number
    fs_num: Positive
    fs_den: Positive
    number_of_channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS, strict=True)]
    dx: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fiber_start_meters: Metres
    fiber_description: str
    fiber_source: dict[str, Any]
    units: str
    dtype: Literal["int16", "float32"]
    scale: str = Field(pattern=r"^[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$")
    num_samples_per_trace: Positive

    def to_json(self) -> bytes:
        """Write the announcement as a message's body."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, body: bytes) -> "FiberAnnouncement":
        """Read a message's body; BlockError names the first field that is wrong."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise BlockError(f"The fibre's announcement is wrong at {where}: {first['msg']}.") from error


def announcement_key(site: str) -> str:
    """Return the routing key of a site's announcements."""
    return f"metadata.{site}"
