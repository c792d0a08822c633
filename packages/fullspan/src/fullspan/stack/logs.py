"""Reading the logs of components: their last lines, and new ones as they come."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["follow", "last_lines"]

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_READ_BACK: Final = 64 * 1024
_LONGEST_LINE: Final = 500
_POLL_S: Final = 0.1


def last_lines(log: Path, count: int, start: int = 0) -> list[str]:
    """Return the last `count` lines that say something, of what was logged after byte `start`."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(start, size - _READ_BACK)
            file.seek(begin)
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = text.splitlines()[1 if begin > start else 0 :]
    plain = (_COLOURS.sub("", line).rstrip() for line in lines)
    return [line[:_LONGEST_LINE] for line in plain if line][-count:]


def follow(logs: Mapping[str, Path], more: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    """Give whole lines with the name of their log: all there are, then new ones as they come while `more()` is true."""
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(log.open("rb")) for name, log in logs.items()}
        rests = dict.fromkeys(files, b"")
        while True:
            going_on = more()
            for name, file in files.items():
                *lines, rests[name] = (rests[name] + file.read()).split(b"\n")
                for line in lines:
                    yield name, line.decode("utf-8", errors="replace")
            if not going_on:
                break
            time.sleep(_POLL_S)
    for name, rest in rests.items():
        if rest:
            yield name, rest.decode("utf-8", errors="replace")
