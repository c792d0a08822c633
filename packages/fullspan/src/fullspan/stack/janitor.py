"""Undoes what a run did to the machine when the run dies: `python -m fullspan.stack.janitor FOLDER`.

It lives in a session of its own and waits for the end of a pipe that only the supervisor holds. The kernel closes the
pipe however the supervisor ends; a supervisor that has cleaned up itself says so first.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from fullspan.stack.run_folder import RunFolder
from fullspan.stack.undo import read_undo, undo_all
from fullspan.timeline import Timeline

__all__ = ["ALL_DONE", "READY", "clean_up", "main"]

READY: Final = b"r"
ALL_DONE: Final = b"d"
# A process that was being started when the supervisor died shows its tag a moment later.
_LOOK_AGAIN: Final = (0.0, 0.1, 0.3, 0.6)


def clean_up(folder: RunFolder) -> list[str]:
    """Undo everything that is on the undo list of a dead run; return what was done, in words."""
    records = read_undo(folder.undo)
    said: list[str] = []
    for pause_s in _LOOK_AGAIN if records else ():
        time.sleep(pause_s)
        said += undo_all(records)
    return said


def main(path: Path) -> None:
    """Wait for the end of the supervisor, then clean up unless it has done so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):  # the supervisor may be dead already; then all the more
        os.write(1, READY)
    said = b""
    while received := os.read(0, 64):
        said = received
    if said.endswith(ALL_DONE):
        return
    folder = RunFolder(path.parent.parent, path.name)
    timeline = Timeline(folder.events)
    timeline.add("janitor", "the supervisor died; cleaning up")
    for done in clean_up(folder):
        timeline.add("janitor", done)
    timeline.add("janitor", "nothing of the run is left")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
