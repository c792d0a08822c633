"""A component runs out of handles, memory, processor time or disk, says so, and has it back afterwards."""

import resource
import time

import httpx
import pytest

from fullspan.errors import UsageError
from fullspan.faults import FewHandles, FullDisk, Hang, LeasedStack, LittleCpu, LittleMemory
from fullspan.stack.processes import wait_until
from fullspan.stack.shortages import BALLAST
from fullspan.stack.undo import Remove, read_undo
from fullspan.testing import check_fault
from fullspan.verdict import Verdict

LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)


@pytest.fixture
def ask(fragile):
    """Ask a component to take something; returns the status of its answer."""

    def ask(what, component="hungry", timeout=20):
        return httpx.get(fragile.endpoint(f"{component}.http") + what, timeout=timeout).status_code

    return ask


@pytest.fixture
def on_its_own_disk(small_disk, tmp_path):
    if small_disk.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no file system can be mounted here; the other tests show what the fault says then")


def limits(stack, component="hungry"):
    (process,) = stack.component(component).processes()
    return [resource.prlimit(process.pid, number) for number in LIMITS]


@pytest.mark.parametrize(
    ("fault", "what", "words"),
    [
        (FewHandles("hungry", spare=1), "file", "Too many open files"),
        (LittleMemory("hungry", spare_bytes=32 * 2**20), "memory", "MemoryError()"),
    ],
)
def test_what_a_component_runs_out_of_it_has_again_afterwards(fragile, faults, ask, fault, what, words):
    before = limits(fragile)
    assert ask(what) == 200
    evidence = check_fault(fault, faults, lambda: ask("") == 200 and ask(what))
    assert evidence.bit_detail.startswith(f"it said: /{what} failed: ")
    assert words in evidence.bit_detail
    assert limits(fragile) == before
    assert ask(what) == 200
    assert fragile.call("GET", "/components/hungry/shortages") == {}


def test_without_any_handle_nobody_is_answered(faults, ask):
    with faults.active(FewHandles("hungry")), pytest.raises(httpx.TransportError):
        ask("file", timeout=0.5)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert "an HTTP answer" in evidence.bit_detail
    assert ask("file") == 200


def test_who_has_enough_left_gives_no_evidence(faults, ask):
    with faults.active(LittleMemory("hungry", spare_bytes=2**40)):
        assert ask("memory") == 200
    assert faults.evidence[0].verdict is Verdict.INCONCLUSIVE
    assert "did not bite: it said nothing of it, and an HTTP answer came" in faults.evidence[0].reason


def test_a_component_that_dies_of_it_is_started_again(fragile, faults, ask):
    (before,) = fragile.component("touchy").processes()
    with faults.active(LittleMemory("touchy")):
        with pytest.raises(httpx.TransportError):
            ask("memory", "touchy")
        assert wait_until(lambda: fragile.components["touchy"].state == "died", 10, 0.02)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert evidence.bit_detail == "it ended of it (exit code 7)"
    (after,) = fragile.component("touchy").processes()
    assert after.identity != before.identity
    assert ask("memory", "touchy") == 200


def test_little_cpu_makes_work_take_longer_and_ends(fragile, faults, ask):
    def took():
        began = time.monotonic()
        for _ in range(10):
            assert ask("burn") == 200
        return time.monotonic() - began

    with faults.active(LittleCpu("hungry", share=0.1)):
        # 200 ms of computing in pieces of 10 ms, with 90 ms of standing still between them.
        assert took() > 1.0
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    stood, pieces = evidence.bit_detail.split(" s in ")
    assert 0.7 < float(stood.rpartition(" ")[2]) / int(pieces.split()[0]) / 0.09 < 4
    assert [process.state for process in fragile.component("hungry").processes()] != ["T"]


def test_a_component_without_work_lacks_no_processor(fragile, faults):
    with faults.active(LittleCpu("touchy", share=0.9)):
        shortages = "/components/touchy/shortages"
        assert wait_until(lambda: fragile.call("GET", shortages)["cpu"]["stops"] >= 2, 10, 0.02)
    (evidence,) = faults.evidence
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert evidence.bit_detail.endswith("and had work to do in 0 of the turns between")
    assert evidence.healed


def test_a_component_that_hangs_stays_so_while_it_is_short_of_processor(fragile, faults):
    with faults.active(LittleCpu("quiet", share=0.5)):
        with LeasedStack(fragile) as leased:
            leased.act("quiet", "hang")
            stops = leased.shortages("quiet")["cpu"]["stops"]
            assert not wait_until(lambda: fragile.component("quiet").processes()[0].state != "T", 0.3)
            assert leased.shortages("quiet")["cpu"]["stops"] == stops
            leased.act("quiet", "resume")
        assert wait_until(lambda: fragile.component("quiet").processes()[0].state != "T", 5)


