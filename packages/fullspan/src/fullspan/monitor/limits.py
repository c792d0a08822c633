"""Limits of what a component may use, as the stack file has them under `resources`."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from fullspan.monitor.meter import Usage

__all__ = ["broken_limits"]

_CPU_OVER_S: Final = 5.0
_UNITS: Final = {"cpu_percent": " %", "memory_mb": " MB", "disk_mb": " MB", "handles": "", "threads": ""}
_WORDS: Final = {"cpu_percent": "processor time", "memory_mb": "memory", "disk_mb": "disk"}


def broken_limits(usages: Sequence[Usage], limits: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return in words which limits of which components were broken.

    One sample over a limit breaks it; of processor time the mean over any 5 s does.
    """
    found = []
    for component, of_it in limits.items():
        own = [usage for usage in usages if usage.component == component]
        for what, limit in of_it.items():
            most = _most_cpu(own) if what == "cpu_percent" else max((getattr(one, what) for one in own), default=0)
            if most > limit:
                over = f" over {_CPU_OVER_S:g} s" if what == "cpu_percent" else ""
                unit = _UNITS[what]
                found.append(
                    f"{component} used {most:,.6g}{unit} {_WORDS.get(what, what)}{over}, and may {limit:,.6g}{unit}"
                )
    return found


def _most_cpu(usages: Iterable[Usage]) -> float:
    """Return the largest mean over 5 s; of a shorter time there is none."""
    timed = [(usage.mono_ns, usage.cpu_percent) for usage in usages if usage.cpu_percent is not None]
    most, begin, area = 0.0, 0, 0.0
    for (before_ns, _), (now_ns, percent) in pairwise(timed):
        area += percent * (now_ns - before_ns)
        while timed[begin + 1][0] <= now_ns - _CPU_OVER_S * 1e9:
            area -= timed[begin + 1][1] * (timed[begin + 1][0] - timed[begin][0])
            begin += 1
        span = now_ns - timed[begin][0]
        if span >= _CPU_OVER_S * 1e9:
            most = max(most, area / span)
    return most
