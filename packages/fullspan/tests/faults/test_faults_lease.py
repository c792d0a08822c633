"""A run that is killed in the middle of its faults leaves none of them behind."""

import signal
import socket
import subprocess
import sys

import httpx
import pytest

from fullspan.errors import StackError, UsageError
from fullspan.faults import Faults, Hang, LeasedStack, Stall
from fullspan.stack.processes import wait_until

RUN = """
import sys
from pathlib import Path
from fullspan.faults import Faults, Hang, Kill, Stall
from fullspan.stack.handle import Stack
from fullspan.timeline import Timeline

stack = Stack.attach(sys.argv[1])
faults = Faults(stack, Timeline(Path(sys.argv[2])))
with faults.active(Hang("quiet")), faults.active(Stall("page-web")), faults.active(Kill("web")):
    print("broken", flush=True)
    sys.stdin.read()
"""


def is_healthy(stack):
    if any(component.state != "ready" for component in stack.components.values()):
        return False
    if any(process.state == "T" for process in stack.component("quiet").processes()):
        return False
    return not stack.call("GET", "/links/page-web")["toxics"]["stall"]


def test_kill_9_of_a_run_in_the_middle_of_three_faults_heals_all(fragile, tmp_path):
    state = fragile.var / "run" / fragile.name / "state.json"
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(state), str(tmp_path / "timeline.jsonl")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert run.stdout.readline() == b"broken\n"
        assert [process.state for process in fragile.component("quiet").processes()] == ["T"]
        assert fragile.components["web"].state == "killed"
        assert fragile.call("GET", "/links/page-web")["toxics"]["stall"] is True
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    assert wait_until(lambda: is_healthy(fragile), 15, 0.05)
    assert httpx.get(fragile.endpoint("web.http"), timeout=5).status_code == 200


def test_closing_gives_the_lease_back_and_heals_what_is_left(fragile):
    with LeasedStack(fragile) as leased:
        leased.act("quiet", "hang")
        assert fragile.components["quiet"].state == "hung"
    assert wait_until(lambda: is_healthy(fragile), 5, 0.05)


def test_faults_of_two_runs_do_not_end_each_other(fragile, timeline):
    with Faults(fragile, timeline) as one, Faults(fragile, timeline) as other, one.active(Hang("quiet")):
        with other.active(Hang("quiet")):
            pass
        assert other.evidence[0].bit_detail.startswith("something else had stopped it")
        assert fragile.components["quiet"].state == "hung"
    assert one.evidence[0].verdict == "pass"


def test_there_is_no_lease_from_a_supervisor_that_has_gone(fragile, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as nobody:
        monkeypatch.setattr(fragile, "control", nobody)
        with pytest.raises(StackError, match="'fragile' granted no lease"):
            LeasedStack(fragile)


def test_a_stack_without_the_target_is_not_touched(fragile, timeline):
    with Faults(fragile, timeline) as faults, pytest.raises(UsageError), faults.active(Stall("nowhere")):
        pass
    assert is_healthy(fragile)