def test_a_full_disk_refuses_writes_until_it_is_given_back(fragile, faults, ask, small_disk, on_its_own_disk):
    assert ask("write") == 200
    evidence = check_fault(FullDisk("hungry", str(small_disk)), faults, lambda: ask("write"))
    assert "No space left on device" in evidence.bit_detail
    assert not list(small_disk.glob(f"{BALLAST}*"))
    assert ask("write") == 200


def test_a_disk_is_filled_up_to_what_is_spared(fragile, faults, ask, small_disk, on_its_own_disk):
    with faults.active(FullDisk("hungry", str(small_disk), spare_bytes=2**20)):
        (ballast,) = small_disk.glob(f"{BALLAST}*")
        # Should the supervisor die now, its janitor knows what to remove.
        undo = read_undo(fragile.var / "run" / fragile.name / "undo.jsonl")
        assert Remove(str(ballast)) in undo
        assert 2 * 2**20 < ballast.stat().st_size < 3.1 * 2**20
        assert ask("write") == 200
    assert faults.evidence[0].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FullDisk("hungry"), "lies on the disk that the run itself writes to, which is not filled"),
        (FullDisk("hungry", "nowhere"), "There is no folder"),
        (FullDisk("hungry", "/dev/shm", most_bytes=1), "would take more than 1"),
    ],
)
def test_a_disk_that_others_need_is_left_alone(faults, fault, words):
    with faults.active(fault):
        pass
    assert faults.evidence[0].verdict is Verdict.INCONCLUSIVE
    assert words in faults.evidence[0].reason
    assert "nothing was done" in faults.evidence[0].heal_detail


def test_shortages_of_one_component_overlap_but_not_of_one_kind(fragile, faults, ask):
    with faults.active(FewHandles("hungry", spare=1)), faults.active(LittleMemory("hungry", spare_bytes=2**25)):
        assert set(fragile.call("GET", "/components/hungry/shortages")) == {"handles", "memory"}
        assert [ask("file"), ask("memory")] == [503, 503]
        with faults.active(FewHandles("hungry")):
            pass
    verdicts = [(evidence.kind, evidence.verdict) for evidence in faults.evidence]
    assert verdicts == [("few-handles", "inconclusive"), ("little-memory", "pass"), ("few-handles", "pass")]
    assert faults.evidence[0].bit_detail == "something else had made it short of handles before the fault"


def test_what_cannot_be_meant_is_refused(fragile, faults):
    with pytest.raises(UsageError, match=r"little-cpu of 'hungry' makes no sense: share is 2"):
        LittleCpu("hungry", share=2)
    with pytest.raises(UsageError, match=r"few-handles of 'hungry' makes no sense: spare is -1"):
        FewHandles("hungry", spare=-1)
    with pytest.raises(UsageError, match=r"The pattern '\(' of little-memory of 'hungry' is none"):
        LittleMemory("hungry", says="(")
    with pytest.raises(UsageError, match=r"Did you mean 'hungry'"), faults.active(FewHandles("hungri")):
        pass
    for kind, body, words in [
        ("cpus", {}, r"cannot be made short of 'cpus'\. Did you mean 'cpu'"),
        ("cpu", {"shares": 0.5}, r"knows no 'shares'\. Did you mean 'share'"),
        ("cpu", {"share": 0}, r"cannot be meant: share is 0; give"),
        ("cpu", {"share": "half"}, r"cannot be meant: share is 'half', not like 0\.1"),
        ("disk", {"_ballast": "/etc"}, r"knows no '_ballast'"),
    ]:
        with pytest.raises(UsageError, match=words):
            fragile.call("PUT", f"/components/hungry/shortages/{kind}", json=body)
    assert not faults.evidence


def test_a_lease_that_ends_gives_back_what_is_missing(fragile, ask, small_disk):
    before = limits(fragile)
    with LeasedStack(fragile) as leased:
        leased.begin_shortage("hungry", "handles", {"spare": 1})
        leased.begin_shortage("quiet", "cpu", {"share": 0.2})
        assert limits(fragile)[0][0] < before[0][0]
    assert wait_until(lambda: fragile.call("GET", "/components/quiet/shortages") == {}, 5, 0.02)
    assert wait_until(lambda: limits(fragile) == before, 5, 0.02)


def test_a_component_that_hangs_is_not_made_short_of_anything(fragile, faults):
    with faults.active(Hang("quiet")), faults.active(FewHandles("quiet")):
        pass
    assert faults.evidence[0].bit_detail == "it was hung before the fault"
