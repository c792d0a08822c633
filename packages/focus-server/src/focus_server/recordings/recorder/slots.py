"""Book-keeping of the slots: where each block goes, when a slot is closed, and which deliveries wait for its file.

A slot is open while blocks are waited for, ready when nothing more is, and then being written, one at a time. A block
for a slot whose file is there already opens the slot again, with what the file lacks; its file is then written anew.
Nothing here waits or knows broker or disk: times are seconds of a monotonic clock, given by the caller.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from focus_server.fiber import Block
from focus_server.fiber.grid import BLOCKS_PER_SECOND
from focus_server.recordings.entry import GridKey
from focus_server.recordings.recorder.coverage import Table
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.slot import Slot, SlotId

__all__ = ["Counts", "Slots"]

BEYOND_BLOCKS: Final = 2 * BLOCKS_PER_SECOND
"""A group sends in order: when it has come so far past a slot, what it has not sent of it is lost."""
SILENT_S: Final = 5.0
"""A group that sends nothing for so long, although others do, has stopped."""
ALL_SILENT_S: Final = 15.0
"""When nothing at all comes, the broker may hang: what it holds will come, and a file is better written once."""
PAUSE_S: Final = 3.0
"""After so long without any message everyone is given time anew; each fibre is announced every second."""
LINGER_S: Final = 1.0
"""Late blocks come together: their file is written once, when none came for so long."""

_REMEMBERED: Final = 256


@dataclass(slots=True)
class Counts:
    """What became of the blocks that came since the start."""

    blocks: int = 0
    duplicates: int = 0
    late: int = 0
    given_up: int = 0


class _Reach:
    """How far each group of a fibre has come, and when it was heard last."""

    def __init__(self, groups: int, now_s: float) -> None:
        self.end: NDArray[np.int64] = np.zeros(groups, dtype=np.int64)
        self.heard_s = np.full(groups, now_s)

    def arrived(self, group: int, number: int, now_s: float) -> None:
        self.end[group] = max(self.end[group], number + 1)
        self.heard_s[group] = now_s


class Slots:
    """All slots in memory.

    `stored` reads which blocks the file of a slot holds, None when there is no file; `opened` is told of
    each new slot and its first block.
    """

    def __init__(
        self,
        stored: Callable[[RecordedFibre, int], Table | None],
        opened: Callable[[Slot, int], None] = lambda *_: None,
    ) -> None:
        self._read_stored = stored
        self._opened = opened
        self._open: dict[SlotId, Slot] = {}
        self._ready: OrderedDict[SlotId, Slot] = OrderedDict()
        self._writing: Slot | None = None
        self._finished: OrderedDict[SlotId, Table] = OrderedDict()
        self._reach: dict[GridKey, _Reach] = {}
        self._heard_s = self._resumed_s = -math.inf
        self.counts = Counts()

    @property
    def ready(self) -> int:
        """Return how many slots wait to be written."""
        return len(self._ready)

    @property
    def open(self) -> int:
        """Return for how many slots blocks are waited for."""
        return len(self._open)

    def uuids(self) -> set[str]:
        """Return the identities of the recordings that are being made."""
        writing = [] if self._writing is None else [self._writing]
        return {slot.fibre.uuid(slot.number) for slot in [*self._open.values(), *self._ready.values(), *writing]}

    def heard(self, now_s: float) -> None:
        """Note that the broker delivered something, whatever it was: who stays silent then is so by itself."""
        if now_s - self._heard_s >= PAUSE_S:
            self._resumed_s = now_s
        self._heard_s = now_s

    def take(self, fibre: RecordedFibre, block: Block, tag: int, now_s: float) -> bool:
        """Put a block in its place; `tag` is its delivery, which is kept until the block is in a file on the disk.

        True when a file holds the block already, so that it can be acknowledged at once. Raises BlockError when the
        block does not fit the fibre.
        """
        number = fibre.number(block)
        self._reach_of(fibre, now_s).arrived(block.group, number, now_s)
        slot = self._slot(fibre, number, block.group, now_s)
        if slot is None:
            self.counts.duplicates += 1
            return True
        slot.tags.append(tag)
        if slot.holds(number, block.group):
            self.counts.duplicates += 1
            return False
        slot.put(block, number, now_s)
        self.counts.blocks += 1
        self.counts.late += bool(slot.stored.any())
        if slot.is_complete:
            self._make_ready(slot)
        return False

    def _slot(self, fibre: RecordedFibre, number: int, group: int, now_s: float) -> Slot | None:
        """Return the slot that a block belongs to, opened when need be; None when its file holds the block."""
        slot_number, index = divmod(number, fibre.slot_blocks)
        ident = (fibre.key, slot_number)
        slot = self._open.get(ident) or self._ready.get(ident)
        if slot is not None:
            return slot
        writing = self._writing
        if writing is not None and writing.id == ident:
            # Its file is not yet there, so what is in it already is acknowledged with it.
            if writing.holds(number, group):
                return writing
            return self._begin(fibre, number, writing.have | writing.stored, now_s)
        stored = self._stored(fibre, slot_number)
        if stored is not None and stored[index, group]:
            return None
        return self._begin(fibre, number, stored, now_s)

    def _begin(self, fibre: RecordedFibre, number: int, stored: Table | None, now_s: float) -> Slot:
        slot = Slot(fibre, number // fibre.slot_blocks, stored, now_s)
        self._open[slot.id] = slot
        self._opened(slot, number)
        return slot

    def _stored(self, fibre: RecordedFibre, number: int) -> Table | None:
        ident = (fibre.key, number)
        if ident not in self._finished:
            table = self._read_stored(fibre, number)
            if table is None:
                return None
            self._remember(ident, table)
        return self._finished[ident]

    def _remember(self, ident: SlotId, table: Table) -> None:
        self._finished[ident] = table
        self._finished.move_to_end(ident)
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)

    def _reach_of(self, fibre: RecordedFibre, now_s: float) -> _Reach:
        reach = self._reach.get(fibre.key)
        if reach is None:
            reach = self._reach[fibre.key] = _Reach(fibre.groups, now_s)
        return reach

    def add(self, part: Slot) -> None:
        """Take samples of a slot that did not come from the broker; what did come stays as it is."""
        slot = self._open.get(part.id) or self._ready.get(part.id)
        if slot is not None:
            slot.absorb(part)
            return
        writing = self._writing
        if writing is not None and writing.id == part.id:
            part.stored = writing.have | writing.stored
        else:
            stored = self._stored(part.fibre, part.number)
            part.stored = part.stored if stored is None else stored
        self._open[part.id] = part

    def close_due(self, now_s: float, connected_s: float) -> None:
        """Make those slots ready for which nothing more is waited for; the broker is connected since `connected_s`."""
        for slot in list(self._open.values()):
            if now_s - slot.renewed_s >= LINGER_S and self._is_over(slot, now_s, connected_s):
                self._make_ready(slot)

    def _is_over(self, slot: Slot, now_s: float, connected_s: float) -> bool:
        reach = self._reach_of(slot.fibre, now_s)
        whole = (slot.have | slot.stored).all(axis=0)
        beyond = reach.end >= (slot.number + 1) * slot.fibre.slot_blocks + BEYOND_BLOCKS
        heard_s = np.maximum(reach.heard_s, max(connected_s, self._resumed_s))
        silent = (self._heard_s - heard_s >= SILENT_S) | (now_s - heard_s >= ALL_SILENT_S)
        return bool((whole | beyond | silent).all())

    def _make_ready(self, slot: Slot) -> None:
        if self._open.pop(slot.id, None) is not None:
            self._ready[slot.id] = slot

    @property
    def next_bytes(self) -> int | None:
        """Return how large the slot is that would be written next; None when none is ready."""
        slot = next(iter(self._ready.values()), None)
        return None if slot is None else slot.data.nbytes

    def begin_writing(self) -> Slot | None:
        """Take the slot that has been ready for longest; until `written` or `not_written` it is being written."""
        if not self._ready:
            return None
        _, self._writing = self._ready.popitem(last=False)
        return self._writing

    def written(self, slot: Slot, table: Table) -> list[int]:
        """Note that a slot's file is on the disk and holds `table`; return the deliveries to acknowledge."""
        self._writing = None
        self._remember(slot.id, table)
        return _let_go(slot)

    def not_written(self, slot: Slot) -> None:
        """Note that the disk did not take a slot: it is the next one to try again, with what came for it meanwhile."""
        self._writing = None
        later = self._open.pop(slot.id, None) or self._ready.pop(slot.id, None)
        if later is not None:
            slot.absorb(later)
        self._ready[slot.id] = slot
        self._ready.move_to_end(slot.id, last=False)

    def give_up(self, before_ns: int) -> list[int]:
        """Drop the ready slots that ended before `before_ns`; return their deliveries, which become a gap."""
        tags = []
        for slot in [slot for slot in self._ready.values() if slot.end_ns < before_ns]:
            del self._ready[slot.id]
            self.counts.given_up += slot.blocks
            tags += _let_go(slot)
        return tags

    def forget_deliveries(self) -> None:
        """Forget all deliveries, because their connection is gone: the broker will deliver those blocks again."""
        writing = [] if self._writing is None else [self._writing]
        for slot in [*self._open.values(), *self._ready.values(), *writing]:
            slot.tags.clear()


def _let_go(slot: Slot) -> list[int]:
    tags, slot.tags = slot.tags, []
    return tags
