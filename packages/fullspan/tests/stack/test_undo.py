"""The undo list: typed records on disk, undone once, latest first, whatever the writer's fate was."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from fullspan.stack.processes import RUN_TAG, look_up, wait_until
from fullspan.stack.undo import KillTagged, Remove, Signal, UndoList, read_undo, undo_all


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "undo.jsonl"


def test_latest_first_and_what_is_done_is_left_out(file: Path):
    undo = UndoList(file)
    first = undo.add(Remove("/x"))
    undo.add(KillTagged("run"))
    hang = undo.add(Signal(7, 8, "SIGCONT"))
    assert read_undo(file) == [Signal(7, 8, "SIGCONT"), KillTagged("run"), Remove("/x")]
    undo.done(hang)
    undo.done(first)
    assert read_undo(file) == [KillTagged("run")]
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_list_is_nothing_to_undo(file: Path):
    assert read_undo(file) == []


def test_an_unfinished_line_and_another_schema_are_left_out(file: Path):
    UndoList(file).add(Remove("/x"))
    with file.open("a") as handle:
        handle.write(json.dumps({"schema": 99, "number": 2, "undo": "other"}) + "\n")
        handle.write('{"schema": 1, "numb')
    assert read_undo(file) == [Remove("/x")]


def test_remove_takes_files_folders_and_nothing(tmp_path: Path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    names = ("folder", "file", "link", "nowhere")
    assert undo_all([Remove(str(tmp_path / name)) for name in names]) == []
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_signal_hits_only_the_same_process():
    child = subprocess.Popen(["sleep", "60"])
    try:
        process = look_up(child.pid)
        assert process is not None
        child.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: (now := look_up(child.pid)) is not None and now.stands, 5)
        assert Signal(process.pid, process.start_time + 1, "SIGCONT").undo() is None
        assert Signal(process.pid, process.start_time, "SIGCONT").undo() == f"sent SIGCONT to {child.pid}"
        assert wait_until(lambda: (now := look_up(child.pid)) is not None and not now.stands, 5)
    finally:
        child.kill()
        child.wait()


def test_kill_tagged_says_what_it_killed():
    tag = f"test-{os.urandom(6).hex()}"
    child = subprocess.Popen(["sleep", "60"], env=os.environ | {RUN_TAG: tag})
    assert KillTagged(tag).undo() == f"killed 1 process: sleep ({child.pid})"
    assert child.wait() == -signal.SIGKILL
    assert KillTagged(tag).undo() is None
