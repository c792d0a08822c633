"""An observation: one record, seen at one hop, at one moment."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self, TypeAlias

__all__ = ["Attribute", "Moment", "Observation", "Outcome"]

Attribute: TypeAlias = str | int | float | bool | None

_NOTHING: Final[Mapping[str, Attribute]] = MappingProxyType({})


class Outcome(StrEnum):
    """What a hop can say of a record.

    A request that timed out is neither sent nor not sent: its record is `unknown` until some hop has seen it. `refused`
    means that the record is certainly not there, `marked` that the hop itself said that it leaves the record out.
    """

    SEEN = "seen"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks, ns: CLOCK_MONOTONIC, which all processes share, and UTC since 1970."""

    mono_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> Self:
        """Read both clocks."""
        return cls(time.monotonic_ns(), time.time_ns())

    def at(self, mono_ns: int) -> "Moment":
        """Return the moment of another monotonic reading, its wall time counted from this one."""
        return Moment(mono_ns, self.wall_ns + mono_ns - self.mono_ns)


@dataclass(frozen=True, slots=True)
class Observation:
    """One record as one hop saw it.

    `key` names the record (`local/3/1234` a block, `1-7/0/345` a row); what stands before its last slash is its
    stream, and `sequence` counts within the stream. `event_ns` is the UTC time, ns, at which the record was due;
    `seen_ns` and `seen_wall_ns` are when the hop saw it. `digest` stands for its content, `deviation` says how far the
    content is from the expected one, in the unit of the stage's tolerance. `outcome` is what the hop says of it.

    Attributes that `reconcile` knows: `not_before_ns`, the last UTC time, ns, at which the record was proven not yet
    there; `equals`, the key of the record whose expected content this one carries; `last`, of a mark, the sequence of
    the last record of the stream that it covers (without it only its own).
    """

    hop: str
    key: str
    sequence: int
    event_ns: int
    seen_ns: int
    seen_wall_ns: int
    digest: str | None = None
    deviation: float | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: _NOTHING)
    outcome: Outcome = Outcome.SEEN

    @property
    def stream(self) -> str:
        """Return the stream that the record belongs to: its key without the last part."""
        return self.key.rpartition("/")[0]

    def to_json(self) -> dict[str, Any]:
        """Return the observation as plain JSON values; a deviation that is no number becomes a word."""
        deviation = self.deviation
        return {
            "hop": self.hop,
            "key": self.key,
            "sequence": self.sequence,
            "event_ns": self.event_ns,
            "seen_ns": self.seen_ns,
            "seen_wall_ns": self.seen_wall_ns,
            "digest": self.digest,
            "deviation": deviation if deviation is None or math.isfinite(deviation) else str(deviation),
            "attributes": dict(self.attributes),
            "outcome": self.outcome.value,
        }

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a line of JSON that holds what `to_json` gave."""
        fields: dict[str, Any] = json.loads(line)
        if isinstance(fields["deviation"], str):
            fields["deviation"] = float(fields["deviation"])
        fields["attributes"] = MappingProxyType(fields["attributes"])
        fields["outcome"] = Outcome(fields.get("outcome", Outcome.SEEN))
        return cls(**fields)
