"""What components use: measured on real processes, and held against limits."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullspan.monitor import Meter, Usage
from fullspan.monitor.limits import broken_limits
from fullspan.stack.processes import COMPONENT_TAG, kill_until_gone, tagged

HUNGRY = """
import subprocess, sys, threading, time
sleeper = [sys.executable, '-c', 'import time; print(flush=True); time.sleep(600)']
child = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
child.stdout.readline()
block = b'x' * 60_000_000
files = [open('/dev/null') for _ in range(50)]
threads = [threading.Thread(target=time.sleep, args=(600,), daemon=True) for _ in range(7)]
[thread.start() for thread in threads]
open('data', 'wb').write(b'x' * 5_000_000)
print('on', flush=True)
while sys.stdin.readline():
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        pass
    print('burnt', flush=True)
"""


@pytest.fixture
def hungry(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A process with a child that uses a known amount of everything, under a tag of its own."""
    run_id = f"test-{os.urandom(6).hex()}"
    tag = f"{run_id}/part"
    with subprocess.Popen(
        [sys.executable, "-c", HUNGRY],
        cwd=tmp_path, env=os.environ | {COMPONENT_TAG: tag}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        yield run_id, process
        kill_until_gone(lambda: tagged(COMPONENT_TAG, tag))


def test_a_component_is_measured_with_all_its_processes(hungry, tmp_path: Path):
    run_id, process = hungry
    meter = Meter(run_id, {"part": tmp_path, "idle": tmp_path / "none"})
    first, idle = meter.measure()
    assert (first.component, first.processes, first.cpu_percent) == ("part", 2, None)
    assert 60 < first.memory_mb < 160
    assert 50 + 3 <= first.handles < 100
    assert first.threads == 1 + 7 + 1
    assert 5.0 <= first.disk_mb < 5.2
    assert (idle.processes, idle.memory_mb, idle.disk_mb) == (0, 0, 0)
    began = time.monotonic()
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "burnt\n"
    second = meter.measure()[0]
    took = time.monotonic() - began
    assert second.cpu_percent == pytest.approx(100 * 0.3 / took, rel=0.25)


def test_a_process_of_another_run_is_not_ours(hungry, tmp_path: Path):
    [usage] = Meter("another-run", {"part": tmp_path}).measure()
    assert usage.processes == 0


@pytest.mark.timed
def test_measuring_costs_little(tmp_path: Path):
    """Below 2 % of a processor at one look a second, with all processes of this machine to be told apart."""
    meter = Meter("run", dict.fromkeys("abcdef", tmp_path))
    meter.measure()
    began = time.thread_time()
    for _ in range(20):
        meter.measure()
    assert (time.thread_time() - began) / 20 < 0.02


def usage(at_s: float, cpu: float | None = 0.0, memory: float = 10, handles: int = 5) -> Usage:
    return Usage(round(at_s * 1e9), "part", 1, cpu, memory, handles, 3, 0.5)


def test_one_sample_breaks_a_limit_but_a_moment_of_work_does_not():
    limits = {"part": {"cpu_percent": 50.0, "memory_mb": 100.0, "handles": 10.0, "threads": 3.0}}
    quiet = [usage(second, 20) for second in range(12)]
    assert broken_limits(quiet, limits) == []
    peak = [usage(second, 100 if second == 6 else 20, 200 if second == 6 else 10) for second in range(12)]
    assert broken_limits(peak, limits) == ["part used 200 MB memory, and may 100 MB"]
    busy = [usage(second, 100 if 3 <= second <= 7 else 0, handles=11) for second in range(12)]
    assert broken_limits(busy, limits) == [
        "part used 100 % processor time over 5 s, and may 50 %",
        "part used 11 handles, and may 10",
    ]
    short = [usage(second, None if second == 0 else 100) for second in range(4)]
    assert broken_limits(short, limits) == [], "4 s are no 5 s"
    assert broken_limits([], limits) == []
