"""Processes: named by pid and start time, found by tag and session, signalled without going astray."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fullspan.stack.processes import (
    RUN_TAG,
    Process,
    environment_of,
    kill_until_gone,
    look_up,
    runs,
    send,
    session_of,
    signal_until,
    tagged,
    wait_until,
)

TREE = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
other = subprocess.Popen(["sleep", "60"], start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""


class Tree:
    """A process with two children, one of them in a session of its own, all with the same tag."""

    def __init__(self) -> None:
        self.tag = f"test-{os.urandom(6).hex()}"
        environment = os.environ | {RUN_TAG: self.tag}
        self.main = subprocess.Popen(
            [sys.executable, "-c", TREE], env=environment, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.main.stdout is not None
        assert self.main.stdout.readline() == b"ready\n"
        # A process that was just started shows its environment a moment later.
        assert wait_until(lambda: len(self.tagged()) == 3, 5)

    def tagged(self) -> list[Process]:
        return tagged(RUN_TAG, self.tag)

    def session(self) -> list[Process]:
        return session_of(self.main.pid)


@pytest.fixture
def tree() -> Iterator[Tree]:
    tree = Tree()
    with tree.main:
        yield tree
        kill_until_gone(tree.tagged)


def test_look_up_knows_this_process():
    me = look_up(os.getpid())
    assert me is not None
    assert (me.pid, me.parent, me.session) == (os.getpid(), os.getppid(), os.getsid(0))
    assert me.state == "R"
    assert look_up(me.pid, me.start_time) == me
    assert look_up(me.pid, me.start_time + 1) is None


def test_a_zombie_does_not_live():
    child = subprocess.Popen(["true"])
    assert wait_until(lambda: look_up(child.pid) is None, 5)
    child.wait()


HEADLESS = """
import ctypes, os, threading
threading.Thread(target=os.read, args=(0, 1)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_lives_until_its_last_thread_has_ended():
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE) as child:
        assert wait_until(lambda: (found := look_up(child.pid)) is not None and found.state == "Z", 5)
        assert look_up(child.pid) is not None
        child.kill()
        assert wait_until(lambda: look_up(child.pid) is None, 5)


def test_a_name_may_hold_anything():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert (found := look_up(child.pid)) is not None
        assert found.name.startswith("python")
    finally:
        child.kill()
        child.wait()


def test_tag_and_session_find_the_whole_tree(tree: Tree):
    by_tag = tree.tagged()
    assert sorted(process.name for process in by_tag if process.pid != tree.main.pid) == ["sleep", "sleep"]
    assert {process.pid for process in by_tag} == {process.pid for process in tree.session()}
    assert tagged(RUN_TAG, "another") == []


def test_a_tag_must_fit_entirely(tree: Tree):
    assert tagged(RUN_TAG, tree.tag[:-1]) == []


def test_signal_until_all_stand_and_go_on(tree: Tree):
    assert signal_until(tree.session, signal.SIGSTOP, lambda process: process.stands, 5)
    assert [process.state for process in tree.session()] == ["T", "T", "T"]
    assert signal_until(tree.session, signal.SIGCONT, lambda process: not process.stands, 5)
    assert not any(process.stands for process in tree.session())


def test_signal_until_needs_somebody_to_signal():
    assert not signal_until(list, signal.SIGSTOP, lambda process: True, 0.05)


def test_kill_until_gone(tree: Tree):
    killed = kill_until_gone(tree.tagged)
    assert len(killed) == 3
    assert tree.tagged() == []
    assert tree.main.wait() == -signal.SIGKILL


def test_a_later_process_of_the_same_pid_is_not_hit(tree: Tree):
    main = look_up(tree.main.pid)
    assert main is not None
    earlier = Process(main.pid, main.start_time - 1, "S", 1, main.session, main.name)
    assert not send(earlier, signal.SIGKILL)
    assert tree.main.poll() is None
    assert send(main, signal.SIGKILL)
    assert tree.main.wait() == -signal.SIGKILL
    assert not send(main, signal.SIGKILL)


def test_runs_are_told_apart_by_their_tags(tree: Tree):
    found = runs()
    assert {process.pid for process in found[tree.tag]} == {process.pid for process in tree.tagged()}
    assert environment_of(tree.main.pid)[RUN_TAG] == tree.tag
    assert environment_of(2**22 + 1) == {}
