"""The shortages that are in force on the components of one running stack."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.shortages.cpu import LittleCpu
from fullspan.stack.shortages.disk import FullDisk
from fullspan.stack.shortages.limits import FewHandles, LittleMemory
from fullspan.stack.shortages.shortage import Shortage, Target
from fullspan.stack.undo import Remove, UndoList

__all__ = ["KINDS", "Shortages"]

KINDS: Final[Mapping[str, type[Shortage]]] = MappingProxyType({
    shortage.kind: shortage for shortage in (LittleCpu, FullDisk, FewHandles, LittleMemory)
})  # fmt: skip


class Shortages:
    """At most one of each kind per component; `run` is the folder that the run itself must be able to write to."""

    def __init__(self, undo: UndoList, run: Path) -> None:
        self._undo = undo
        self._run = run
        self._held: dict[tuple[str, str], Shortage] = {}
        self._records: dict[tuple[str, str], int] = {}
        self._targets: dict[str, Target] = {}

    async def begin(self, target: Target, shortage: Shortage) -> None:
        """Make a component short of something; how to undo it is on record before."""
        key = (target.id, shortage.kind)
        if key in self._held:
            raise StackError(f"Component {target.id!r} is short of {shortage.kind} already.", "End that first.")
        if not target.running:
            raise StackError(f"Component {target.id!r} does not run, so it cannot be short of {shortage.kind}.")
        if isinstance(shortage, FullDisk):
            shortage.prepare(target.folder, self._run)
        self._held[key] = shortage
        self._targets[target.id] = target
        if shortage.left_behind is not None:
            self._records[key] = self._undo.add(Remove(str(shortage.left_behind)))
        try:
            await shortage.begin(target)
        except BaseException:
            self._forget(key)
            raise

    async def end(self, component: str, kind: str) -> None:
        """Give a component back what it is short of; nothing happens if it is not."""
        key = (component, kind)
        if key in self._held:
            await self._held[key].end(self._targets[component])
            self._forget(key)

    def seen(self, component: str) -> dict[str, Mapping[str, float]]:
        """Return what a component is short of, and what each shortage has done so far."""
        return {kind: shortage.seen() for (name, kind), shortage in self._held.items() if name == component}

    async def aclose(self) -> None:
        """End all."""
        for component, kind in list(self._held):
            await self.end(component, kind)

    def _forget(self, key: tuple[str, str]) -> None:
        del self._held[key]
        if key in self._records:
            self._undo.done(self._records.pop(key))
