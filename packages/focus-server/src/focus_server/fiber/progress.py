"""What the interrogator says about itself: ready, playing, behind, caught up, dropped; one event for each change."""

from typing import Final

from structlog.typing import FilteringBoundLogger

from focus_server.fiber.grid import NANOSECONDS
from focus_server.fiber.outbox import Outbox

BEHIND_S: Final = 2.0
CAUGHT_UP_S: Final = 1.0
SAY_AGAIN_S: Final = 5.0
PLAYING_S: Final = 30.0


class Progress:
    """Turns the outbox's state into events; `update` is called a few times a second."""

    def __init__(self, outbox: Outbox, log: FilteringBoundLogger) -> None:
        self._outbox = outbox
        self._log = log
        self._ready = False
        self._behind = False
        self._worst_s = 0.0
        self._dropped = 0
        self._said_at = 0.0

    def update(self, now_ns: int, now_s: float, confirmed: int) -> None:
        """Say what changed; `now_ns` is the wall clock, `now_s` a monotonic one, `confirmed` counts blocks."""
        oldest = self._outbox.oldest_due_ns
        age_s = 0.0 if oldest is None else max(0.0, (now_ns - oldest) / NANOSECONDS)
        self._say_dropped()
        if not self._ready and confirmed:
            self._ready = True
            self._say("interrogator.ready", now_s, confirmed=confirmed)
        if self._behind:
            self._while_behind(age_s, now_s)
        elif age_s > BEHIND_S:
            self._behind = True
            self._while_behind(age_s, now_s, at_once=True)
        elif self._ready and now_s - self._said_at >= PLAYING_S:
            self._say("interrogator.playing", now_s, confirmed=confirmed)

    def _while_behind(self, age_s: float, now_s: float, *, at_once: bool = False) -> None:
        self._worst_s = max(self._worst_s, age_s)
        if age_s < CAUGHT_UP_S:
            self._say("interrogator.caught_up", now_s, worst_s=round(self._worst_s, 1))
            self._behind = False
            self._worst_s = 0.0
        elif at_once or now_s - self._said_at >= SAY_AGAIN_S:
            self._say("interrogator.behind", now_s, seconds=round(age_s, 1), waiting=self._outbox.waiting)

    def _say_dropped(self) -> None:
        new = self._outbox.dropped - self._dropped
        if new:
            self._dropped = self._outbox.dropped
            self._log.error("interrogator.dropped", blocks=new, in_all=self._dropped)

    def _say(self, event: str, now_s: float, **values: float) -> None:
        self._said_at = now_s
        self._log.info(event, **values)
