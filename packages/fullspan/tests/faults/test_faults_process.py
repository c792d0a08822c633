"""Faults of processes bite and heal on real ones, and say so when they did not."""

import os
import signal

import httpx
import pytest

from fullspan.errors import UsageError
from fullspan.faults import Hang, Kill, Question, Restart, Stop
from fullspan.stack.processes import look_up, wait_until
from fullspan.testing import check_fault
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict


def states(stack, component):
    return [process.state for process in stack.component(component).processes()]


def identities(stack, component):
    return {process.identity for process in stack.component(component).processes()}


def test_hang_stops_every_process_and_the_component_answers_again(fragile, faults, timeline):
    before = identities(fragile, "web")
    with faults.active(Hang("web")) as fault:
        assert states(fragile, "web") == ["T"]
        assert not faults.evidence
    (evidence,) = faults.evidence
    assert evidence == fault.evidence()
    assert (evidence.kind, evidence.target, evidence.bit, evidence.healed) == ("hang", "web", True, True)
    assert evidence.verdict is Verdict.PASS
    assert "stood still; no answer: an HTTP answer was awaited for" in evidence.bit_detail
    assert evidence.heal_detail.endswith("moved again; an HTTP answer came")
    assert evidence.injected_mono_ns < evidence.healed_mono_ns
    assert 0 < evidence.recovery_s < 5
    assert identities(fragile, "web") == before
    assert "T" not in states(fragile, "web")
    events = read_timeline(timeline.path)
    assert [event.kind for event in events] == ["fault.injected", "fault.healed"]
    assert events[1].attributes["verdict"] == "pass"
    assert events[1].attributes["healed_mono_ns"] == evidence.healed_mono_ns


def test_a_component_that_serves_nobody_is_judged_by_its_processes(fragile, faults):
    with faults.active(Hang("quiet")):
        assert states(fragile, "quiet") == ["T"]
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS
    assert evidence.bit_detail.endswith("stood still")
    assert evidence.heal_detail.endswith("moved again")


def test_hang_of_what_something_else_has_stopped_is_inconclusive_and_leaves_it_stopped(fragile, faults):
    (process,) = fragile.component("quiet").processes()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert wait_until(lambda: states(fragile, "quiet") == ["T"], 5)
        with faults.active(Hang("quiet")):
            pass
        assert states(fragile, "quiet") == ["T"]
    finally:
        os.kill(process.pid, signal.SIGCONT)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert f"something else had stopped it before the fault (pid {process.pid})" in evidence.reason
    assert not evidence.healed


def test_hang_that_somebody_else_lifts_before_its_end_is_inconclusive(fragile, faults):
    (process,) = fragile.component("quiet").processes()
    with faults.active(Hang("quiet")):
        os.kill(process.pid, signal.SIGCONT)
        assert wait_until(lambda: states(fragile, "quiet") != ["T"], 5)
    (evidence,) = faults.evidence
    assert (evidence.bit, evidence.healed) == (False, True)
    assert evidence.bit_detail == f"pid {process.pid} was moving"
    assert evidence.reason.startswith("The fault hang of quiet did not bite: ")


def test_a_question_that_is_answered_during_the_hang_is_inconclusive(fragile, faults):
    """The question goes to another component, one that is well."""
    port = fragile.components["web"].ports["http"]
    request = b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n"
    with faults.active(Hang("quiet", Question("127.0.0.1", port, request, b"HTTP/", "an HTTP answer"))):
        pass
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.bit_detail.endswith("stood still, and yet an HTTP answer came")


@pytest.mark.parametrize(("make", "ending"), [(Kill, "killed"), (Stop, "stopped")])
def test_what_is_killed_or_stopped_comes_back_as_new_processes(fragile, faults, make, ending):
    before = identities(fragile, "web")
    with faults.active(make("web")):
        assert fragile.components["web"].state == ending
        assert all(look_up(*identity) is None for identity in before)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS
    assert "had ended" in evidence.bit_detail
    assert "; an HTTP answer was refused" in evidence.bit_detail
    assert "was started; an HTTP answer came" in evidence.heal_detail
    assert not before & identities(fragile, "web")
    assert httpx.get(fragile.endpoint("web.http"), timeout=5).status_code == 200


