"""The phases of a recovery, in the order in which a system usually goes through them."""

from enum import StrEnum
from typing import Literal

__all__ = ["Phase"]


class Phase(StrEnum):
    """What a layer can be seen to do when a part of the system fails and comes back."""

    DETECTED = "detected"
    """It first said itself that something is wrong."""
    DEGRADED = "degraded"
    """The first record was late, or could not be had."""
    FIRST_GOOD = "first good"
    """The first record passed again."""
    WITHIN_SLA = "within SLA"
    """From here on every record was in time."""
    DRAINED = "backlog drained"
    """The last record that had waited for the end of the fault has passed."""
    COMPLETE = "data complete"
    """All that was due while the fault was on is there."""
    FRESH = "screen fresh"
    """What a person sees is of the present again."""

    @property
    def since(self) -> Literal["injected", "healed"]:
        """What its seconds are counted from: the fault's injection, or its heal."""
        return "injected" if self in (Phase.DETECTED, Phase.DEGRADED) else "healed"
