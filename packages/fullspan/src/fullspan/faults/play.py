"""A schedule while it is played: every fault begins and ends at its time, in a thread of its own."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fullspan.errors import StackError
from fullspan.faults.base import Fault
from fullspan.faults.schedule import Planned, Schedule

__all__ = ["Play"]

# What healing may take beyond the schedule: a component that was killed has to start and answer.
_HEAL_S: Final = 120.0

Act = Callable[[Fault], None]


class Play:
    """Begins when it is made. `end` heals what is on and begins nothing any more; `wait` lets all of it happen."""

    def __init__(self, schedule: Schedule, inject: Act, heal: Act) -> None:
        self.schedule = schedule
        self._inject = inject
        self._heal = heal
        self._over = threading.Event()
        self._realised: list[Planned] = []
        self._errors: list[Exception] = []
        faults = [(planned, planned.fault()) for planned in schedule.faults]
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._run, args=pair, name=f"fault {pair[0].number}", daemon=True)
            for pair in faults
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def realised(self) -> Schedule:
        """Return the faults that have happened so far, with the times at which they did."""
        done = sorted(self._realised, key=lambda planned: planned.at_s)
        return replace(self.schedule, faults=tuple(done), realised=True)

    @property
    def going(self) -> bool:
        """Whether a fault is still on or to come."""
        return any(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Wait until the last fault is over; raise what went wrong with one."""
        deadline = self._began + self.schedule.duration_s + _HEAL_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if alive:
            raise StackError(f"Of the schedule {self.schedule.name!r} {', '.join(alive)} did not end in time.")
        if self._errors:
            raise self._errors[0]

    def end(self) -> None:
        """Heal what is on, leave out what has not begun, and wait for that."""
        self._over.set()
        self.wait()

    def _run(self, planned: Planned, fault: Fault) -> None:
        if self._over.wait(max(0.0, self._began + planned.at_s - time.monotonic())):
            return
        try:
            self._inject(fault)
            began = time.monotonic()
            # It is on for as long as was meant, also if it took a while until it was.
            self._over.wait(planned.for_s)
            ended = time.monotonic()
            self._heal(fault)
        except Exception as error:
            self._errors.append(error)
        else:
            at_s, for_s = round(began - self._began, 3), round(ended - began, 3)
            self._realised.append(replace(planned, at_s=at_s, for_s=for_s))
