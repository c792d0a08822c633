"""Faults of a link: its proxy delays, narrows, holds, swallows, loses or resets what passes."""

import time
from dataclasses import fields
from typing import Any, ClassVar, Self

from fullspan.errors import UsageError
from fullspan.faults.base import Fault
from fullspan.faults.evidence import Observed
from fullspan.faults.lease import LeasedStack
from fullspan.stack.processes import wait_until
from fullspan.stack.proxy import Counters, Toxics
from fullspan.stack.proxy.sieve import why_not
from fullspan.stack.proxy.toxics import Direction

__all__ = ["Bandwidth", "Blackhole", "Jitter", "Latency", "Loss", "Partition", "Reset", "SlowClose", "Stall"]

_RECOVERY_S = 15.0
_POLL_S = 0.02


class _LinkFault(Fault):
    """What all have in common: a counter of the proxy that moves only when traffic met the fault.

    It is asked of the proxy by its control interface: a link without traffic, or one that nobody uses because its
    endpoint is overridden, gives no evidence. Healed is a link when bytes arrive on it again. Several faults of one run
    may be on one link at once; what another run did to it is left alone.
    """

    shares_its_target = True
    counter: ClassVar[str]
    effect: ClassVar[str]

    def __init__(self, *links: str, **toxics: Any) -> None:
        super().__init__(" and ".join(links))
        self.links = links
        try:
            self.toxics = Toxics(**toxics)
        except ValueError as error:
            raise UsageError(f"The fault {self.kind} of {self.target!r} makes no sense: {error}.") from error
        self._before = self._at_end = Counters()
        self._layer = ""

    def check(self, stack: LeasedStack) -> None:
        for link in self.links:
            stack.check_link(link)

    def obstacle(self, stack: LeasedStack) -> str | None:
        if any(stack.is_bad_otherwise(link) for link in self.links):
            return "something else had made the link bad before the fault"
        return None

    def begin(self, stack: LeasedStack) -> None:
        self._before = self._counters(stack)
        self._layer = stack.new_layer(self.kind)
        for link in self.links:
            stack.set_toxics(link, self.toxics, self._layer)

    def bite(self, stack: LeasedStack) -> Observed:
        moved = getattr(self._counters(stack), self.counter) - getattr(self._before, self.counter)
        if moved:
            return Observed(True, f"{moved} {self.effect}")
        return Observed(False, f"nothing passed the link {self.target} while the fault was on: 0 {self.effect}")

    def end(self, stack: LeasedStack) -> None:
        # What was held back goes out in the very act of healing, so the count starts before it.
        self._at_end = self._counters(stack)
        for link in self.links:
            stack.clear_toxics(link, self._layer)

    def recovery(self, stack: LeasedStack) -> Observed:
        def arrived() -> int:
            now = self._counters(stack)
            return now.bytes_up + now.bytes_down - self._at_end.bytes_up - self._at_end.bytes_down

        left = {layer for link in self.links for layer in stack.layers(link)}
        if self._layer in left or "" in left:
            return Observed(False, "the link is still bad")
        if left:
            others = ", ".join(sorted(layer.partition(".")[0] for layer in left))
            return Observed(True, f"it was taken off the link, on which other faults went on: {others}")
        # A link that had no traffic during the fault is not waited for: the verdict can no longer change.
        patience_s = self._patience_s() if self.has_bitten else 0.0
        if wait_until(lambda: arrived() > 0, patience_s, _POLL_S):
            return Observed(True, f"{arrived()} bytes arrived afterwards")
        return Observed(False, f"no byte arrived within {patience_s:g} s after the fault was lifted")

    def _patience_s(self) -> float:
        return _RECOVERY_S

    def _counters(self, stack: LeasedStack) -> Counters:
        """Return the sums over all its links."""
        each = [stack.counters(link) for link in self.links]
        return Counters(**{
            field.name: sum(getattr(counters, field.name) for counters in each) for field in fields(Counters)
        })  # fmt: skip


class Latency(_LinkFault):
    """All bytes take `ms` milliseconds longer, more or less by up to `jitter_ms`."""

    kind = "latency"
    counter = "delayed_bytes"
    effect = "bytes were delayed"

    def __init__(self, link: str, ms: float, jitter_ms: float = 0.0, direction: Direction = "both") -> None:
        super().__init__(link, latency_ms=ms, jitter_ms=jitter_ms, direction=direction)


