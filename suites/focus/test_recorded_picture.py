"""A recording on the screen is what the fibre said then: over a file's end, to the pixel, and the same each time."""

import hashlib
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from anyio.from_thread import start_blocking_portal

from fullspan.clients import FocusClient, Job, LiveMetadata, open_stream
from fullspan.errors import Inconclusive
from fullspan.invariants import Finding
from fullspan.ledger import Ledger
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict
from suites.focus.oracle import Fibre
from suites.focus.picture import LivePicture, choose_view
from suites.focus.proof import Window, examine, findings
from suites.focus.recorded import Recordings

SECONDS = 11.5
ENOUGH_ROWS = 200
PLAYED_WITHIN_S = 60.0
RECORDED_WITHIN_S = 60.0
VIEWS = {"single-channel": (711, None), "multichannel": (625, 656)}


def newest_range(recordings: Recordings) -> tuple[float, float]:
    """Return a range of recorded time that goes over the end of a file."""
    deadline = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < deadline:
        documents = recordings.documents()
        for before, after in reversed(list(pairwise(documents))):
            border = int(after["first_sample"])
            joined = int(before["first_sample"] + before["samples"]) == border
            samples = int(SECONDS / 2 * recordings.fibre.fs)
            if joined and min(before["samples"], after["samples"]) > samples and not (before["gaps"] or after["gaps"]):
                start = recordings.time_s(border - samples)
                return start, start + SECONDS
        time.sleep(0.5)
    raise Inconclusive(f"No two files that join were recorded within {RECORDED_WITHIN_S:g} s.")


@pytest.mark.e2e
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.demo) for name in VIEWS])
def test_recorded_picture_is_the_fibre(
    picture: LivePicture,
    ledger: Ledger,
    live: LiveMetadata,
    fibre: Fibre,
    recordings: Recordings,
    evidence: Evidence,
    name: str,
) -> None:
    first, last = VIEWS[name]
    between = newest_range(recordings)
    picture.view = choose_view(fibre, first, live, last_channel=last, between=between)
    evidence.say(f"playing {SECONDS:g} s of what was recorded, {name}, in LiveView")
    began = time.monotonic()
    picture.open()
    complete = lambda: picture.page.get_by_test_id("connection").text_content() == "complete"  # noqa: E731
    assert picture.watch(complete, PLAYED_WITHIN_S), "the page never said that the recording is complete"
    evidence.figure(f"{SECONDS:g} s of recording on the screen, {name}", round(time.monotonic() - began, 3), "s")
    picture.look()
    window = recorded_rows(picture, between)
    examined = examine(picture, ledger, live.number_of_channels, window, late_after_ns=None)
    evidence.reconciliation(examined)
    if picture.screen.shot is not None:
        evidence.attach(f"recorded-{name}.png", picture.screen.shot.png)
    for finding in findings(picture, examined, window, fresh=False, blocks=0, rows=ENOUGH_ROWS):
        evidence.finding(finding)
    evidence.require()


def recorded_rows(picture: LivePicture, between: tuple[float, float]) -> Window:
    """Return the rows whose whole window was recorded between two times."""
    return Window(0, picture.grid.row_at(round(between[1] * 1e9)))


async def all_bytes(host: str, port: int, streams: int) -> list[bytes]:
    """Return what each stream of a job carries, to its end: rows with their numbers and stamps."""
    digests = []
    for stream in range(streams):
        content = hashlib.sha256()
        async with open_stream(host, port, stream) as call:
            async for message in call:
                message.ClearField("job_id")
                content.update(message.SerializeToString(deterministic=True))
        digests.append(content.digest())
    return digests


@pytest.mark.e2e
def test_a_recording_plays_the_same_each_time(
    stack: Stack, focus: FocusClient, live: LiveMetadata, recordings: Recordings, evidence: Evidence
) -> None:
    between = newest_range(recordings)

    def play(job: Job) -> list[bytes]:
        with start_blocking_portal() as portal:
            return portal.call(all_bytes, job.host, job.stream_port, job.stream_amount)

    wish: Callable[[], Job] = lambda: focus.configure((600, 695), view=0, nfft=1024, between=between)  # noqa: E731
    jobs = [wish(), wish()]
    played = [play(jobs[0]), play(jobs[0]), play(jobs[1])]
    same = played[0] == played[1] == played[2]
    verdict = Verdict.PASS if same and len(set(played[0])) == 3 else Verdict.FAIL
    gave = "the same" if same else "other"
    summary = f"three passes over {SECONDS:g} s in {jobs[0].stream_amount} streams gave {gave} bytes"
    evidence.finding(Finding("a recording plays the same each time", verdict, summary, 3))
    for job in jobs:
        focus.cancel(job.job_id)
    evidence.require()
