"""What happened when: events of one run as lines of JSON, appended by any of its processes.

Times come from CLOCK_MONOTONIC, which all processes of a machine share, so events of the runner, the tests and the
supervisor can be put in one order. Wall time is kept beside it for people.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeAlias

__all__ = ["Event", "Timeline", "read_timeline"]

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: when (ns, monotonic and wall), of what kind, and what in words."""

    mono_ns: int
    wall_ns: int
    kind: str
    what: str
    attributes: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> str:
        """Return the event as one line of JSON."""
        line = {"mono_ns": self.mono_ns, "wall_ns": self.wall_ns, "kind": self.kind, "what": self.what}
        return json.dumps(line | {"attributes": dict(self.attributes)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(line)
        return cls(**(fields | {"attributes": MappingProxyType(fields.get("attributes", {}))}))


class Timeline:
    """Appends events to a file; safe for threads, and for processes that share the file."""

    def __init__(self, path: Path, redact: Callable[[str], str] = str) -> None:
        self.path = path
        self._redact = redact
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=True)

    def add(self, kind: str, what: str, **attributes: Scalar) -> Event:
        """Append an event that happens now, and return it once it is written."""
        event = Event(time.monotonic_ns(), time.time_ns(), kind, what, MappingProxyType(attributes))
        self._write(event)
        return event

    def _write(self, event: Event) -> None:
        """Write one line in one call: with O_APPEND the lines of several processes never mix."""
        line = (self._redact(event.to_json()) + "\n").encode()
        with self._lock:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)


def read_timeline(path: Path) -> list[Event]:
    """Return the events of a file in the order in which they happened.

    A last line without an end is left out: its writer was killed while writing it.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return sorted((Event.from_json(line) for line in lines), key=lambda event: event.mono_ns)
