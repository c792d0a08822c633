"""The multichannel picture is the fibre, too: three streams, joined line by line, from their blocks to the pixels."""

import time

import pytest

from fullspan.clients import LiveMetadata
from fullspan.ledger import Ledger
from fullspan.pytest_plugin import Evidence
from suites.focus.machine import Machine
from suites.focus.oracle import Fibre
from suites.focus.picture import LivePicture, View, choose_view
from suites.focus.proof import Window, examine, findings, line_latencies_ms

PROOF_S = 6.0
FIRST, LAST = 625, 656  # of two groups of blocks
ENOUGH_BLOCKS, ENOUGH_ROWS = 100, 100


@pytest.fixture
def view(fibre: Fibre, live: LiveMetadata) -> View:
    return choose_view(fibre, FIRST, live, last_channel=LAST)


@pytest.mark.e2e
def test_live_multichannel_picture_is_the_fibre(
    picture: LivePicture, ledger: Ledger, live: LiveMetadata, evidence: Evidence, machine: Machine
) -> None:
    evidence.say(f"opening LiveView with channels {FIRST} to {LAST}, with observers at every hop")
    picture.open()
    until = time.time_ns() + int(PROOF_S * 1e9)
    picture.watch_to_its_end(until)
    window = Window.of(picture, until)
    evidence.say(f"comparing {len(window.rows)} lines of {LAST - FIRST + 1} channels with SciPy on the source")
    examined = examine(picture, ledger, live.number_of_channels, window, groups=picture.view.groups)
    evidence.reconciliation(examined)
    if picture.screen.shot is not None:
        evidence.attach("multichannel-picture.png", picture.screen.shot.png)
    evidence.figures("line latency at pixel, multichannel", line_latencies_ms(ledger, "pixel", picture, window), "ms")
    for finding in findings(picture, examined, window, blocks=ENOUGH_BLOCKS, rows=ENOUGH_ROWS):
        evidence.finding(machine.judge(finding) if finding.name == "freshness" else finding)
    evidence.require()