def test_a_stopped_component_stays_down_for_the_block_and_its_ending_is_told(fragile, faults):
    (before,) = fragile.component("quiet").processes()
    with faults.active(Stop("quiet")) as fault:
        assert fragile.component("quiet").processes() == []
        assert not fault.has_bitten
    (evidence,) = faults.evidence
    assert evidence.bit_detail == f"pid {before.pid} had ended (by SIGTERM)"
    (after,) = fragile.component("quiet").processes()
    assert evidence.heal_detail == f"pid {after.pid} was started"
    assert fragile.components["quiet"].state == "ready"


def test_a_restarted_component_is_back_when_the_block_begins(fragile, faults, timeline):
    before = identities(fragile, "web")
    with faults.active(Restart("web")) as fault:
        assert fragile.components["web"].state == "ready"
        assert httpx.get(fragile.endpoint("web.http"), timeout=5).status_code == 200
        during = identities(fragile, "web")
        assert during
        assert not during & before
        assert fault.has_bitten
        inside = fault.evidence()
    (evidence,) = faults.evidence
    assert evidence == inside, "nothing is done at the end of the block"
    assert identities(fragile, "web") == during
    assert evidence.verdict is Verdict.PASS
    assert "had ended (by SIGTERM); an HTTP answer was refused" in evidence.bit_detail
    assert evidence.heal_detail.endswith("was started; an HTTP answer came")
    assert 0 < (evidence.healed_mono_ns - evidence.injected_mono_ns) / 1e9 < 10
    assert 0 < evidence.recovery_s < 10
    injected, healed = read_timeline(timeline.path)
    assert (injected.kind, healed.kind) == ("fault.injected", "fault.healed")
    assert healed.attributes["healed_mono_ns"] < injected.mono_ns


def test_restart_of_what_does_not_run_is_inconclusive_and_does_not_start_it(fragile, faults):
    fragile.component("quiet").stop()
    try:
        with faults.active(Restart("quiet")):
            pass
        assert fragile.components["quiet"].state == "stopped"
    finally:
        fragile.component("quiet").start()
    assert faults.evidence[0].reason == "The fault restart of quiet did not bite: it was not running before the fault."


@pytest.mark.parametrize("make", [Hang, Kill, Restart, Stop])
@pytest.mark.parametrize("component", ["web", "quiet"])
def test_every_kind_does_what_a_fault_must_do_to_every_component(fragile, faults, make, component):
    evidence = check_fault(make(component), faults)
    assert evidence.kind == make.kind
    assert fragile.components[component].state == "ready"


def test_kill_of_what_does_not_run_is_inconclusive_and_does_not_start_it(fragile, faults):
    fragile.component("quiet").stop()
    try:
        with faults.active(Kill("quiet")):
            pass
        assert fragile.components["quiet"].state == "stopped"
    finally:
        fragile.component("quiet").start()
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.bit_detail == "it was not running before the fault"


def test_a_fault_is_lifted_when_the_block_raises(fragile, faults):
    with pytest.raises(ZeroDivisionError), faults.active(Hang("web")):
        1 / 0  # noqa: B018
    assert faults.evidence[0].verdict is Verdict.PASS
    assert "T" not in states(fragile, "web")


def test_an_unknown_component_is_refused_with_the_nearest_name(faults):
    with pytest.raises(UsageError, match=r"no component 'wep'\. Did you mean 'web'\?"), faults.active(Hang("wep")):
        pass
    assert not faults.evidence


def test_a_fault_happens_once(faults):
    fault = Hang("quiet")
    with faults.active(fault):
        pass
    with pytest.raises(UsageError, match=r"Hang\('quiet'\) was injected before"), faults.active(fault):
        pass
