"""What is on the screen is what the fibre said: every line of a live picture, from its blocks to its pixels."""

import time

import pytest

from fullspan.clients import LiveMetadata
from fullspan.ledger import Ledger
from fullspan.pytest_plugin import Evidence
from suites.focus.machine import Machine
from suites.focus.picture import LivePicture
from suites.focus.proof import Window, examine, findings, line_latencies_ms

PROOF_S = 11.5


@pytest.mark.demo
@pytest.mark.e2e
def test_live_picture_is_the_fibre(
    picture: LivePicture, ledger: Ledger, live: LiveMetadata, evidence: Evidence, machine: Machine
) -> None:
    evidence.say("opening LiveView with an observer on broker, gRPC stream, WebSocket and screen")
    picture.open()
    evidence.say(f"watching {PROOF_S:g} s of channel {picture.view.channel}, {picture.view.lines_per_second} lines/s")
    until = time.time_ns() + int(PROOF_S * 1e9)
    picture.watch_to_its_end(until)
    window = Window.of(picture, until)
    evidence.say(f"comparing {len(window.rows)} lines with SciPy on the source, and every block with the formula")
    examined = examine(picture, ledger, live.number_of_channels, window)
    evidence.reconciliation(examined)
    if picture.screen.shot is not None:
        evidence.attach("live-picture.png", picture.screen.shot.png)
    for hop in ("row", "frame", "pixel"):
        evidence.figures(f"line latency at {hop}", line_latencies_ms(ledger, hop, picture, window), "ms")
    for finding in findings(picture, examined, window):
        evidence.finding(machine.judge(finding) if finding.name == "freshness" else finding)
    evidence.require()
