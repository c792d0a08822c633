"""The base of every fault: inject, watch it bite, heal, watch the recovery, and keep what was seen as evidence."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from fullspan.errors import FullspanError, UsageError
from fullspan.faults.evidence import Evidence, Observed
from fullspan.faults.lease import LeasedStack

__all__ = ["Fault"]

_NOT_YET = Observed(False, "the fault is still on")


class Fault(ABC):
    """One thing that goes wrong once, with one target.

    A subclass says what to do (`begin`, `end`) and how to tell from outside that it worked (`bite`, `recovery`).
    `obstacle` is asked first: a reason why the fault would do nothing. Then nothing is done to the target, so that
    nobody else's fault is healed by accident, and the evidence is inconclusive.
    """

    kind: ClassVar[str]
    shares_its_target: ClassVar[bool] = False
    """Whether it can be on while another fault of the same run is on the same target."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._injected_ns = self._healed_ns = 0
        self._obstacle: str | None = None
        self._bit = self._recovered = _NOT_YET
        self._recovery_s: float | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    @property
    def has_bitten(self) -> bool:
        """Whether the fault was seen to have an effect; known from its end on."""
        return self._bit.seen

    @abstractmethod
    def check(self, stack: LeasedStack) -> None:
        """Raise UsageError if the stack has no such target."""

    @abstractmethod
    def obstacle(self, stack: LeasedStack) -> str | None:
        """Return why the fault cannot do anything at present, None if it can."""

    @abstractmethod
    def begin(self, stack: LeasedStack) -> None:
        """Break the target; return when it is broken."""

    @abstractmethod
    def bite(self, stack: LeasedStack) -> Observed:
        """Tell, at the end of the fault while it is still on, whether it had an effect."""

    @abstractmethod
    def end(self, stack: LeasedStack) -> None:
        """Undo `begin`; return when it is undone."""

    @abstractmethod
    def recovery(self, stack: LeasedStack) -> Observed:
        """Wait for the target's first sign of life, with a deadline."""

    def inject(self, stack: LeasedStack) -> None:
        """Start the fault."""
        if self._injected_ns:
            raise UsageError(f"The fault {self!r} was injected before.", "Make a new one for each time.")
        self.check(stack)
        self._obstacle = self.obstacle(stack)
        if self._obstacle is None:
            self._begin(stack)
        self._injected_ns = time.monotonic_ns()

    def _begin(self, stack: LeasedStack) -> None:
        try:
            self.begin(stack)
        except BaseException:
            # Half a fault is undone at once; what stands in the way of that is not the cause.
            with contextlib.suppress(FullspanError):
                self.end(stack)
            raise

    def heal(self, stack: LeasedStack) -> None:
        """End the fault, whatever the watching of it gave, and wait for the recovery."""
        if self._obstacle is not None:
            self._healed_ns = time.monotonic_ns()
            self._bit = Observed(False, self._obstacle)
            self._recovered = Observed(False, "nothing was done, so there was nothing to heal")
            return
        self._bit = _watch(self.bite, stack)
        asked_ns = time.monotonic_ns()
        try:
            self.end(stack)
        except FullspanError as error:
            self._recovered = Observed(False, str(error))
            raise
        finally:
            self._healed_ns = time.monotonic_ns()
        self._recovered = _watch(self.recovery, stack)
        if self._recovered.seen:
            self._recovery_s = (time.monotonic_ns() - asked_ns) / 1e9

    def evidence(self) -> Evidence:
        """Return what was seen so far."""
        return Evidence(
            kind=self.kind,
            target=self.target,
            bit=self._bit.seen,
            healed=self._recovered.seen,
            bit_detail=self._bit.detail,
            heal_detail=self._recovered.detail,
            injected_mono_ns=self._injected_ns,
            healed_mono_ns=self._healed_ns,
            recovery_s=self._recovery_s,
        )


def _watch(look: Callable[[LeasedStack], Observed], stack: LeasedStack) -> Observed:
    """Look; not being able to look is an observation too, and must not keep a fault from being healed."""
    try:
        return look(stack)
    except (FullspanError, OSError) as error:
        return Observed(False, f"it could not be observed: {error}")
