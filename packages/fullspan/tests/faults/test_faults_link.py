"""Faults of links bite on real traffic and are inconclusive without any."""

import select
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from fullspan.errors import UsageError
from fullspan.faults import (
    Bandwidth,
    Blackhole,
    Jitter,
    Latency,
    LeasedStack,
    Loss,
    Partition,
    Reset,
    SlowClose,
    Stall,
)
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


def test_a_partition_silences_a_link_and_what_was_on_its_way_arrives_afterwards(fragile, faults):
    """A request that is sent into a partition is not lost: the kernel repeats it, and the answer comes."""
    parts = urlsplit(fragile.endpoint("web.http"))
    with socket.create_connection((parts.hostname, parts.port), 5) as waiting:
        with faults.active(Partition(LINK)):
            waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with socket.socket() as late:
                late.settimeout(0.4)
                # No refusal and no reset: the packets that open a connection are lost as well.
                with pytest.raises(TimeoutError):
                    late.connect((parts.hostname, parts.port))
            assert not select.select([waiting], [], [], 0)[0]
        waiting.settimeout(10)
        assert waiting.recv(8) == b"HTTP/1.0"
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert int(evidence.bit_detail.split()[0]) >= 3
    assert evidence.bit_detail.endswith("packets were dropped by the kernel")


def test_a_partition_around_a_component_is_on_all_its_links(fragile, faults, traffic):
    with LeasedStack(fragile) as leased:
        partition = Partition.around("web", leased)
        assert LINK in partition.links
        with pytest.raises(UsageError, match="No link of 'quiet' has a proxy"):
            Partition.around("quiet", leased)
    with faults.active(partition):
        traffic.more_failures()
    assert faults.evidence[0].verdict is Verdict.PASS, faults.evidence[0].reason
    with pytest.raises(UsageError, match="Name the links"):
        Partition()


def test_lost_packets_are_repeated_and_nothing_is_missing(fragile, faults, traffic):
    """Of many small answers ten in a hundred packets are lost on their way; all arrive, some of them late."""
    url = fragile.endpoint("web.http")
    took = []
    with httpx.Client(timeout=30) as client, faults.active(Loss(LINK, share=0.1)):
        for _ in range(25):
            began = time.monotonic()
            assert client.get(url).status_code == 200
            took.append(time.monotonic() - began)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert traffic.answers
    # A repeated packet waits for the kernel's shortest timer, 200 ms; without loss an answer takes a few.
    assert max(took) > 0.15


def test_loss_where_the_kernel_drops_nothing_is_inconclusive(fragile, faults, traffic, monkeypatch):
    monkeypatch.setattr("fullspan.faults.link.why_not", lambda: "this kernel lets this user put no filter on a socket")
    with faults.active(Loss(LINK, share=0.1)):
        traffic.more()
    assert faults.evidence[0].verdict is Verdict.INCONCLUSIVE
    assert "put no filter on a socket" in faults.evidence[0].reason


def test_jitter_delays_each_piece_by_a_time_of_its_own(faults, traffic):
    with faults.active(Jitter(LINK, ms=60)):
        traffic.more()
    assert faults.evidence[0].verdict is Verdict.PASS
    assert faults.evidence[0].bit_detail.endswith("delayed by times of their own")


def test_a_slow_close_is_seen_late_and_bytes_are_not(fragile, faults, traffic):
    parts = urlsplit(fragile.endpoint("web.http"))

    def answer_and_end():
        began = time.monotonic()
        with socket.create_connection((parts.hostname, parts.port), 5) as sock:
            sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            assert sock.recv(8) == b"HTTP/1.0"
            answered = time.monotonic() - began
            while sock.recv(4096):
                pass
        return answered, time.monotonic() - began

    with faults.active(SlowClose(LINK, ms=600, direction="down")):
        answered, ended = answer_and_end()
    assert ended >= 0.6
    assert answered < 0.5
    with faults.active(SlowClose(LINK, ms=1, direction="down")):
        assert answer_and_end()[1] < 0.6
    traffic.more(1)
    assert [evidence.verdict for evidence in faults.evidence] == ["pass", "pass"]
    assert faults.evidence[0].bit_detail.endswith("ends of connections came later")


def test_faults_of_one_run_overlap_on_one_link_and_each_is_lifted_alone(fragile, faults, traffic):
    with faults.active(Latency(LINK, ms=30)):
        with faults.active(Latency(LINK, ms=20)), faults.active(Bandwidth(LINK, bytes_s=50_000, direction="down")):
            toxics = link(fragile)["toxics"]
            assert (toxics["latency_ms"], toxics["bandwidth_bytes_s"]) == (50, 50_000)
            traffic.more(2)
        assert link(fragile)["toxics"]["latency_ms"] == 30
        traffic.more(1)
    assert link(fragile)["layers"] == {}
    kinds = [(evidence.kind, evidence.verdict) for evidence in faults.evidence]
    assert kinds == [("bandwidth", "pass"), ("latency", "pass"), ("latency", "pass")]
    assert "on which other faults went on: latency" in faults.evidence[0].heal_detail
    assert "bytes arrived" in faults.evidence[2].heal_detail
