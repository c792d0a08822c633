"""Faults of a component's processes: they stand still, are killed, stay down for a time, or are started anew."""

from collections.abc import Iterable
from typing import ClassVar

from fullspan.faults.base import Fault
from fullspan.faults.evidence import Observed
from fullspan.faults.lease import LeasedStack
from fullspan.faults.question import Asked, Question
from fullspan.stack.processes import Process, look_up, wait_until

__all__ = ["Hang", "Kill", "Restart", "Stop"]

# A healthy program answers a greeting within milliseconds; silence for this long tells the difference.
_SILENCE_S = 0.5
_RECOVERY_S = 30.0
_STOPPED = "Tt"


class _ProcessFault(Fault):
    """What all have in common: a question is asked of the component while the fault is on, and after it.

    Without `question` the component's endpoints tell which one suits. A component that serves nobody over TCP has
    none; then its processes alone are the evidence.
    """

    begin_with: ClassVar[str]
    end_with: ClassVar[str]

    def __init__(self, component: str, question: Question | None = None) -> None:
        super().__init__(component)
        self._question = question
        self._asked: Asked | None = None
        self._before: list[Process] = []

    def check(self, stack: LeasedStack) -> None:
        stack.check_component(self.target)

    def obstacle(self, stack: LeasedStack) -> str | None:
        self._before = stack.processes(self.target)
        if not self._before:
            return "it was not running before the fault"
        stopped = [process for process in self._before if process.state in _STOPPED]
        return f"something else had stopped it before the fault ({_pids(stopped)})" if stopped else None

    def begin(self, stack: LeasedStack) -> None:
        self._question = self._question or stack.question(self.target)
        stack.act(self.target, self.begin_with)
        if self._question is not None:
            self._asked = self._question.ask()

    def bite(self, stack: LeasedStack) -> Observed:
        seen = self._effect(stack)
        if not seen.seen or self._asked is None:
            return seen
        answer = self._asked.answer(_SILENCE_S)
        if answer.seen:
            return Observed(False, f"{seen.detail}, and yet {answer.detail}")
        return Observed(True, f"{seen.detail}; {answer.detail}")

    def end(self, stack: LeasedStack) -> None:
        if self._asked is not None:
            self._asked.close()
        stack.act(self.target, self.end_with)

    def recovery(self, stack: LeasedStack) -> Observed:
        back = self._back(stack)
        if not back.seen or self._question is None:
            return back
        answer = self._question.until_answered(_RECOVERY_S)
        return Observed(answer.seen, f"{back.detail}; {answer.detail}")

    def _effect(self, stack: LeasedStack) -> Observed:
        raise NotImplementedError

    def _back(self, stack: LeasedStack) -> Observed:
        raise NotImplementedError

    def _alive(self) -> list[Process]:
        """Return those of the processes from before that still live, as they are now."""
        return [now for was in self._before if (now := look_up(*was.identity)) is not None]


class Hang(_ProcessFault):
    """All processes of a component stand still (SIGSTOP) until they are let go on (SIGCONT)."""

    kind = "hang"
    begin_with = "hang"
    end_with = "resume"

    def _effect(self, stack: LeasedStack) -> Observed:
        alive = self._alive()
        moving = [process for process in alive if process.state not in _STOPPED]
        if moving or not alive:
            return Observed(False, f"{_pids(moving)} was moving" if moving else "its processes ended")
        return Observed(True, f"{_pids(alive)} stood still")

    def _back(self, stack: LeasedStack) -> Observed:
        def moving() -> bool:
            alive = self._alive()
            return bool(alive) and not any(process.state in _STOPPED for process in alive)

        if wait_until(moving, _RECOVERY_S):
            return Observed(True, f"{_pids(self._alive())} moved again")
        return Observed(False, f"its processes did not move again within {_RECOVERY_S:g} s")


class _Ended(_ProcessFault):
    """The processes of a component end and new ones are started."""

    def _effect(self, stack: LeasedStack) -> Observed:
        if alive := self._alive():
            return Observed(False, f"{_pids(alive)} still lived")
        if others := stack.processes(self.target):
            return Observed(False, f"something had started it again ({_pids(others)})")
        return Observed(True, f"{_pids(self._before)} had ended")

    def _back(self, stack: LeasedStack) -> Observed:
        before = {process.identity for process in self._before}
        new = [process for process in stack.processes(self.target) if process.identity not in before]
        return Observed(bool(new), f"{_pids(new)} was started" if new else "no new process was there")


class Kill(_Ended):
    """A component is killed (SIGKILL to all its processes) and, at the end of the fault, started again."""

    kind = "kill"
    begin_with = "kill"
    end_with = "start"


class Stop(_Ended):
    """A component is stopped the way it likes to be stopped, stays down, and is started again at the end of the fault.

    A component that does not end in its time is killed; the evidence then says so.
    """

    kind = "stop"
    begin_with = "stop"
    end_with = "start"

    def _effect(self, stack: LeasedStack) -> Observed:
        seen = super()._effect(stack)
        return Observed(True, f"{seen.detail} ({stack.ending(self.target)})") if seen.seen else seen


class Restart(Stop):
    """A component is stopped and at once started again, both when the fault begins; the block sees what follows.

    Its evidence is complete when the block is entered: what was seen while it was down, and that it came back.
    """

    kind = "restart"

    def inject(self, stack: LeasedStack) -> None:
        """Stop it, look, and start it; return when it is back."""
        super().inject(stack)
        super().heal(stack)

    def heal(self, stack: LeasedStack) -> None:
        """Do nothing: it was healed when it was injected."""


def _pids(processes: Iterable[Process]) -> str:
    return "pid " + ", ".join(str(process.pid) for process in processes)
