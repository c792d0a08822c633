"""The focus server restarts, the analyzer is killed: viewers keep their lines, jobs their ports, rows their numbers."""

import time
from collections.abc import Callable

import pytest
from anyio.from_thread import start_blocking_portal

from fullspan.clients import FocusClient
from fullspan.faults import Faults, Kill, Restart
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.recovery import Phase, RecoveryProfile
from fullspan.verdict import Verdict
from suites.focus.grid import Grid
from suites.focus.machine import Machine
from suites.focus.viewers import Viewer, contiguous, watching

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHANNELS = (1, 40, 90, 140, 200)
WITHIN_S = 60.0
"""Until what is waited for happens; how late it may be is asked by itself."""
BACK_WITHIN_S = 5.0
OLDEST_S = 10.0
"""A row of another grid would be off by far more."""
LINES = 20
WaitUntil = Callable[[Callable[[], bool], float, str], None]


def test_no_viewer_misses_a_line_while_the_server_restarts(
    focus: FocusClient, faults: Faults, evidence: Evidence, wait_until: WaitUntil
) -> None:
    viewers = [Viewer(focus.configure(channel, nfft=256, lines_per_second=LINES)) for channel in CHANNELS]
    began = time.monotonic()
    with start_blocking_portal() as portal:
        end_watch = watching(portal, viewers)
        wait_until(lambda: all(len(viewer.rows) > LINES for viewer in viewers), WITHIN_S, "lines at all viewers")
        evidence.say(f"the focus server restarts under {len(viewers)} viewers")
        with faults.active(Restart("focus")):
            pass
        living = {job.job_id for job in focus.jobs()}
        seen = [len(viewer.rows) for viewer in viewers]
        on = lambda: all(len(v.rows) > n + 2 * LINES for v, n in zip(viewers, seen, strict=True))  # noqa: E731
        wait_until(on, WITHIN_S, "lines that go on")
        end_watch()
    evidence.finding(contiguous("lines over a restart of the server", viewers, began, time.monotonic(), 3 * LINES))
    touched = [viewer.job.job_id for viewer in viewers if viewer.broke_s or viewer.job.job_id not in living]
    verdict = Verdict.FAIL if touched else Verdict.PASS
    summary = f"{len(touched)} of {len(viewers)} jobs or streams were touched by the restart"
    evidence.finding(Finding("streams over a restart of the server", verdict, summary, len(viewers)))
    for viewer in viewers:
        focus.cancel(viewer.job.job_id)
    evidence.require()


def test_jobs_are_back_on_their_ports_after_the_analyzer_is_killed(
    focus: FocusClient, faults: Faults, evidence: Evidence, wait_until: WaitUntil, machine: Machine
) -> None:
    viewers = [Viewer(focus.configure(channel, nfft=256, lines_per_second=LINES)) for channel in CHANNELS]
    with start_blocking_portal() as portal:
        end_watch = watching(portal, viewers)
        wait_until(lambda: all(len(viewer.rows) > LINES for viewer in viewers), WITHIN_S, "lines at all viewers")
        evidence.say("the analyzer is killed")
        killed = time.monotonic()
        with faults.active(Kill("analyzer")):
            pass
        wait_until(lambda: all(viewer.broke_s for viewer in viewers), WITHIN_S, "the broken streams were noticed")
        again = lambda: all(len(v.rows_between(max(v.broke_s), float("inf"))) > LINES for v in viewers)  # noqa: E731
        wait_until(again, WITHIN_S, "lines at all viewers again")
        end_watch()
    fault = faults.evidence[-1]
    first = [viewer.first_after(max(viewer.broke_s)) or float("inf") for viewer in viewers]
    evidence.figures("analyzer killed: first line at a viewer again", [moment - killed for moment in first], "s")
    profile = RecoveryProfile.of(fault, {"viewers": {Phase.FIRST_GOOD: int(max(first) * 1e9)}}, time.monotonic_ns())
    evidence.recovery(profile)
    took = max(first) - killed
    verdict = Verdict.PASS if took <= BACK_WITHIN_S else Verdict.FAIL
    summary = f"{len(viewers)} viewers had lines again {took:.2f} s after the kill, allowed are {BACK_WITHIN_S:g} s"
    evidence.finding(machine.judge(Finding("jobs are back on their ports", verdict, summary, len(viewers))))
    evidence.finding(rows_go_on(focus, viewers))
    for viewer in viewers:
        focus.cancel(viewer.job.job_id)
    evidence.require()


def rows_go_on(focus: FocusClient, viewers: list[Viewer]) -> Finding:
    """Check that rows after the kill have the numbers that the fibre's grid gives them, on the job's old port."""
    wrong = []
    skipped = 0
    for viewer in viewers:
        job, grid = viewer.job, Grid.of(viewer.job)
        if focus.metadata(job.job_id).stream_port != job.stream_port:
            wrong.append(f"{job.job_id} is on another port")
        if viewer.rows != sorted(set(viewer.rows)):
            wrong.append(f"{job.job_id} repeats rows or has them out of order")
        age_s = (time.time_ns() - grid.due_ns(viewer.rows[-1])) / 1e9
        if not 0 < age_s < OLDEST_S:
            wrong.append(f"row {viewer.rows[-1]} of {job.job_id} was due {age_s:.1f} s ago")
        skipped += viewer.rows[-1] - viewer.rows[0] + 1 - len(viewer.rows)
    summary = "; ".join(wrong) or f"numbers go on on the fibre's grid, {skipped} lines fell into the kill"
    return Finding("row_index goes on", Verdict.FAIL if wrong else Verdict.PASS, summary, len(viewers))
