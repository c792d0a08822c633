"""What every benchmark prints: the machine, raw samples, median, p95."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path


def print_machine() -> None:
    """Print what the figures were measured on."""
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    print(f"machine: {cpu}, {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}")
    print(f"python: {platform.python_version()}")


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show(name: str, samples: Sequence[float], unit: str) -> float:
    """Print one set of samples and return its median."""
    median = statistics.median(samples)
    tail = f"p95 {percentile(samples, 95):.3f}, p99 {percentile(samples, 99):.3f}"
    print(f"{name}: median {median:.3f} {unit}, {tail}, n {len(samples)}")
    print(f"  raw: {' '.join(f'{sample:.3f}' for sample in samples)}")
    return median
