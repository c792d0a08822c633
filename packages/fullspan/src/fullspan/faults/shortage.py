"""Faults of a component's resources: handles, memory, processor time or disk run out, and come back."""

import re
from pathlib import Path
from typing import Any, ClassVar, Final

from fullspan.errors import StackError, UsageError
from fullspan.faults.base import Fault
from fullspan.faults.evidence import Observed
from fullspan.faults.lease import LeasedStack
from fullspan.faults.question import Question
from fullspan.stack import shortages

__all__ = ["FewHandles", "FullDisk", "LittleCpu", "LittleMemory"]

_SILENCE_S: Final = 0.5
_RECOVERY_S: Final = 30.0
_LONGEST_QUOTE: Final = 160


class _ShortageFault(Fault):
    """What all have in common: the component says that it ran out, stops to answer, or ends.

    It says so in its log; `says` is the pattern to look for, at first the words of the system and of the usual
    languages. A component that had enough left, and one that hides its trouble and still answers, gives no evidence.
    One that ended of it is started again at the end.
    """

    what: ClassVar[type[shortages.Shortage]]
    usual: ClassVar[str] = ""

    def __init__(
        self, component: str, *, says: str | None = None, question: Question | None = None, **amounts: Any
    ) -> None:
        super().__init__(component)
        self.amounts = amounts
        try:
            self._says = re.compile((says or self.usual).encode())
            self._shortage = self.what(**amounts)
        except re.error as error:
            raise UsageError(f"The pattern {says!r} of {self.kind} of {component!r} is none: {error}.") from error
        except ValueError as error:
            raise UsageError(f"The fault {self.kind} of {component!r} makes no sense: {error}.") from error
        self._question = question
        self._log = Path()
        self._log_start = 0

    def check(self, stack: LeasedStack) -> None:
        stack.check_component(self.target)

    def obstacle(self, stack: LeasedStack) -> str | None:
        state = stack.component(self.target)
        if state.state != "ready":
            return f"it was {state.state} before the fault"
        if self.what.kind in stack.shortages(self.target):
            return f"something else had made it short of {self.what.kind} before the fault"
        return None

    def begin(self, stack: LeasedStack) -> None:
        self._question = self._question or stack.question(self.target)
        state = stack.component(self.target)
        self._log = Path(state.log)
        self._log_start = self._log.stat().st_size
        stack.begin_shortage(self.target, self.what.kind, self.amounts)

    def bite(self, stack: LeasedStack) -> Observed:
        state = stack.component(self.target)
        if state.state == "died":
            return Observed(True, f"it ended of it ({state.detail})")
        if line := self._said():
            return Observed(True, f"it said: {line}")
        if self._question is None:
            return Observed(False, "it said nothing of it and lived on")
        with self._question.ask() as asked:
            answer = asked.answer(_SILENCE_S)
        if answer.seen:
            return Observed(False, f"it said nothing of it, and {answer.detail}")
        return Observed(True, answer.detail)

    def _said(self) -> str:
        """Return the first line of its log since the fault began that speaks of the shortage."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            for line in log:
                if self._says.search(line):
                    return line.decode(errors="replace").strip()[:_LONGEST_QUOTE]
        return ""

    def end(self, stack: LeasedStack) -> None:
        stack.end_shortage(self.target, self.what.kind)

    def recovery(self, stack: LeasedStack) -> Observed:
        state = stack.component(self.target)
        if state.state != "ready":
            return Observed(False, f"it is {state.state}")
        if self.what.kind in stack.shortages(self.target):
            return Observed(False, f"it is still short of {self.what.kind}")
        if self._question is None:
            return Observed(True, f"pid {state.pid} lives and has what it needs")
        return self._question.until_answered(_RECOVERY_S)


class FewHandles(_ShortageFault):
    """Each process of a component can open `spare` more files and connections than it has open when this begins."""

    kind = "few-handles"
    what = shortages.FewHandles
    usual = r"EMFILE|[Tt]oo many open files|emfile"

    def __init__(
        self, component: str, spare: int = 0, *, says: str | None = None, question: Question | None = None
    ) -> None:
        super().__init__(component, says=says, question=question, spare=spare)


class LittleMemory(_ShortageFault):
    """Each process of a component can take `spare_bytes` more memory (address space) than it has when this begins."""

    kind = "little-memory"
    what = shortages.LittleMemory
    usual = r"ENOMEM|[Cc]annot allocate memory|MemoryError|OutOfMemory|bad_alloc|[Oo]ut of memory|eheap_alloc"

    def __init__(
        self, component: str, spare_bytes: int = 0, *, says: str | None = None, question: Question | None = None
    ) -> None:
        super().__init__(component, says=says, question=question, spare_bytes=spare_bytes)


class LittleCpu(_ShortageFault):
    """A component gets the processor for `share` of the time (0.1 is a tenth) and stands still in between.

    It bit if the component had work to do in the turns that it got; one that had none lacked nothing.
    """

    kind = "little-cpu"
    what = shortages.LittleCpu

    def __init__(self, component: str, share: float = 0.1, *, question: Question | None = None) -> None:
        super().__init__(component, question=question, share=share)

    def bite(self, stack: LeasedStack) -> Observed:
        """Tell whether it had work to do."""
        seen = stack.shortages(self.target).get(self.what.kind)
        if not seen:
            return Observed(False, "something had ended the shortage")
        stops, busy, held_s = int(seen["stops"]), int(seen["busy_stops"]), seen["held_s"]
        detail = (
            f"it stood still for {held_s:.1f} s in {stops} pieces, and had work to do in {busy} of the turns between"
        )
        return Observed(busy > 0, detail)


class FullDisk(_ShortageFault):
    """The file system of a component's `folder` is filled until `spare_bytes` are left.

    `folder` is relative to the component's own. It must lie on a disk of its own with at most `most_bytes` free, for
    example a small tmpfs: otherwise nothing is done, and the fault is inconclusive.
    """

    kind = "full-disk"
    what = shortages.FullDisk
    usual = r"ENOSPC|[Nn]o space left on device|[Dd]isk full|enospc"

    def __init__(
        self,
        component: str,
        folder: str = ".",
        spare_bytes: int = 0,
        most_bytes: int = 2**30,
        *,
        says: str | None = None,
        question: Question | None = None,
    ) -> None:
        super().__init__(
            component, says=says, question=question, folder=folder, spare_bytes=spare_bytes, most_bytes=most_bytes
        )

    def obstacle(self, stack: LeasedStack) -> str | None:
        """Return why the disk cannot be filled."""
        assert isinstance(self._shortage, shortages.FullDisk)  # noqa: S101 - `what` says so
        if other := super().obstacle(stack):
            return other
        try:
            self._shortage.place(Path(stack.component(self.target).dir), stack.folder)
        except StackError as error:
            return str(error).rstrip(".")
        return None
