"""What a suite uses: inject a fault for the length of a block, and keep its evidence."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from fullspan.errors import FullspanError
from fullspan.faults.base import Fault
from fullspan.faults.evidence import Evidence
from fullspan.faults.lease import LeasedStack
from fullspan.faults.play import Play
from fullspan.faults.schedule import Schedule
from fullspan.stack.handle import Stack
from fullspan.timeline import Timeline

__all__ = ["Faults"]


class Faults:
    """The faults of one run on one stack.

    All are done under one lease: when this process ends, by whatever cause, the stack itself heals what is left.
    """

    def __init__(self, stack: Stack, timeline: Timeline) -> None:
        self._stack = stack
        self._timeline = timeline
        self._leased: LeasedStack | None = None
        self._leasing = threading.Lock()
        self.evidence: list[Evidence] = []

    @contextmanager
    def active(self, fault: Fault) -> Iterator[Fault]:
        """Have `fault` on while the block runs; afterwards its evidence is in `evidence`, also if the block raised."""
        leased = self.lease()
        self._inject(fault, leased)
        try:
            yield fault
        finally:
            self._heal(fault, leased)

    @contextmanager
    def play(self, schedule: Schedule) -> Iterator[Play]:
        """Play a schedule while the block runs; what is on at the end of the block is healed, the rest left out.

        How it really went is written to `schedules/NAME.json` beside the timeline (NAME-2, if another test was first),
        before the first fault as it is planned. If FULLSPAN_SCHEDULE names a file with a schedule of this name, that
        one is played instead.
        """
        leased, schedule = self.lease(), schedule.or_instead()
        schedule.check()
        file = schedule.write_new(self._timeline.path.parent / "schedules")
        self._timeline.add("schedule", f"{schedule.name}: {len(schedule.faults)} faults", seed=schedule.seed)
        play = Play(schedule, lambda fault: self._inject(fault, leased), lambda fault: self._heal(fault, leased))
        try:
            yield play
        finally:
            try:
                play.end()
            finally:
                play.realised().write(file)

    def lease(self) -> LeasedStack:
        """Return the stack as faults see it, under the lease of this run."""
        with self._leasing:
            if self._leased is None:
                self._leased = LeasedStack(self._stack)
            return self._leased

    def _inject(self, fault: Fault, stack: LeasedStack) -> None:
        try:
            fault.inject(stack)
        except FullspanError as error:
            self._timeline.add("fault.failed", str(error), fault=fault.kind, target=fault.target)
            raise
        self._timeline.add("fault.injected", f"{fault.kind} of {fault.target}", fault=fault.kind, target=fault.target)

    def _heal(self, fault: Fault, stack: LeasedStack) -> None:
        try:
            fault.heal(stack)
        finally:
            evidence = fault.evidence()
            self.evidence.append(evidence)
            self._timeline.add(
                "fault.healed",
                evidence.reason,
                fault=fault.kind,
                target=fault.target,
                verdict=evidence.verdict,
                injected_mono_ns=evidence.injected_mono_ns,
                healed_mono_ns=evidence.healed_mono_ns,
                recovery_s=evidence.recovery_s,
            )

    def close(self) -> None:
        """Give the lease back; the stack heals what is still broken."""
        if self._leased is not None:
            self._leased.close()
            self._leased = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
