"""Every kind of fault, again and again, also when the run is killed in the middle: nothing of it stays.

`make soak` runs a thousand cycles; FULLSPAN_SOAK_SEED gives them another order.
"""

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fullspan.faults import (
    Bandwidth,
    Blackhole,
    FewHandles,
    FullDisk,
    Hang,
    Jitter,
    Kill,
    Latency,
    LittleCpu,
    LittleMemory,
    Loss,
    Partition,
    Reset,
    Restart,
    SlowClose,
    Stall,
    Stop,
)
from fullspan.stack.processes import wait_until
from fullspan.stack.shortages import BALLAST
from fullspan.stack.undo import read_undo
from fullspan.verdict import Verdict

SEED = int(os.environ.get("FULLSPAN_SOAK_SEED", "1"))
LINK = "page-web"
HEALED_WITHIN_S = 60
ON_LINK = {
    "latency": lambda: Latency(LINK, ms=10),
    "jitter": lambda: Jitter(LINK, ms=20),
    "bandwidth": lambda: Bandwidth(LINK, bytes_s=100_000),
    "stall": lambda: Stall(LINK),
    "blackhole": lambda: Blackhole(LINK),
    "reset": lambda: Reset(LINK),
    "loss": lambda: Loss(LINK, share=0.1),
    "partition": lambda: Partition(LINK),
    "slow-close": lambda: SlowClose(LINK, ms=20),
}
OF_PROCESSES = {
    "hang": lambda: Hang("quiet"),
    "kill": lambda: Kill("quiet"),
    "stop": lambda: Stop("quiet"),
    "restart": lambda: Restart("quiet"),
}
OF_RESOURCES = {
    "few-handles": (lambda _: FewHandles("hungry", spare=1), "file"),
    "little-memory": (lambda _: LittleMemory("hungry", spare_bytes=2**24), "memory"),
    "little-cpu": (lambda _: LittleCpu("hungry", share=0.2), "burn"),
    "full-disk": (lambda disk: FullDisk("hungry", str(disk)), "write"),
}
KINDS = [*ON_LINK, *OF_PROCESSES, *OF_RESOURCES]

RUN = """
import sys
from contextlib import ExitStack
from pathlib import Path
from fullspan.faults import *
from fullspan.stack.handle import Stack
from fullspan.timeline import Timeline

faults = Faults(Stack.attach(sys.argv[1]), Timeline(Path(sys.argv[2])))
with ExitStack() as on:
    for fault in eval(sys.argv[3]):
        on.enter_context(faults.active(fault))
    print("broken", flush=True)
    sys.stdin.read()
"""
KILLED = [
    "[Hang('quiet'), Partition('page-web'), FullDisk('hungry', DISK)]",
    "[Kill('web'), FewHandles('hungry', 1), LittleCpu('quiet', 0.3)]",
    "[Latency('page-web', 50), Stall('page-web'), LittleMemory('hungry'), Stop('quiet')]",
    "[Loss('page-web', 0.5), Bandwidth('page-web', 1000), LittleCpu('hungry', 0.1), FewHandles('web')]",
    "[Reset('page-web'), SlowClose('page-web', 9000), Hang('web'), FullDisk('hungry', DISK), Kill('quiet')]",
]


def state_of(stack, disk):
    """What a fault may leave behind, anywhere: of each component, of its processes, of links, on disk."""
    components = {}
    for name, component in stack.components.items():
        processes = stack.component(name).processes()
        limits = [
            resource.prlimit(process.pid, number)
            for process in processes
            for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
        ]
        stopped = [process.pid for process in processes if process.stands]
        shortages = stack.call("GET", f"/components/{name}/shortages")
        components[name] = (component.state, len(processes), limits, stopped, shortages)
    link = stack.call("GET", f"/links/{LINK}")
    undo = read_undo(stack.var / "run" / stack.name / "undo.jsonl")
    return {
        "components": components,
        "layers": link["layers"],
        "undo": sorted(record.kind for record in undo),
        "ballast": [path.name for path in disk.glob(f"{BALLAST}*")],
    }


def handles_of(stack):
    """How many files and sockets the supervisor holds."""
    return len(list(Path(f"/proc/{stack.state.supervisor.pid}/fd").iterdir()))


def answers(url):
    """Whether a server answers at an address."""
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def settled(fragile, small_disk):
    """Hold that the stack comes back to what it was before the test."""
    before = state_of(fragile, small_disk)
    assert before["undo"]
    yield
    wait_until(lambda: state_of(fragile, small_disk) == before, HEALED_WITHIN_S, 0.1)
    assert state_of(fragile, small_disk) == before


@pytest.fixture
def cycle(fragile, faults, small_disk, tmp_path):
    """Inject and heal one fault of a kind; it has to bite and to heal."""
    own_disk = small_disk.stat().st_dev != tmp_path.stat().st_dev

    def bites(fault):
        return lambda: fault.bite(faults.lease()).seen

    def run(kind, client):
        if kind in OF_RESOURCES:
            make, what = OF_RESOURCES[kind]
            fault = make(small_disk)
            with faults.active(fault):
                for _ in range(5):
                    client.get(fragile.endpoint("hungry.http") + what)
        elif kind in ON_LINK:
            fault = ON_LINK[kind]()
            with faults.active(fault):
                assert wait_until(bites(fault), 15, 0.02), fault
        else:
            with faults.active(OF_PROCESSES[kind]()):
                pass
        evidence = faults.evidence[-1]
        expected = Verdict.PASS if own_disk or kind != "full-disk" else Verdict.INCONCLUSIVE
        assert evidence.verdict is expected, evidence.reason

    return run


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_cycles_of_all_kinds_leave_nothing(fragile, faults, traffic_to, cycle, settled, count):
    order = [kind for _ in range(count // len(KINDS) + 1) for kind in KINDS][:count]
    random.Random(SEED).shuffle(order)
    with (
        traffic_to(fragile.endpoint("web.http"), every_s=0.05) as traffic,
        httpx.Client(timeout=20) as client,
    ):
        traffic.more(1)
        cycle(order[0], client)
    handles = handles_of(fragile)
    with (
        traffic_to(fragile.endpoint("web.http"), every_s=0.05) as traffic,
        httpx.Client(timeout=20) as client,
    ):
        for kind in order[1:]:
            cycle(kind, client)
        traffic.more()
    # Neither a socket nor a timer of a link that was broken is kept by the supervisor.
    assert wait_until(lambda: handles_of(fragile) <= handles, HEALED_WITHIN_S, 0.1), (handles_of(fragile), handles)
    assert len(faults.evidence) == count
    assert {evidence.kind for evidence in faults.evidence} == set(KINDS)


@pytest.mark.parametrize("broken", KILLED, ids=range(len(KILLED)))
def test_kill_9_of_the_run_leaves_nothing(fragile, settled, small_disk, tmp_path, broken):
    state = fragile.var / "run" / fragile.name / "state.json"
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, state, tmp_path / "timeline.jsonl", broken.replace("DISK", repr(str(small_disk)))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert run.stdout.readline() == b"broken\n"
        on = state_of(fragile, small_disk)
        assert on["layers"] or on["ballast"] or any(component[4] for component in on["components"].values())
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    # What was lifted last may be the process that answers: it has to be there again, not only the link to it.
    assert wait_until(lambda: answers(fragile.endpoint("web.http")), HEALED_WITHIN_S, 0.1)
