"""What the suites say of the machine: whose the processor time is that was spent while they measured."""

import os
import subprocess
import sys
import time

import pytest

from fullspan.invariants import Finding
from fullspan.stack.processes import tagged
from fullspan.verdict import Verdict
from suites.focus.machine import FOREIGN_SHARE, Machine, look, ours_ticks

BURNT_S = 0.6
TICKS = os.sysconf("SC_CLK_TCK")
BURN = f"import time\nwhile time.process_time() < {BURNT_S}: pass"
ORPHAN = f"""
import os, subprocess, sys
environment = {{name: value for name, value in os.environ.items() if name != "FULLSPAN_RUN"}} | dict(%r)
subprocess.Popen([sys.executable, "-c", {BURN!r} + "\\nprint('burnt')"], env=environment, start_new_session=True)
"""


def burn_in_an_orphan(**environment):
    """Let a process burn that nobody waits for, and whose parent has ended."""
    ended = subprocess.run([sys.executable, "-c", ORPHAN % environment], stdout=subprocess.PIPE, timeout=60, check=True)
    assert ended.stdout == b"burnt\n", "it keeps the pipe open until it has ended"


def test_what_we_let_run_is_ours_also_when_it_has_ended():
    before = look()
    subprocess.run([sys.executable, "-c", BURN], timeout=60, check=True)
    assert ours_ticks(before, look()) >= 0.9 * BURNT_S * TICKS


def test_what_a_run_lets_run_is_ours_whoever_its_parent_is():
    code = ORPHAN.replace(str(BURNT_S), "20") % {"FULLSPAN_RUN": "a-test"}
    before = look()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        parent.wait(60)
        try:
            deadline = time.monotonic() + 60
            while ours_ticks(before, look()) < BURNT_S * TICKS:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            for pid in burning():
                os.kill(pid, 9)


def burning():
    """The processes of this test's run."""
    return [process.pid for process in tagged("FULLSPAN_RUN", "a-test")]


def test_what_others_let_run_is_foreign():
    machine, began = Machine(), time.monotonic()
    burn_in_an_orphan()
    took_s = time.monotonic() - began
    assert machine.foreign * took_s * (os.cpu_count() or 1) >= 0.8 * BURNT_S


@pytest.mark.parametrize(
    ("verdict", "foreign", "expected"),
    [
        (Verdict.FAIL, 2 * FOREIGN_SHARE, Verdict.INCONCLUSIVE),
        (Verdict.FAIL, 0.0, Verdict.FAIL),
        (Verdict.PASS, 2 * FOREIGN_SHARE, Verdict.PASS),
    ],
)
def test_what_took_long_tells_nothing_where_others_had_the_processors(monkeypatch, verdict, foreign, expected):
    monkeypatch.setattr(Machine, "stolen", 0.0)
    monkeypatch.setattr(Machine, "foreign", foreign)
    judged = Machine().judge(Finding("freshness", verdict, "it took long", 1))
    assert judged.verdict is expected
    assert ("other programs took 30 %" in judged.summary) == (expected is Verdict.INCONCLUSIVE)
