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

from fullspan.errors import Outlived
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.survivors import KILLING_S
from fullspan.stack.undo import KillTagged, read_undo, undo_all, write_undo
from fullspan.timeline import Timeline

__all__ = ["ALL_DONE", "AT_WORK_S", "READY", "clean_up", "main"]

READY: Final = b"r"
ALL_DONE: Final = b"d"
AT_WORK_S: Final = KILLING_S + 10.0
"""How long a janitor may be at work before somebody who waits for it gives up, s."""
# A process that was being started when the supervisor died shows its tag a moment later.
_LOOK_AGAIN: Final = (0.0, 0.1, 0.3, 0.6)


def clean_up(folder: RunFolder) -> list[str]:
    """Undo everything that is on the undo list of a dead run; return what was done, in words.

    Raises Outlived when processes of it do not go; then its state and its list stay, and the next one looks again.
    """
    records = read_undo(folder.undo)
    said: list[str] = []
    try:
        for pause_s in _LOOK_AGAIN if records else ():
            time.sleep(pause_s)
            said += undo_all(records)
    except Outlived as error:
        if (again := KillTagged.again(error)) not in records:
            write_undo(folder.undo, [again, *records])
        raise
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
    try:
        for done in clean_up(folder):
            timeline.add("janitor", done)
    except Outlived as error:
        timeline.add("janitor", str(error))
    else:
        timeline.add("janitor", "nothing of the run is left")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
