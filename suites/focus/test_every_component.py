"""Every process fault on every component of the stack bites, heals, and leaves a stack through which data flow."""

from collections.abc import Callable

import pytest

from fullspan.clients import FocusClient
from fullspan.faults import Faults, Hang, Kill, Restart, Stop
from fullspan.invariants import Finding
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.verdict import Verdict

FEED_WITHIN_S = 30.0


@pytest.mark.outages
@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("kind", [Hang, Kill, Stop, Restart], ids=lambda kind: kind.kind)
def test_every_component_survives(
    stack: Stack,
    focus: FocusClient,
    faults: Faults,
    evidence: Evidence,
    wait_until: Callable[[Callable[[], bool], float, str], None],
    kind: type[Hang | Kill | Stop | Restart],
) -> None:
    for component in stack.components:
        evidence.say(f"{kind.kind} of {component}")
        with faults.active(kind(component)):
            pass
        found = faults.evidence[-1]
        assert stack.components[component].state == "ready"
        if found.recovery_s is not None:
            evidence.figure(f"{kind.kind} of {component}: first sign of life", round(found.recovery_s, 3), "s")
    wait_until(lambda: not focus.live_metadata().waiting, FEED_WITHIN_S, "live blocks arrive again")
    healed = len(faults.evidence)
    evidence.finding(Finding("data flow again", Verdict.PASS, f"live blocks arrive after {healed} faults", healed))
    evidence.require()
