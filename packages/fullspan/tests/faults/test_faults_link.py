"""Faults of links bite on real traffic and are inconclusive without any."""

import pytest

from fullspan.errors import UsageError
from fullspan.faults import Bandwidth, Blackhole, Latency, Reset, Stall
from fullspan.testing import check_fault
from fullspan.verdict import Verdict

LINK = "page-web"


def link(stack):
    return stack.call("GET", f"/links/{LINK}")


def test_latency_delays_what_passes_and_ends(fragile, faults, traffic):
    with faults.active(Latency(LINK, ms=40, jitter_ms=5)):
        assert link(fragile)["toxics"]["latency_ms"] == 40
        traffic.more()
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS
    assert evidence.bit_detail.endswith("bytes were delayed")
    assert int(evidence.bit_detail.split()[0]) > 100
    assert "bytes arrived" in evidence.heal_detail
    assert link(fragile)["toxics"]["latency_ms"] == 0
    assert evidence.recovery_s < 2


@pytest.mark.parametrize(
    ("fault", "word"), [(Stall(LINK), "held back"), (Blackhole(LINK), "swallowed"), (Reset(LINK), "reset")]
)
def test_clients_fail_while_a_link_is_dead_and_recover(fragile, faults, traffic, fault, word):
    with faults.active(fault):
        traffic.more_failures()
        answers = traffic.answers
        traffic.more_failures()
        assert traffic.answers == answers
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert evidence.bit_detail.endswith(word)
    traffic.more()


def test_a_narrow_link_makes_bytes_wait(faults, traffic):
    with faults.active(Bandwidth(LINK, bytes_s=20_000)):
        traffic.more(2)
    assert faults.evidence[0].verdict is Verdict.PASS
    assert "wait for their turn" in faults.evidence[0].bit_detail


@pytest.mark.parametrize("fault", [Latency(LINK, ms=50), Stall(LINK), Blackhole(LINK), Reset(LINK)])
def test_a_fault_on_a_link_without_traffic_is_inconclusive(faults, fault):
    with faults.active(fault):
        pass
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert "nothing passed the link page-web while the fault was on: 0 " in evidence.reason
    assert "no byte arrived" in evidence.heal_detail


def test_a_link_that_is_bad_already_is_inconclusive_and_stays_so(fragile, faults, traffic):
    fragile.call("PUT", f"/links/{LINK}/toxics", json={"latency_ms": 7})
    try:
        with faults.active(Stall(LINK)):
            traffic.more()
        assert link(fragile)["toxics"]["latency_ms"] == 7
    finally:
        fragile.call("DELETE", f"/links/{LINK}/toxics")
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.bit_detail == "something else had made the link bad before the fault"


def test_a_link_made_at_run_time_can_be_broken(fragile, faults, traffic_to):
    host, port = fragile.via("page-job", "127.0.0.1", fragile.components["web"].ports["http"])
    assert (host, fragile.links["page-job"].listen) == ("127.0.0.1", (host, port))
    with traffic_to(f"http://{host}:{port}/") as traffic, faults.active(Stall("page-job")):
        traffic.more_failures()
        assert fragile.call("GET", "/links/page-job")["toxics"]["stall"] is True
    assert faults.evidence[0].verdict is Verdict.PASS
    assert fragile.call("GET", "/links/page-job")["toxics"]["stall"] is False


def test_a_link_fault_does_what_a_fault_must_do(faults, traffic):
    assert check_fault(Reset(LINK), faults, traffic.more_failures).kind == "reset"


def test_unknown_links_and_senseless_toxics_are_refused(faults):
    sentence = r"no link 'page-wep' with a proxy\. Did you mean 'page-web'\?"
    with pytest.raises(UsageError, match=sentence), faults.active(Stall("page-wep")):
        pass
    with pytest.raises(UsageError, match=r"latency of 'page-web' makes no sense: latency_ms is -5"):
        Latency(LINK, ms=-5)
    assert not faults.evidence
