"""What was seen of a fault from outside: that it bit, that it healed, and how long the part took to come back."""

from dataclasses import dataclass

from fullspan.verdict import Verdict

__all__ = ["Evidence", "Observed"]


@dataclass(frozen=True, slots=True)
class Observed:
    """Whether something was seen, and in words what."""

    seen: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The record of one fault.

    `injected_mono_ns` is when the fault was complete, `healed_mono_ns` when it was lifted (a killed component: when it
    was ready again), both on the monotonic clock of the machine. `recovery_s` is how long after the lifting was begun
    the first sign of life was seen, None if none was.
    """

    kind: str
    target: str
    bit: bool
    healed: bool
    bit_detail: str
    heal_detail: str
    injected_mono_ns: int
    healed_mono_ns: int
    recovery_s: float | None = None

    @property
    def verdict(self) -> Verdict:
        """A fault proves nothing about a system unless it bit and was healed again."""
        return Verdict.PASS if self.bit and self.healed else Verdict.INCONCLUSIVE

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, in one sentence."""
        name = f"{self.kind} of {self.target}"
        if not self.bit:
            return f"The fault {name} did not bite: {self.bit_detail}."
        if not self.healed:
            return f"The fault {name} was not seen to heal: {self.heal_detail}."
        return (
            f"The fault {name} bit ({self.bit_detail}) and healed after {self.recovery_s:.2f} s ({self.heal_detail})."
        )
