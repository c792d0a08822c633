"""Watches a running stack beside the tests: reads its logs, measures its components, and slices both per test."""

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from fullspan.bundle import Bundle
from fullspan.invariants import Finding
from fullspan.monitor.limits import broken_limits
from fullspan.monitor.logs import LogError, LogReader
from fullspan.monitor.meter import Meter, Usage
from fullspan.stack import Stack
from fullspan.verdict import Verdict

__all__ = ["Mark", "Monitor", "Slice"]

_EVERY_S: Final = 1.0
_KEPT: Final = 2 * 3600
_SLICE_BYTES: Final = 1024 * 1024
_SHOWN: Final = 3
_KEPT_ERRORS: Final = 10_000
_SAID_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in everything that is watched: bytes of each log, lines read, and errors and samples so far."""

    positions: dict[str, int]
    lines: int
    errors: int
    samples: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What was seen from one mark to the next."""

    begin: Mark
    end: Mark
    errors: list[LogError]
    usages: list[Usage]
    broken: list[str]
    limits: int = 0
    logs: dict[str, str] = field(default_factory=dict)

    def findings(self, allow: Sequence[str] = ()) -> list[Finding]:
        """Return what this comes to: errors that nobody allowed, and limits that were broken."""
        patterns = [re.compile(pattern) for pattern in allow]
        bad = [error for error in self.errors if not any(pattern.search(error.line) for pattern in patterns)]
        lines = self.end.lines - self.begin.lines
        told = "; ".join(f"{error.component}: {error.line}" for error in bad[:_SHOWN])
        lost = self.end.errors - self.begin.errors - len(self.errors)
        verdict = Verdict.FAIL if bad else Verdict.INCONCLUSIVE if lost else Verdict.PASS
        summary = (
            f"{'at least ' if lost else ''}{len(bad):,} errors in {lines:,} lines of {len(self.end.positions)} logs"
        )
        found = [Finding("logs", verdict, f"{summary}: {told}" if told else summary, lines)]
        if self.limits:
            n = len(self.usages)
            verdict = Verdict.FAIL if self.broken else Verdict.PASS if n else Verdict.INCONCLUSIVE
            said = "; ".join(self.broken[:_SHOWN]) or f"0 of {self.limits} limits broken in {n:,} samples"
            found.append(Finding("resources", verdict, said, n))
        return found

    def peaks(self) -> dict[str, dict[str, float]]:
        """Return the most that each component used, by what."""
        found: dict[str, dict[str, float]] = {}
        for usage in self.usages:
            most = found.setdefault(usage.component, {})
            for what in ("cpu_percent", "memory_mb", "handles", "threads", "disk_mb"):
                value = getattr(usage, what)
                if value is not None:
                    most[what] = max(most.get(what, 0), value)
        return found


class Monitor:
    """Watches from `start` to `close`, in a thread of its own. Errors and samples go into the bundle as they come.

    With `writes` False it only watches: of several processes that test one stack one writes.
    """

    def __init__(
        self,
        stack: Stack,
        bundle: Bundle,
        tell: Callable[[str], object] = lambda what: None,
        *,
        every_s: float = _EVERY_S,
        writes: bool = True,
    ) -> None:
        components = stack.components
        self._bundle = bundle
        self._tell = tell
        self._every_s = every_s
        self._writes = writes
        self._readers = [
            LogReader(name, Path(state.log), state.log_errors, state.log_allow) for name, state in components.items()
        ]
        self._limits = {name: state.limits for name, state in components.items() if state.limits}
        self._meter = Meter(stack.run_id, {name: Path(state.dir) for name, state in components.items()})
        self._errors: list[LogError] = []
        self._usages: list[Usage] = []
        self._forgotten = 0
        self._forgotten_errors = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        self._failure: Exception | None = None
        with self._lock:
            # What was logged before belongs to no test.
            for reader in self._readers:
                reader.read_on()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Watch no more; raises what made the watching fail, if something did."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            while not self._over.wait(self._every_s):
                with self._lock:
                    self._look()
        except Exception as error:
            self._failure = error

    def _look(self) -> None:
        """Read and measure once; the lock is held."""
        for reader in self._readers:
            self._take(reader.component, reader.read_on())
        usages = self._meter.measure()
        self._usages += usages
        surplus = len(self._usages) - _KEPT * max(1, len(self._readers))
        if surplus > 0:
            del self._usages[:surplus]
            self._forgotten += surplus
        if self._writes and usages:
            lines = "".join(json.dumps(asdict(usage)) + "\n" for usage in usages)
            with (self._bundle.path / "resources.jsonl").open("a", encoding="utf-8") as file:
                file.write(lines)

    def _take(self, component: str, errors: list[LogError]) -> None:
        """Keep new errors, without secrets, since they are printed too; say the first of many."""
        errors = [replace(error, line=self._bundle.redact(error.line)) for error in errors]
        self._errors += errors
        surplus = len(self._errors) - _KEPT_ERRORS
        if surplus > 0:
            del self._errors[:surplus]
            self._forgotten_errors += surplus
        if not self._writes:
            return
        for error in errors[:_SAID_AT_ONCE]:
            said = f"{component} logged an error: {error.line}"
            self._bundle.timeline.add("log.error", said, component=component, position=error.position)
            self._tell(said)
        if (more := len(errors) - _SAID_AT_ONCE) > 0:
            said = f"{component} logged {more:,} more errors at the same time"
            self._bundle.timeline.add("log.error", said, component=component)
            self._tell(said)

    def mark(self) -> Mark:
        """Look once more, so that what was logged until now is known, and return where that is."""
        with self._lock:
            self._look()
            positions = {reader.component: reader.position for reader in self._readers}
            lines = sum(reader.lines for reader in self._readers)
            errors = self._forgotten_errors + len(self._errors)
            return Mark(positions, lines, errors, self._forgotten + len(self._usages))

    def since(self, begin: Mark, name: str) -> Slice:
        """Return what was seen since a mark, and keep that part of each log in the bundle, below `name`."""
        end = self.mark()
        first, last = (max(0, mark.errors - self._forgotten_errors) for mark in (begin, end))
        errors = self._errors[first:last]
        first, last = (max(0, mark.samples - self._forgotten) for mark in (begin, end))
        usages = self._usages[first:last]
        logs = {}
        for reader in self._readers:
            place = (begin.positions[reader.component], end.positions[reader.component])
            if place[0] != place[1]:
                kept = self._bundle.add_log_slice(name, reader.component, reader.path, *place, limit=_SLICE_BYTES)
                logs[reader.component] = str(kept.relative_to(self._bundle.path))
        count = sum(len(limits) for limits in self._limits.values())
        return Slice(begin, end, errors, usages, broken_limits(usages, self._limits), count, logs)
