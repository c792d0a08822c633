"""The machine's checks against what the machine really has, and against limits that it does not keep."""

import os
import resource
from pathlib import Path

import psutil
import pytest

from fullspan.doctor.check import Level, exit_code
from fullspan.doctor.machine import GIB, ClockWatch, disk, handles, look_at_machine, memory


def test_this_machine_is_looked_at(tmp_path):
    checks = {check.name: check for check in look_at_machine(tmp_path / "var", ClockWatch.begin())}
    assert list(checks) == ["memory", "disk", "processors", "open files", "free ports", "clock"]
    assert checks["processors"].detail.startswith(f"{len(os.sched_getaffinity(0))} core")
    told = float(checks["memory"].detail.split()[0])
    assert told <= psutil.virtual_memory().total / GIB
    assert checks["clock"].detail.startswith("goes evenly")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard == resource.RLIM_INFINITY or f"{hard:,}" in checks["open files"].detail
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


@pytest.mark.parametrize(
    ("available", "level", "words"),
    [
        (3 * GIB, Level.OK, "3.0 GiB available"),
        (GIB, Level.WARNING, "1.0 GiB available, at least 2.0 GiB should be"),
        (GIB // 4, Level.PROBLEM, "0.2 GiB available, at least 0.5 GiB should be"),
    ],
)
def test_little_memory_is_a_warning_and_next_to_none_a_problem(available, level, words):
    check = memory(available)
    assert (check.level, check.detail) == (level, words)
    assert bool(check.remedy) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("most", "level"),
    [(resource.RLIM_INFINITY, Level.OK), (4096, Level.OK), (2048, Level.WARNING), (256, Level.PROBLEM)],
)
def test_few_open_files_are_told(most, level):
    assert handles(most).level is level


def test_a_place_that_cannot_be_written_is_a_problem():
    check = disk(Path("/proc/var"))
    assert check.level is Level.PROBLEM
    assert check.detail.startswith("nothing can be written to /proc: ")
    assert "FULLSPAN_VAR" in (check.remedy or "")


def test_a_clock_that_is_stepped_meanwhile_is_told():
    now = ClockWatch.begin()
    stepped = ClockWatch(now.wall_ns - 5_000_000_000, now.mono_ns).check()
    assert stepped.level is Level.WARNING
    assert stepped.detail.startswith("stepped by +5")
    assert now.check().level is Level.OK


def test_the_exit_code_is_that_of_the_worst(tmp_path):
    good, bad = memory(3 * GIB), memory(0)
    left = type(good)("residue", "run folder", Level.RESIDUE, "something")
    removed = type(good)("residue", "run folder", Level.FIXED, "something")
    assert exit_code([good, memory(GIB), removed]) == 0
    assert exit_code([good, left]) == 1
    assert exit_code([left, bad]) == 3
