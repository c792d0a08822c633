"""What a link can be made to do to the bytes on it, and the counters that tell from outside whether it did."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CLEAR", "Counters", "Direction", "Toxics"]

Direction = Literal["both", "up", "down"]


@dataclass(frozen=True, slots=True)
class Toxics:
    """The state asked of a link; the default is a clear link.

    Times are in milliseconds, the bandwidth in bytes per second, shared by all connections of the link in one
    direction (0 = unlimited). `up` is from the side that connects to the side that listens, `down` the way back;
    `reset` concerns whole connections, so it knows no direction. A stronger state hides a weaker one:
    reset, blackhole, stall, then bandwidth and latency together.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    bandwidth_bytes_s: int = 0
    stall: bool = False
    blackhole: bool = False
    reset: bool = False
    direction: Direction = "both"

    def __post_init__(self) -> None:
        for name in ("latency_ms", "jitter_ms", "bandwidth_bytes_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}; give a finite number that is not negative")
        if self.jitter_ms > self.latency_ms:
            raise ValueError(
                f"jitter_ms {self.jitter_ms:g} is more than latency_ms {self.latency_ms:g}; bytes cannot arrive early"
            )
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"direction is {self.direction!r}; give both, up or down")

    def on(self, direction: Literal["up", "down"]) -> "Toxics":
        """Return what these toxics mean for one direction."""
        return self if self.direction in ("both", direction) else CLEAR


CLEAR = Toxics()


@dataclass(slots=True)
class Counters:
    """What happened on a link since it exists; all but `active` only ever grow.

    `bytes_up` and `bytes_down` were handed on to the other side. `resets` are connections that the proxy itself
    reset; `refused` are connections whose far side could not be reached.
    """

    connections: int = 0
    active: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    delayed_bytes: int = 0
    stalled_bytes: int = 0
    blackholed_bytes: int = 0
    resets: int = 0
    refused: int = 0
