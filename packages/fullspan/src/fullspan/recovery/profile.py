"""The recovery profile of one fault: per layer, how many seconds after injection or heal each phase was reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from fullspan.faults import Evidence
from fullspan.recovery.phase import Phase

__all__ = ["RecoveryProfile"]


@dataclass(frozen=True, slots=True)
class RecoveryProfile:
    """What a suite saw of one fault's effect, layer by layer; layers are in the order in which records pass them.

    `layers` holds per layer the phases that were looked for and when each was reached, CLOCK_MONOTONIC, ns; None when
    it was not reached while somebody looked, which was until `until_mono_ns`. A phase that is not there was not looked
    for: nobody can tell.
    """

    kind: str
    target: str
    injected_mono_ns: int
    healed_mono_ns: int
    until_mono_ns: int
    layers: Mapping[str, Mapping[Phase, int | None]]

    @classmethod
    def of(cls, fault: Evidence, layers: Mapping[str, Mapping[Phase, int | None]], until_mono_ns: int) -> Self:
        """Return the profile of a fault that is over.

        Raises ValueError when it is not, or when `until_mono_ns` lies before its heal or before one of the moments.
        """
        name = f"{fault.kind} of {fault.target}"
        if not 0 < fault.injected_mono_ns <= fault.healed_mono_ns:
            raise ValueError(f"the fault {name} is not over; ask for its recovery after the block")
        latest = max([fault.healed_mono_ns, *(ns for layer in layers.values() for ns in layer.values() if ns)])
        if latest > until_mono_ns:
            early_s = (latest - until_mono_ns) / 1e9
            raise ValueError(f"the recovery from {name} was watched until {early_s:.3f} s before its last moment")
        frozen = {layer: MappingProxyType(dict(moments)) for layer, moments in layers.items()}
        return cls(
            kind=fault.kind,
            target=fault.target,
            injected_mono_ns=fault.injected_mono_ns,
            healed_mono_ns=fault.healed_mono_ns,
            until_mono_ns=until_mono_ns,
            layers=MappingProxyType(frozen),
        )

    @property
    def name(self) -> str:
        """The fault in words."""
        return f"{self.kind} of {self.target}"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that were looked for in any layer, in their order."""
        return tuple(phase for phase in Phase if any(phase in moments for moments in self.layers.values()))

    def origin_ns(self, phase: Phase) -> int:
        """Return what a phase's seconds are counted from, ns."""
        return self.injected_mono_ns if phase.since == "injected" else self.healed_mono_ns

    def seconds(self, layer: str, phase: Phase) -> float | None:
        """Return after how many seconds a layer reached a phase, None when it did not; KeyError if nobody looked.

        They are negative when it got there before: a layer that finds another way is good again while the fault is on.
        """
        moment = self.layers[layer][phase]
        return None if moment is None else (moment - self.origin_ns(phase)) / 1e9

    def slowest(self, phase: Phase) -> tuple[str, float | None] | None:
        """Return the layer that reached a phase last, or not at all, and its seconds; None if nobody looked."""
        found = [(layer, self.seconds(layer, phase)) for layer, moments in self.layers.items() if phase in moments]
        never = [entry for entry in found if entry[1] is None]
        return never[0] if never else max(found, key=lambda entry: entry[1] or 0.0, default=None)
