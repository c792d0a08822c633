"""What the broker delivers becomes samples in slots; what cannot be recorded is counted, said once, and let go."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from focus_server.errors import BlockError
from focus_server.fiber import Block, FiberAnnouncement, announcement_key, decode
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.fibres import Fibres
from focus_server.recordings.recorder.slots import Slots

__all__ = ["Intake"]

_log = structlog.get_logger()

HELD_S: Final = 30.0
"""A block waits so long for the announcement of its fibre, which comes every second."""
_AHEAD_NS: Final = 3600 * 10**9
"""No clock is so wrong; what lies further in the future is nonsense."""
_COMPLAINTS: Final = 100


@dataclass(frozen=True, slots=True)
class _Held:
    block: Block
    tag: int
    since_s: float


class Intake:
    """Takes messages of one site. `began` is told of the first block of each fibre."""

    def __init__(
        self,
        site: str,
        retention_ns: int,
        fibres: Fibres,
        slots: Slots,
        began: Callable[[RecordedFibre, int], None] = lambda *_: None,
    ) -> None:
        self._announcements = announcement_key(site)
        self._retention_ns = retention_ns
        self._fibres = fibres
        self._slots = slots
        self._began = began
        self._known: set[object] = set()
        self._held: deque[_Held] = deque()
        self._complaints: set[str] = set()
        self.refused = 0

    def take(self, key: str, headers: Mapping[str, Any], body: bytes, tag: int, now_s: float, now_ns: int) -> list[int]:
        """Take a message, delivered as `tag`; return the deliveries to acknowledge at once.

        `now_s` is a monotonic clock, `now_ns` the time since 1970.
        """
        try:
            if key == self._announcements:
                return [tag, *self._announced(FiberAnnouncement.from_json(body), now_s, now_ns)]
            return self._take(decode(key, headers, body), tag, now_s, now_ns)
        except BlockError as error:
            return [self._refuse(str(error), tag)]

    def _announced(self, announcement: FiberAnnouncement, now_s: float, now_ns: int) -> list[int]:
        if not self._fibres.announced(announcement):
            return []
        _log.info("recorder.fibre", channels=announcement.number_of_channels, epoch=announcement.epoch)
        held, self._held = self._held, deque()
        tags = []
        for one in held:
            try:
                tags += self._take(one.block, one.tag, now_s, now_ns, since_s=one.since_s)
            except BlockError as error:
                tags.append(self._refuse(str(error), one.tag))
        return tags

    def _take(self, block: Block, tag: int, now_s: float, now_ns: int, since_s: float | None = None) -> list[int]:
        fibre = self._fibres.of(block)
        if fibre is None:
            self._held.append(_Held(block, tag, now_s if since_s is None else since_s))
            return []
        taken_ns = fibre.grid.time_ns(block.first_sample)
        if taken_ns > now_ns + _AHEAD_NS:
            raise BlockError("A block is more than an hour ahead of this machine's clock; set one of the two clocks.")
        number = fibre.number(block)
        if fibre.end_ns(number // fibre.slot_blocks) < now_ns - self._retention_ns:
            raise BlockError("A block is older than recordings are kept; it is not recorded any more.")
        if fibre.key not in self._known:
            self._known.add(fibre.key)
            self._began(fibre, number)
        return [tag] if self._slots.take(fibre, block, tag, now_s) else []

    def drop_held(self, now_s: float) -> list[int]:
        """Let go of the blocks whose fibre nobody announced in time; return their deliveries."""
        tags = []
        while self._held and now_s - self._held[0].since_s >= HELD_S:
            held = self._held.popleft()
            tags.append(self._refuse("Blocks come of a fibre that nobody announces; they are not recorded.", held.tag))
        return tags

    def forget_held(self) -> None:
        """Forget the blocks that wait for an announcement: their connection is gone, and they will come again."""
        self._held.clear()

    def _refuse(self, complaint: str, tag: int) -> int:
        """Say once what is wrong with messages, not for every one of them."""
        self.refused += 1
        if complaint not in self._complaints and len(self._complaints) < _COMPLAINTS:
            self._complaints.add(complaint)
            _log.warning("message.refused", cause=complaint)
        return tag
