"""What the components of a stack take while something runs: processor time and memory."""

import time
from collections.abc import Iterable

import numpy as np
import psutil

from fullspan.stack import Stack

MB = 1e6


class Meter:
    """Processor time and memory of the stack's components and of this process."""

    def __init__(self, stack: Stack) -> None:
        pids = {name: component.pid for name, component in stack.components.items()}
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items() if pid is not None}
        self._processes["this process"] = psutil.Process()
        self.memory: dict[str, list[tuple[float, int]]] = {name: [] for name in self._processes}
        self.cores: dict[str, float] = {}
        self._began = self._times()
        self._began_s = time.monotonic()

    def _times(self) -> dict[str, float]:
        return {name: sum(_family(process, "cpu_times")) for name, process in self._processes.items()}

    def sample(self) -> None:
        """Note how much memory each has now."""
        for name, process in self._processes.items():
            self.memory[name].append((time.monotonic() - self._began_s, int(sum(_family(process, "memory_info")))))

    def end(self) -> None:
        """Note how many cores each took since the beginning."""
        elapsed = time.monotonic() - self._began_s
        self.cores = {name: (used - self._began[name]) / elapsed for name, used in self._times().items()}

    def slope_mb_per_min(self, names: Iterable[str]) -> float:
        """Return how fast the memory of some of them grew over the last half."""
        total = 0.0
        for name in names:
            samples = np.array(self.memory[name][len(self.memory[name]) // 2 :], float)
            total += float(np.polyfit(samples[:, 0], samples[:, 1], 1)[0]) * 60 / MB
        return total


def _family(process: psutil.Process, what: str) -> list[float]:
    """Return a figure of a process; a launcher's child does its work."""
    found = [process] if process.pid == psutil.Process().pid else [process, *process.children(recursive=True)]
    if what == "cpu_times":
        return [one.cpu_times().user + one.cpu_times().system for one in found]
    return [float(one.memory_info().rss) for one in found]
