"""MongoDB dies and stays away: no live line is missing, history says why it cannot be had, and then has all of it."""

import time
from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from fullspan.clients import AsyncFocusClient, ClientError, FocusClient, Refused, open_stream
from fullspan.faults import Faults, Kill
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.recovery import Phase, check
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.focus.machine import Machine
from suites.focus.outage import Remembered, broken
from suites.focus.viewers import Viewer, contiguous, watching

SHORT_S, LONG_S = 10.0, 30.0
HISTORY_S = 4.0
ENOUGH_LINES = 200
REFUSED_WITHIN_S = 2.0
ANSWER_WITHIN_S = 3.0
ASKED_EVERY_S = 1.0


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(
    "down_s",
    [
        # `make test` has the long one only.
        pytest.param(SHORT_S, marks=[pytest.mark.demo, pytest.mark.soak], id="short"),
        pytest.param(LONG_S, marks=[pytest.mark.outages, pytest.mark.beside], id="long"),
    ],
)
def test_no_live_line_is_missing_while_mongodb_is_away(
    stack: Stack,
    focus: FocusClient,
    faults: Faults,
    evidence: Evidence,
    remembered: Remembered,
    portal: BlockingPortal,
    machine: Machine,
    down_s: float,
) -> None:
    recordings = remembered.recordings
    start = recordings.time_s(remembered.first) + 0.001
    between = (start, start + HISTORY_S)
    base = stack.endpoint("focus.http")
    assert portal.call(first_good_answer, base, between, 60.0) is not None, "there is no history to lose"
    viewer = Viewer(focus.configure(17, nfft=256, lines_per_second=20))
    end_watch = watching(portal, [viewer])
    began = time.monotonic()
    evidence.say(f"MongoDB is killed and stays away for {down_s:g} s while a live view runs")
    with broken(faults, Kill("mongodb"), down_s):
        refusals = refused(base, between, down_s - 2 * REFUSED_WITHIN_S)
        states = focus.health().dependencies
    fault = faults.evidence[-1]
    good = portal.call(first_good_answer, base, between, 60.0)
    profile = remembered.after(fault, {"historic view": {Phase.FIRST_GOOD: good}})
    evidence.finding(machine.judge(check(profile, {"historic view": {Phase.FIRST_GOOD: ANSWER_WITHIN_S}})))
    end_watch()
    evidence.finding(contiguous("live lines while MongoDB is away", [viewer], began, time.monotonic(), ENOUGH_LINES))
    evidence.finding(machine.judge(refused_well(refusals)))
    evidence.figures("refusal of a historic request", [took for took, _ in refusals], "s")
    assert states["mongodb"] == "down", "/health must say that MongoDB is down"
    assert states["live_feed"] == "live"
    focus.cancel(viewer.job.job_id)
    evidence.require()


def refused(base: str, between: tuple[float, float], for_s: float) -> list[tuple[float, str]]:
    """Ask for history now and then; return how long each refusal took, and what it said, or what was answered."""
    found = []
    end = time.monotonic() + for_s
    with FocusClient(base, retries=0) as client:
        while (asked := time.monotonic()) < end:
            try:
                said = f"job {client.configure(17, between=between, nfft=256).job_id}"
            except Refused as refusal:
                said = f"{refusal.status} {refusal}"
            found.append((time.monotonic() - asked, said))
            time.sleep(ASKED_EVERY_S)  # how often somebody asks
    return found


def refused_well(refusals: list[tuple[float, str]]) -> Finding:
    """Check that each historic request was refused in time, with 503 and a sentence that names MongoDB."""
    name = "historic requests while MongoDB is away"
    slowest = max((took for took, _ in refusals), default=0.0)
    wrong = [said for _, said in refusals if not said.startswith("503 ") or "MongoDB" not in said]
    summary = f"{len(refusals)} were refused within {slowest:.2f} s at most, allowed are {REFUSED_WITHIN_S:g} s"
    if wrong:
        summary += f"; {len(wrong)} not with 503 and MongoDB's name: {wrong[0]}"
    verdict = Verdict.FAIL if wrong or slowest > REFUSED_WITHIN_S else Verdict.PASS
    return Finding(name, verdict if refusals else Verdict.INCONCLUSIVE, summary, len(refusals))


async def first_good_answer(base: str, between: tuple[float, float], within_s: float) -> int | None:
    """Ask for history until its first row comes; return when that was, CLOCK_MONOTONIC, ns."""
    deadline = time.monotonic() + within_s
    async with AsyncFocusClient(base, timeout_s=5.0, retries=0) as client:
        while time.monotonic() < deadline:
            try:
                job = await client.configure(17, between=between, nfft=256)
            except ClientError:
                continue
            async with open_stream(job.host, job.stream_port) as call:
                async for message in call:
                    if message.row_index:
                        return time.monotonic_ns()
    return None
