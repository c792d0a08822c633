"""RabbitMQ hangs while a picture runs: the page says so, catches up by itself, and no line is missing."""

import re
import time

import pytest

from fullspan.clients import LiveMetadata
from fullspan.faults import Faults, Hang
from fullspan.invariants import Finding, integrity, no_duplicate, no_loss, order
from fullspan.ledger import Ledger
from fullspan.pytest_plugin import Evidence
from fullspan.recovery import Moments, Phase, RecoveryProfile, observed
from fullspan.verdict import Verdict
from suites.focus.grid import group_of
from suites.focus.machine import Machine
from suites.focus.picture import LivePicture
from suites.focus.proof import Window, examine

LIVE_WITHIN_S = 60.0
BEFORE_S = 2.0
HANG_S = 5.0
SAYS_WITHIN_S = 2.5
FRESH_WITHIN_S = 5.0
FRESH_AGE_S = 1.0
# Looked at less often than in the proof: screenshots in software would take the processor from what catches up.
SHOT_EVERY_S = 0.5
BEHIND = re.compile(r"behind by \d+(\.\d+)? s")


@pytest.mark.demo
@pytest.mark.e2e
def test_broker_hang_loses_no_line(
    picture: LivePicture,
    faults: Faults,
    ledger: Ledger,
    live: LiveMetadata,
    evidence: Evidence,
    machine: Machine,
) -> None:
    evidence.say("opening LiveView, then RabbitMQ hangs")
    # Only the blocks that the picture is made of: observing all would take half a core from what catches up.
    group = group_of(picture.view.channel)
    picture.open(blocks=str(group))
    assert picture.watch(lambda: picture.newest_age_s() < FRESH_AGE_S, LIVE_WITHIN_S), "the picture never became live"
    watch_for(picture, BEFORE_S)
    with faults.active(Hang("rabbitmq")):
        evidence.say(f"RabbitMQ is stopped for {HANG_S:g} s")
        watch_for(picture, HANG_S)
        evidence.attach("while-rabbitmq-hangs.png", picture.page.screenshot())
    hang = faults.evidence[-1]
    evidence.say("RabbitMQ goes on; waiting for the picture to catch up")
    picture.watch(lambda: picture.newest_age_s() < FRESH_AGE_S, FRESH_WITHIN_S + 5, SHOT_EVERY_S)
    fresh_mono_ns = time.monotonic_ns()
    fresh_after_s = (fresh_mono_ns - hang.healed_mono_ns) / 1e9
    until = time.time_ns()
    picture.watch_to_its_end(until)

    window = Window.of(picture, until)
    # Lines are late by design while the broker hangs, so lateness is judged by the two findings below.
    groups = range(group, group + 1)
    examined = examine(picture, ledger, live.number_of_channels, window, late_after_ns=None, groups=groups)
    evidence.reconciliation(examined)
    if picture.screen.shot is not None:
        evidence.attach("after-catching-up.png", picture.screen.shot.png)
    layers: dict[str, Moments] = {
        hop: observed(ledger.observations(hop), hang, FRESH_AGE_S) for hop in ("block", "row", "frame", "pixel")
    }
    said = [spoken.since.mono_ns for spoken in picture.behind if BEHIND.search(spoken.text)]
    layers["page"] = {Phase.DETECTED: said[0] if said else None, Phase.FRESH: fresh_mono_ns}
    evidence.recovery(RecoveryProfile.of(hang, layers, time.monotonic_ns()))
    evidence.finding(machine.judge(says_behind(picture, hang.injected_mono_ns)))
    evidence.finding(machine.judge(fresh_again(fresh_after_s)))
    enough = {"row": 100, "frame": 100, "pixel": 100}
    for check in (no_loss.check, no_duplicate.check, order.check, integrity.check):
        evidence.finding(check(examined, enough))
    evidence.require()


def watch_for(picture: LivePicture, seconds: float) -> None:
    """Watch the picture for a time: the length of the fault is part of the scenario."""
    end = time.monotonic() + seconds
    picture.watch(lambda: time.monotonic() > end, seconds + 5, SHOT_EVERY_S)


def says_behind(picture: LivePicture, hung_mono_ns: int) -> Finding:
    """Check that the page said "behind by n s" soon after the broker hung, and not before."""
    said = [spoken for spoken in picture.behind if BEHIND.search(spoken.text)]
    if not said:
        return Finding("stale is shown as stale", Verdict.FAIL, "the page never said that it is behind", 0)
    after_s = (said[0].since.mono_ns - hung_mono_ns) / 1e9
    good = 0 < after_s <= SAYS_WITHIN_S and not picture.behind[-1].text
    summary = f"the page said {said[0].text!r} {after_s:.2f} s after the hang began, allowed are {SAYS_WITHIN_S:g} s"
    if picture.behind[-1].text:
        summary += f"; in the end it still said {picture.behind[-1].text!r}"
    return Finding("stale is shown as stale", Verdict.PASS if good else Verdict.FAIL, summary, len(said))


def fresh_again(after_s: float) -> Finding:
    """Check that the newest line on the screen was young again soon after the broker went on."""
    summary = f"the newest line on the screen was under {FRESH_AGE_S:g} s old {after_s:.2f} s after the hang ended, "
    verdict = Verdict.PASS if after_s <= FRESH_WITHIN_S else Verdict.FAIL
    return Finding("screen is fresh again", verdict, summary + f"allowed are {FRESH_WITHIN_S:g} s", 1)