class Jitter(_LinkFault):
    """Each piece of a stream takes longer by a time of its own, drawn evenly from 0 to `ms` milliseconds."""

    kind = "jitter"
    counter = "delayed_bytes"
    effect = "bytes were delayed by times of their own"

    def __init__(self, link: str, ms: float, direction: Direction = "both") -> None:
        super().__init__(link, latency_ms=ms / 2, jitter_ms=ms / 2, direction=direction)


class Bandwidth(_LinkFault):
    """All connections together get `bytes_s` bytes per second in each direction."""

    kind = "bandwidth"
    counter = "queued_bytes"
    effect = "bytes had to wait for their turn"

    def __init__(self, link: str, bytes_s: int, direction: Direction = "both") -> None:
        super().__init__(link, bandwidth_bytes_s=bytes_s, direction=direction)


class Stall(_LinkFault):
    """Bytes are held back and, at the end of the fault, delivered in order; connections stay open."""

    kind = "stall"
    counter = "stalled_bytes"
    effect = "bytes were held back"

    def __init__(self, link: str, direction: Direction = "both") -> None:
        super().__init__(link, stall=True, direction=direction)


class Blackhole(_LinkFault):
    """Bytes vanish; a connection that lost some is reset at the end of the fault."""

    kind = "blackhole"
    counter = "blackholed_bytes"
    effect = "bytes were swallowed"

    def __init__(self, link: str, direction: Direction = "both") -> None:
        super().__init__(link, blackhole=True, direction=direction)


class SlowClose(_LinkFault):
    """When one side closes its connection, the other side learns of it `ms` milliseconds later; bytes are not late."""

    kind = "slow-close"
    counter = "delayed_ends"
    effect = "ends of connections came later"

    def __init__(self, link: str, ms: float, direction: Direction = "both") -> None:
        super().__init__(link, close_ms=ms, direction=direction)


class Reset(_LinkFault):
    """Both sides of every connection see a reset, and so does each new connection until the end of the fault."""

    kind = "reset"
    counter = "resets"
    effect = "connections were reset"

    def __init__(self, link: str) -> None:
        super().__init__(link, reset=True)


class _PacketFault(_LinkFault):
    """What loses packets needs a kernel that drops them for this user; without one it is inconclusive."""

    counter = "lost_packets"
    effect = "packets were dropped by the kernel"

    def obstacle(self, stack: LeasedStack) -> str | None:
        return super().obstacle(stack) or why_not()


class Loss(_PacketFault):
    """The kernel drops this share (0.1 is 10 %) of the packets that come to the proxy, before TCP sees them.

    TCP repeats them, so nothing is missing in the end: what the two sides meet is waiting, sometimes for long. Packets
    that open connections and those that acknowledge are lost as well.
    """

    kind = "loss"

    def __init__(self, link: str, share: float, direction: Direction = "both") -> None:
        super().__init__(link, loss=share, direction=direction)


class Partition(_PacketFault):
    """No packet passes the links, as if the cable were cut: nobody learns anything, and connecting times out.

    Unlike a blackhole it acknowledges nothing, so a side that sends notices as it would in the field, and TCP goes on
    by itself where no side has given up. The kernel backs off between its attempts, so that recovery may take as long
    as the fault did. In one `direction` only, the other one still delivers, but is not acknowledged.
    """

    kind = "partition"

    def __init__(self, *links: str, direction: Direction = "both") -> None:
        if not links:
            raise UsageError("A partition is between two parts of a stack.", "Name the links between them.")
        super().__init__(*links, loss=1.0, direction=direction)

    @classmethod
    def around(cls, component: str, stack: LeasedStack) -> Self:
        """Return the partition of a component from all others: on every link with a proxy from it or to it."""
        stack.check_component(component)
        links = stack.links_of(component)
        if not links:
            raise UsageError(
                f"No link of {component!r} has a proxy, so it cannot be cut off.", "Give its links `proxy: true`."
            )
        return cls(*links)

    def _patience_s(self) -> float:
        return _RECOVERY_S + 2 * (time.monotonic_ns() - self._injected_ns) / 1e9
