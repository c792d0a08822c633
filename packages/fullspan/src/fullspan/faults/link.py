"""Faults of a link: its proxy delays, narrows, holds, swallows or resets what passes."""

from typing import Any, ClassVar

from fullspan.errors import UsageError
from fullspan.faults.base import Fault
from fullspan.faults.evidence import Observed
from fullspan.faults.lease import LeasedStack
from fullspan.stack.processes import wait_until
from fullspan.stack.proxy import CLEAR, Counters, Toxics
from fullspan.stack.proxy.toxics import Direction

__all__ = ["Bandwidth", "Blackhole", "Latency", "Reset", "Stall"]

_RECOVERY_S = 15.0
_POLL_S = 0.02


class _LinkFault(Fault):
    """What all have in common: a counter of the proxy that moves only when traffic met the fault.

    It is asked of the proxy by its control interface: a link without traffic, or one that nobody uses because its
    endpoint is overridden, gives no evidence. Healed is a link when bytes arrive on it again.
    """

    counter: ClassVar[str]
    effect: ClassVar[str]

    def __init__(self, link: str, **toxics: Any) -> None:
        super().__init__(link)
        try:
            self.toxics = Toxics(**toxics)
        except ValueError as error:
            raise UsageError(f"The fault {self.kind} of {link!r} makes no sense: {error}.") from error
        self._before = self._at_end = Counters()

    def check(self, stack: LeasedStack) -> None:
        stack.check_link(self.target)

    def obstacle(self, stack: LeasedStack) -> str | None:
        if stack.toxics(self.target) != CLEAR:
            return "something else had made the link bad before the fault"
        return None

    def begin(self, stack: LeasedStack) -> None:
        self._before = stack.counters(self.target)
        stack.set_toxics(self.target, self.toxics)

    def bite(self, stack: LeasedStack) -> Observed:
        moved = getattr(stack.counters(self.target), self.counter) - getattr(self._before, self.counter)
        if moved:
            return Observed(True, f"{moved} {self.effect}")
        return Observed(False, f"nothing passed the link {self.target} while the fault was on: 0 {self.effect}")

    def end(self, stack: LeasedStack) -> None:
        # What was held back goes out in the very act of healing, so the count starts before it.
        self._at_end = stack.counters(self.target)
        stack.clear_toxics(self.target)

    def recovery(self, stack: LeasedStack) -> Observed:
        def arrived() -> int:
            now = stack.counters(self.target)
            return now.bytes_up + now.bytes_down - self._at_end.bytes_up - self._at_end.bytes_down

        if stack.toxics(self.target) != CLEAR:
            return Observed(False, "the link is still bad")
        # A link that had no traffic during the fault is not waited for: the verdict can no longer change.
        patience_s = _RECOVERY_S if self.has_bitten else 0.0
        if wait_until(lambda: arrived() > 0, patience_s, _POLL_S):
            return Observed(True, f"{arrived()} bytes arrived afterwards")
        return Observed(False, f"no byte arrived within {patience_s:g} s after the fault was lifted")


class Latency(_LinkFault):
    """All bytes take `ms` milliseconds longer, more or less by up to `jitter_ms`."""

    kind = "latency"
    counter = "delayed_bytes"
    effect = "bytes were delayed"

    def __init__(self, link: str, ms: float, jitter_ms: float = 0.0, direction: Direction = "both") -> None:
        super().__init__(link, latency_ms=ms, jitter_ms=jitter_ms, direction=direction)


class Bandwidth(_LinkFault):
    """All connections together get `bytes_s` bytes per second in each direction."""

    kind = "bandwidth"
    counter = "delayed_bytes"
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


class Reset(_LinkFault):
    """Both sides of every connection see a reset, and so does each new connection until the end of the fault."""

    kind = "reset"
    counter = "resets"
    effect = "connections were reset"

    def __init__(self, link: str) -> None:
        super().__init__(link, reset=True)
