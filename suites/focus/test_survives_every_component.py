"""Every process fault on every component of the stack bites, heals, and leaves a stack through which data flow."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from fullspan.errors import Inconclusive
from fullspan.faults import Faults, Hang, Kill, Restart, Stop
from fullspan.invariants import Finding
from fullspan.ledger import Ledger, Moment, Observation
from fullspan.ledger.hops import AmqpMessage, AmqpTap, HopRunner
from fullspan.pytest_plugin import Evidence
from fullspan.recovery import RecoveryProfile, observed
from fullspan.stack import Stack
from fullspan.verdict import Verdict

FRESH_AGE_S = 2.0
FRESH_WITHIN_S = 60.0
BLOCK_NS = 100_000_000
GROUP_0 = "fiber.*.0"
SLOW_TO_START = frozenset({"rabbitmq"})
"""`test_outages_recorded.py` stops it for thirty seconds; `make soak` stops it here as well, and restarts all."""


@pytest.mark.outages
@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        pytest.param(Hang, frozenset(), id="hang"),
        pytest.param(Kill, frozenset(), id="kill"),
        pytest.param(Stop, SLOW_TO_START, id="stop"),
        # A restart is a stop that is over at once, as here it is anyway; suites of viewers restart the server.
        pytest.param(Stop, frozenset(), id="stop-all", marks=pytest.mark.soak),
        pytest.param(Restart, frozenset(), id="restart-all", marks=pytest.mark.soak),
    ],
)
def test_every_component_survives(
    stack: Stack,
    hops: HopRunner,
    ledger: Ledger,
    faults: Faults,
    evidence: Evidence,
    wait_until: Callable[[Callable[[], bool], float, str], None],
    kind: type[Hang | Kill | Stop | Restart],
    left_out: frozenset[str],
) -> None:
    hops.start(AmqpTap(stack.endpoint("rabbitmq.amqp"), "prisma", GROUP_0, block))
    began = Moment.now().mono_ns
    try:
        wait_until(lambda: newest_age_s(ledger, began) < FRESH_AGE_S, FRESH_WITHIN_S, "the newest block is young")
    except AssertionError as error:
        raise Inconclusive(f"Nothing was broken yet, and {error}.", "The machine is too busy to tell.") from error
    for component in (name for name in stack.components if name not in left_out):
        evidence.say(f"{kind.kind} of {component}")
        with faults.active(kind(component)):
            pass
        found = faults.evidence[-1]
        assert stack.components[component].state == "ready"
        if found.recovery_s is not None:
            evidence.figure(f"{kind.kind} of {component}: first sign of life", round(found.recovery_s, 3), "s")
    # What was not sent meanwhile is sent first, so the newest block is young only when nothing waits any more.
    before = Moment.now().mono_ns
    wait_until(lambda: newest_age_s(ledger, before) < FRESH_AGE_S, FRESH_WITHIN_S, "the newest block is young again")
    summary = f"after {len(faults.evidence)} faults the newest block is {newest_age_s(ledger, before):.2f} s old"
    for profile in profiles(faults, ledger):
        evidence.recovery(profile)
    evidence.finding(Finding("data flow again", Verdict.PASS, summary, len(faults.evidence)))
    evidence.require()


def profiles(faults: Faults, ledger: Ledger) -> list[RecoveryProfile]:
    """Return how the blocks recovered from each fault, as it was seen until the next one began."""
    ends = [*(fault.injected_mono_ns for fault in faults.evidence[1:]), Moment.now().mono_ns]
    found = []
    for fault, end in zip(faults.evidence, ends, strict=True):
        seen = [block for block in ledger.observations("block") if block.seen_ns < end]
        found.append(RecoveryProfile.of(fault, {"block": observed(seen, fault, FRESH_AGE_S)}, end))
    return found


def block(message: AmqpMessage, moment: Moment) -> Observation:
    """Note a block of the first channels; an interrogator that was started anew begins a new epoch."""
    header = {name: int(str(message.headers[name])) for name in ("seq", "first_sample", "t0_ns", "fs_num", "fs_den")}
    fs = Fraction(header["fs_num"], header["fs_den"])
    due_ns = header["t0_ns"] + int(header["first_sample"] * 10**9 / fs) + BLOCK_NS
    key = f"{message.routing_key}/{message.headers['epoch']}/{header['seq']}"
    return Observation("block", key, header["seq"], due_ns, moment.mono_ns, moment.wall_ns)


def newest_age_s(ledger: Ledger, since_mono_ns: int) -> float:
    """Return how late the last block came that was seen since a moment; infinity when none was."""
    seen = ledger.observations("block")[-1:]
    return min(((s.seen_wall_ns - s.event_ns) / 1e9 for s in seen if s.seen_ns > since_mono_ns), default=float("inf"))
