"""Views of Focus: what a page is shown and told while the source is silent, and when it speaks again."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fullspan.clients import Job
from fullspan.invariants import Finding
from fullspan.invariants.streaming import BoundedRecovery, ShownStale, sweep
from fullspan.ledger import Ledger, Moment, Observation
from fullspan.selftest.catalogue import broken
from fullspan.selftest.defect import NO_ALARM, Defect
from fullspan.selftest.focus_values import due_ns
from fullspan.selftest.wire import TEXT, Edit, Text

__all__ = ["CLEAN_VIEW", "OLD_NS", "VIEWS", "WITHIN_NS", "Looks", "Viewed"]

WITHIN_NS: Final = 3_000_000_000
STALE_AFTER_NS: Final = 2_500_000_000
GRACE_NS: Final = 1_500_000_000
"""The server tells of a gap after a second without rows, and a busy machine a little later."""
OLD_NS: Final = STALE_AFTER_NS + GRACE_NS + 300_000_000
"""When what is shown has been so old for a few looks that it must be called old, ns."""
OUTAGE_S: Final = 2.0  # what comes after so long a silence comes after an outage
BEHIND_S: Final = 4.0


class _StaysBehind:
    """From an outage on every message is held for seconds: what has piled up is never worked off."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._behind = False
        self._held: list[tuple[float, bytes]] = []

    def __call__(self, name: str, payload: bytes) -> list[bytes]:
        if name == TEXT:
            return [payload]
        now_s = time.monotonic()
        self._behind = self._behind or now_s - self._last_s > OUTAGE_S
        self._last_s = now_s
        if not self._behind:
            return [payload]
        self._held.append((now_s, payload))
        due = [held for came_s, held in self._held if now_s - came_s >= BEHIND_S]
        self._held = self._held[len(due) :]
        return list(due)


class _HidesGaps:
    """The page is not told that nothing new comes."""

    def __call__(self, name: str, payload: bytes) -> list[bytes]:
        return [] if name == TEXT and json.loads(payload)["type"] == "gap" else [payload]


class _InventsGaps:
    """The page is told of a gap after each row that it gets."""

    def __call__(self, name: str, payload: bytes) -> list[bytes]:
        return [payload] if name == TEXT else [payload, Text(b'{"type": "gap", "seconds": 1.1}')]


@dataclass(frozen=True, slots=True)
class Viewed:
    """A defect of what a page is shown: an edit of what the server sends it, with or without a silent source."""

    defect: Defect
    frames: Callable[[], Edit] | None = None
    silence: bool = True


def _viewed(name: str, story: str, hop: str, kind: str, frames: Callable[[], Edit], silence: bool = True) -> Viewed:
    return Viewed(Defect(name, "Focus", "server to page", story, broken(hop, kind)), frames, silence)


VIEWS: Final = (
    _viewed("fresh-denied", "the page is told of a gap while rows come", "page", ShownStale.name, _InventsGaps,
            silence=False),
    _viewed("stale-hidden", "the page is not told that nothing new comes", "page", ShownStale.name, _HidesGaps),
    _viewed("never-recovered", "the source speaks again, and the page stays seconds behind for good",
            "frame", BoundedRecovery.name, _StaysBehind),
)  # fmt: skip
CLEAN_VIEW: Final = Viewed(Defect("clean", "Focus", "nowhere", "nothing is planted", NO_ALARM))


class Looks:
    """What a page showed at each look: its newest row, and whether it was told that none has come since."""

    def __init__(self, job: Job) -> None:
        self.seen = Ledger()
        self._job = job

    def look(self, row: int, stale: bool) -> int:
        """Take a look; return how old what is shown is, ns."""
        now, due = Moment.now(), due_ns(self._job, row)
        key = f"{self._job.job_id}/0/{row}"
        seen = Observation("page", key, row, due, now.mono_ns, now.wall_ns, attributes={"stale": stale})
        self.seen.observe(seen)
        return now.wall_ns - due

    def judged(self) -> Finding:
        """Judge what the page was told."""
        return sweep([ShownStale(["page"], STALE_AFTER_NS, GRACE_NS)], self.seen)[0]
