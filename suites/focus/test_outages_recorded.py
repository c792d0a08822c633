"""Outages of the broker, the recorder and the disk: every sample that was sent is recorded, exactly once.

For the stack's profiles `outages` and `hostile`: a small fibre in files of two seconds, so that each fault meets files
that are begun, full, and being closed.
"""

import random
import time
from collections.abc import Callable

import pytest
from anyio.from_thread import start_blocking_portal

from fullspan.clients import FocusClient
from fullspan.faults import Fault, Faults, Hang, Kill, Stop
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from suites.focus.disk_full import DiskFull
from suites.focus.outage import Remembered, broken
from suites.focus.viewers import Viewer, contiguous, watching

pytestmark = [pytest.mark.outages, pytest.mark.e2e, pytest.mark.slow]

DOWN_S = 30.0
HUNG_S = 5.0
KILLS = 20
LONGEST_LIFE_S = 1.2
ENOUGH_LINES = 100
WITHIN_S = 60.0


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(Stop("rabbitmq"), DOWN_S, id="rabbitmq-down", marks=pytest.mark.beside),
        pytest.param(Hang("recorder"), HUNG_S, id="recorder-hung"),
        pytest.param(Stop("recorder"), HUNG_S, id="recorder-down"),
    ],
)
def test_everything_is_recorded_over(
    faults: Faults, evidence: Evidence, remembered: Remembered, fault: Fault, seconds: float
) -> None:
    evidence.say(f"{fault.kind} of {fault.target} for {seconds:g} s")
    with broken(faults, fault, seconds):
        pass
    remembered.after(faults.evidence[-1])
    evidence.require()


def test_everything_is_recorded_over_kills_of_the_recorder(
    faults: Faults, evidence: Evidence, remembered: Remembered, pytestconfig: pytest.Config
) -> None:
    chance = random.Random(f"{pytestconfig.getoption('--seed')} kills of the recorder")
    evidence.say(f"the recorder is killed {KILLS} times, at random moments")
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, LONGEST_LIFE_S))  # audit: sleep because the moment of the kill is random
        with faults.active(Kill("recorder")):
            pass
    remembered.after(faults.evidence[-1])
    evidence.figure("kills of the recorder", len(faults.evidence))
    evidence.require()


def test_everything_is_recorded_over_a_full_disk(
    stack: Stack,
    focus: FocusClient,
    faults: Faults,
    evidence: Evidence,
    remembered: Remembered,
    wait_until: Callable[[Callable[[], bool], float, str], None],
) -> None:
    log = stack.logs("recorder")
    viewer = Viewer(focus.configure(17, nfft=256, lines_per_second=20))
    began = time.monotonic()
    with start_blocking_portal() as portal:
        end_watch = watching(portal, [viewer])
        evidence.say("the disk is filled up to the recorder's limit")
        with broken(faults, DiskFull(log.parents[1], log), HUNG_S):
            pass
        wait_until(lambda: len(viewer.rows) >= ENOUGH_LINES, WITHIN_S, "enough lines were seen")
        end_watch()
    evidence.finding(contiguous("live lines over a full disk", [viewer], began, time.monotonic(), ENOUGH_LINES))
    remembered.after(faults.evidence[-1])
    focus.cancel(viewer.job.job_id)
    evidence.require()
