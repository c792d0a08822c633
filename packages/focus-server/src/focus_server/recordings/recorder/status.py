"""What the recorder says about itself: one event with all figures every ten seconds, and at once when one changes."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog

__all__ = ["Condition", "Status", "Totals"]

_log = structlog.get_logger()

EVERY_S: Final = 10.0


@dataclass(slots=True)
class Totals:
    """What was written since the start."""

    files: int = 0
    rewritten: int = 0
    samples: int = 0
    bytes: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """What is said at once when it changes."""

    rabbitmq: str
    catalogue: str
    paused: bool


class Status:
    """Says `recorder.state`; `figures` gives what stands in it beside the totals."""

    def __init__(self, totals: Totals, figures: Callable[[], dict[str, Any]]) -> None:
        self._totals = totals
        self._figures = figures
        self._said: Condition | None = None
        self._said_s = float("-inf")
        self._cpu_s = _cpu_s()

    def update(self, condition: Condition, now_s: float) -> None:
        """Say how things are when that is due; `now_s` is a monotonic clock."""
        if condition == self._said and now_s - self._said_s < EVERY_S:
            return
        cpu_s = _cpu_s()
        passed_s = now_s - self._said_s
        self._said, self._said_s = condition, now_s
        cpu = round((cpu_s - self._cpu_s) / passed_s, 3) if passed_s > 0 else 0.0
        self._cpu_s = cpu_s
        _log.info("recorder.state", **asdict(condition), **asdict(self._totals), **self._figures(), cpu=cpu)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
