"""The lock of a stack's name: one at a time, shared with a child, given back by the kernel."""

import subprocess
from pathlib import Path

from fullspan.stack.lock import StackLock


def test_one_at_a_time(tmp_path: Path):
    first, second = StackLock(tmp_path / "run" / "lock"), StackLock(tmp_path / "run" / "lock")
    assert first.take()
    assert not second.take()
    assert not second.take(0.05)
    first.close()
    assert second.take()
    second.close()


def test_a_child_that_got_the_handle_holds_it_too(tmp_path: Path):
    lock, other = StackLock(tmp_path / "lock"), StackLock(tmp_path / "lock")
    assert lock.take()
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock.handle])
    lock.close()
    assert not other.take()
    child.kill()
    child.wait()
    assert other.take(5)
    other.close()
