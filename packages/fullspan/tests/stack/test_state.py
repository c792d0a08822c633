"""The state file: for the owner only, whole or not there, and clear words for one that cannot be understood."""

import os
from pathlib import Path

import pytest

from fullspan.errors import StackError
from fullspan.stack.processes import look_up
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import StackState, read_state
from fullspan.stack.status import describe, masked_state


@pytest.fixture
def state(tmp_path: Path) -> StackState:
    me = look_up(os.getpid())
    assert me is not None
    return StackState.model_validate({
        "schema": 1, "name": "small", "run_id": "r", "project": "/p", "var": str(tmp_path), "file": "/p/s.yaml",
        "phase": "ready", "supervisor": {"pid": me.pid, "start_time": me.start_time}, "control": "/c",
        "components": {
            "web": {"state": "ready", "pid": 4, "start_time": 5, "ports": {"http": 80}, "log": "/l", "dir": "/d",
                    "ready_wall_ns": 0},
            "job": {"state": "died", "log": "/l", "dir": "/d", "detail": "exit code 7"},
        },
        "links": {"page": {"from": "suite", "to": "web.http", "listen": ["127.0.0.1", 1], "upstream": ["h", 2]}},
        "endpoints": {"web.http": "http://u:hush@127.0.0.1:80/x"},
        "started_wall_ns": 0,
    })  # fmt: skip


def test_what_was_written_is_read(state: StackState, tmp_path: Path):
    file = tmp_path / "state.json"
    state.write(file)
    assert read_state(file) == state
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_the_supervisor_is_known_by_its_start_time(state: StackState):
    assert state.supervisor.alive
    assert not state.supervisor.model_copy(update={"start_time": 1}).alive


def test_addresses_past_the_proxies(state: StackState):
    through = {"page": "http://u:hush@127.0.0.1:1/x", "other": "http://127.0.0.1:11/"}
    found = state.model_copy(update={"endpoints": through}).direct_endpoints
    assert found == {"page": "http://u:hush@h:2/x", "other": "http://127.0.0.1:11/"}


def test_no_state_and_a_broken_one(tmp_path: Path):
    assert read_state(tmp_path / "state.json") is None
    (tmp_path / "state.json").write_text('{"schema": 99}')
    with pytest.raises(StackError, match="cannot be read: another version of fullspan wrote it"):
        read_state(tmp_path / "state.json")


def test_status_in_words_without_passwords(state: StackState, tmp_path: Path):
    folder = RunFolder(tmp_path, "small")
    folder.path.mkdir(parents=True)
    assert describe(folder) == "small: not up"
    state.write(folder.state)
    words = describe(folder)
    lines = [line.split() for line in words.splitlines()]
    assert lines[0][:2] == ["small:", "ready,"]
    assert ["COMPONENT", "STATE", "PID", "UPTIME", "PORTS"] in lines
    assert any(line[:3] == ["web", "ready", "4"] and line[-2:] == ["http", "80"] for line in lines)
    assert ["job", "died", "-", "-", "-", "exit", "code", "7"] in lines
    assert ["page", "suite", "web.http", "127.0.0.1:1"] in lines
    assert ["web.http", "http://u:***@127.0.0.1:80/x"] in lines
    assert "hush" not in words


def test_status_as_json_without_passwords(state: StackState, tmp_path: Path):
    folder = RunFolder(tmp_path, "small")
    folder.path.mkdir(parents=True)
    assert masked_state(folder) is None
    state.write(folder.state)
    shown = masked_state(folder)
    assert shown is not None
    assert shown["endpoints"] == {"web.http": "http://u:***@127.0.0.1:80/x"}
    assert shown["components"]["web"]["uptime_s"] > 0
    assert shown["components"]["job"]["uptime_s"] is None
    assert shown["links"]["page"]["from"] == "suite"


def test_status_of_a_stack_whose_supervisor_died(state: StackState, tmp_path: Path):
    folder = RunFolder(tmp_path, "small")
    folder.path.mkdir(parents=True)
    dead = state.supervisor.model_copy(update={"start_time": 1})
    state.model_copy(update={"supervisor": dead}).write(folder.state)
    assert "has died; `fullspan down small` removes what is left" in describe(folder)
    assert masked_state(folder) is None
