"""What every fault must do."""

# ruff: noqa: S101 - what a kind must do is asserted

from collections.abc import Callable

from fullspan.errors import UsageError
from fullspan.faults import Evidence, Fault, Faults
from fullspan.verdict import Verdict

__all__ = ["check_fault"]


def check_fault(fault: Fault, faults: Faults, meanwhile: Callable[[], object] = lambda: None) -> Evidence:
    """Check what every fault must do on a stack that works; return the evidence.

    `faults` are those of the stack, as the fixture of that name gives them; `meanwhile` is called while the fault is on
    and returns when it had time to bite. AssertionError says what the fault does not do, and why it thinks so itself.
    """
    assert fault.kind, "a fault has a kind"
    assert fault.target in repr(fault), "a fault's repr names its target"
    before = len(faults.evidence)
    assert not fault.has_bitten, "a fault has no effect before it is injected"
    with faults.active(fault):
        assert len(faults.evidence) == before, "the evidence is complete at the end of the block, not before"
        meanwhile()
    assert len(faults.evidence) == before + 1, "one fault leaves one piece of evidence"
    evidence = faults.evidence[-1]
    assert (evidence.kind, evidence.target) == (fault.kind, fault.target), "the evidence names the fault"
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert evidence.bit_detail, "the evidence says what was seen of the bite"
    assert evidence.heal_detail, "the evidence says what was seen of the recovery"
    assert 0 < evidence.injected_mono_ns <= evidence.healed_mono_ns, "a fault is injected before it is healed"
    assert (evidence.recovery_s or -1) > 0, "a healed fault has a recovery time"
    try:
        with faults.active(fault):
            pass
    except UsageError:
        pass
    else:
        raise AssertionError("a fault happens once; a second injection is a UsageError")
    assert len(faults.evidence) == before + 1, "a refused injection leaves no evidence"
    return evidence
