"""What every benchmark has in common: how much is measured, and what is printed of it."""

import argparse
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

QUICK_N = 1


def options(doc: str | None, n: int, of: str) -> argparse.ArgumentParser:
    """Make the options that all have: `n` samples `of` something, and a form that only shows that the script works."""
    parser = argparse.ArgumentParser(description=str(doc).splitlines()[0])
    parser.add_argument("-n", type=int, help=f"{of} (default {n}, {QUICK_N} when quick)")
    parser.add_argument("--quick", action="store_true", help="little data for a few seconds; its figures say nothing")
    parser.set_defaults(usual=n)
    return parser


def read(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the options, with `n` as it was given or as it usually is, and print what the figures are measured on."""
    given = parser.parse_args()
    given.n = given.n or (min(QUICK_N, given.usual) if given.quick else given.usual)
    print_machine()
    if given.quick:
        print("quick: little data, and other work beside it; these figures say nothing")
    return given


def print_machine() -> None:
    """Print what the figures are measured on."""
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    print(f"machine: {cpu}, {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}")
    print(f"python: {platform.python_version()}")


def print_claim(what: str, kept: bool, *, quick: bool) -> None:
    """Print what is claimed, and whether it is kept, which quick figures cannot tell."""
    print(f"  claim: {what}" + ("" if quick else ", kept" if kept else ", MISSED"))


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
