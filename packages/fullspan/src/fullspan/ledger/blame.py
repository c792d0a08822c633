"""Which faults to look at first for what went wrong: those that were on meanwhile, or ended shortly before."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from fullspan.ledger.record import Observation

__all__ = ["BLAME_LIMIT", "blame"]

BLAME_LIMIT: Final = 2


class Lasting(Protocol):
    """Anything with a beginning and an end, CLOCK_MONOTONIC, ns: a fault's evidence, or its record."""

    @property
    def injected_mono_ns(self) -> int:
        """Return when it was complete."""
        ...

    @property
    def healed_mono_ns(self) -> int:
        """Return when it was lifted."""
        ...


AnyFault = TypeVar("AnyFault", bound=Lasting)


def blame(witness: Iterable[Observation], faults: Sequence[AnyFault]) -> tuple[AnyFault, ...]:
    """Return at most two faults, in the order of time, that a witness lies nearest to.

    A witness reaches from the time at which its first observation was due (or seen, where nobody said when it was due)
    to the time at which the last was seen; what was injected only after that is never blamed. Nothing without a
    witness: a loss that left no trace has no time.
    """
    seen = list(witness)
    if not seen:
        return ()
    began = min(_due(observation) for observation in seen)
    ended = max(observation.seen_ns for observation in seen)
    before = [fault for fault in faults if fault.injected_mono_ns <= ended]
    before.sort(key=lambda fault: (max(0, began - fault.healed_mono_ns), -fault.injected_mono_ns))
    return tuple(sorted(before[:BLAME_LIMIT], key=lambda fault: fault.injected_mono_ns))


def _due(observation: Observation) -> int:
    if not observation.event_ns:
        return observation.seen_ns
    return min(observation.seen_ns, observation.seen_ns - (observation.seen_wall_ns - observation.event_ns))
