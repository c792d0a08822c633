"""One outage of what remembers the fibre: how long it takes until all is remembered again, and whether it is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fullspan.faults import Evidence as FaultEvidence
from fullspan.faults import Fault, Faults
from fullspan.pytest_plugin import Evidence
from fullspan.recovery import Moments, Phase, RecoveryProfile, check
from suites.focus.machine import Machine
from suites.focus.recorded import Recordings

COMPLETE_WITHIN_S = 15.0
WATCHED_S = 90.0


class Remembered:
    """Everything that was sent since the interrogator began, and what became of it."""

    def __init__(self, recordings: Recordings, first: int, evidence: Evidence, machine: Machine) -> None:
        self.recordings = recordings
        self.first = first
        self._evidence = evidence
        self._machine = machine

    def after(self, fault: FaultEvidence, layers: dict[str, Moments] | None = None) -> RecoveryProfile:
        """Wait until the catalogue has all that was recorded during a fault, and compare each sample with the formula.

        What was due when the fault was over must be in a finished file soon after.
        """
        healed_ago_ns = time.monotonic_ns() - fault.healed_mono_ns
        end = self.recordings.sample_at(time.time_ns() - healed_ago_ns)
        complete = self.recordings.wait_until_covered(self.first, end, WATCHED_S)
        moment = None if complete is None else time.monotonic_ns()
        account = self.recordings.account(self.first, end)
        self._evidence.finding(account.finding(f"recorded exactly once, {fault.kind} of {fault.target}"))
        known: dict[str, Moments] = {"catalogue": {Phase.COMPLETE: moment}}
        profile = RecoveryProfile.of(fault, known | (layers or {}), time.monotonic_ns())
        self._evidence.recovery(profile)
        in_time = check(profile, {"catalogue": {Phase.COMPLETE: COMPLETE_WITHIN_S}})
        self._evidence.finding(self._machine.judge(in_time))
        return profile


@contextmanager
def broken(faults: Faults, fault: Fault, seconds: float) -> Iterator[None]:
    """Have a fault on for so many seconds; the block runs while it is."""
    with faults.active(fault):
        end = time.monotonic() + seconds
        yield
        time.sleep(max(0.0, end - time.monotonic()))  # audit: sleep because the fault lasts that long
