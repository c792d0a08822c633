"""What a link can be made to do to the bytes on it, and the counters that tell from outside whether it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["CLEAR", "Counters", "Direction", "Toxics", "merged"]

Direction = Literal["both", "up", "down"]


@dataclass(frozen=True, slots=True)
class Toxics:
    """The state asked of a link; the default is a clear link.

    Times are in milliseconds, the bandwidth in bytes per second, shared by all connections of the link in one
    direction (0 = unlimited). `up` is from the side that connects to the side that listens, `down` the way back;
    `reset` concerns whole connections, so it knows no direction. A stronger state hides a weaker one:
    reset, blackhole, stall, then bandwidth and latency together. `loss` is the share (0 to 1) of packets that the
    kernel drops before TCP sees them, whatever else holds; 1 is a partition. `close_ms` is how much later a side
    learns that the other one has closed.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    bandwidth_bytes_s: int = 0
    stall: bool = False
    blackhole: bool = False
    reset: bool = False
    loss: float = 0.0
    close_ms: float = 0.0
    direction: Direction = "both"

    def __post_init__(self) -> None:
        for name in ("latency_ms", "jitter_ms", "bandwidth_bytes_s", "close_ms"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}; give a finite number that is not negative")
        if self.jitter_ms > self.latency_ms:
            raise ValueError(
                f"jitter_ms {self.jitter_ms:g} is more than latency_ms {self.latency_ms:g}; bytes cannot arrive early"
            )
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss is {self.loss}; give a share of all packets, 0 to 1 (0.1 is 10 %)")
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"direction is {self.direction!r}; give both, up or down")

    def on(self, direction: Literal["up", "down"]) -> "Toxics":
        """Return what these toxics mean for one direction."""
        return self if self.direction in ("both", direction) else CLEAR


CLEAR = Toxics()


def merged(layers: Sequence[Toxics], direction: Direction = "both") -> Toxics:
    """Return what several toxics come to that hold at once.

    Delays add up, the narrowest bandwidth counts, packets have to survive each loss, and whatever one of them holds
    back, swallows or resets is held back, swallowed or reset.
    """
    survive = 1.0
    for layer in layers:
        survive *= 1 - layer.loss
    return Toxics(
        latency_ms=sum(layer.latency_ms for layer in layers),
        jitter_ms=sum(layer.jitter_ms for layer in layers),
        bandwidth_bytes_s=min((layer.bandwidth_bytes_s for layer in layers if layer.bandwidth_bytes_s), default=0),
        stall=any(layer.stall for layer in layers),
        blackhole=any(layer.blackhole for layer in layers),
        reset=any(layer.reset for layer in layers),
        loss=1 - survive,
        close_ms=sum(layer.close_ms for layer in layers),
        direction=direction,
    )


@dataclass(slots=True)
class Counters:
    """What happened on a link since it exists; all but `active` only ever grow.

    `bytes_up` and `bytes_down` were handed on to the other side. `delayed_bytes` met a latency, `queued_bytes` had to
    wait for bandwidth, `delayed_ends` are ends of connections that came later, `lost_packets` were dropped by the
    kernel (a packet on a loopback interface holds up to 64 KiB). `resets` are connections that the proxy itself
    reset; `refused` are connections whose far side could not be reached.
    """

    connections: int = 0
    active: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    delayed_bytes: int = 0
    queued_bytes: int = 0
    stalled_bytes: int = 0
    blackholed_bytes: int = 0
    resets: int = 0
    refused: int = 0
    delayed_ends: int = 0
    lost_packets: int = 0
