"""Trials that kill parts of fullspan at some moment and look at what is left; as many as one asks for."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fullspan.stack.processes import look_up, wait_until
from packages.fullspan.tests.commands import environment

Victim = Literal["command", "supervisor", "both", "all"]
Phase = Literal["bring-up", "ready", "tear-down"]
GONE_WITHIN_S = 60.0
READY_WITHIN_S = 120.0

STUBBORN = """
links:
  page-web: {from: suite, to: web.http, proxy: true}
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
  deaf:
    run: [sh, -c, "trap '' TERM; setsid sleep 600 & echo on; while :; do sleep 1; done"]
    ready: {log: "^on", timeout_s: 60}
    stop: {timeout_s: 0.5}
  last:
    run: [sleep, "600"]
    depends_on: [web, deaf]
"""
"""One part ignores SIGTERM and has a child that left its session."""


def processes_of(project: Path) -> list[int]:
    """Return the processes that have to do with a project: its path is in their arguments or environment."""
    needle = os.fsencode(project)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes() or needle in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@dataclass
class Trial:
    """One `fullspan up` in a process of its own, and what it has been seen to open."""

    project: Path
    process: "subprocess.Popen[str]"
    ports: set[int] = field(default_factory=set)

    @property
    def state_file(self) -> Path:
        return self.project / "var" / "run" / "small" / "state.json"

    def look(self) -> str | None:
        """Take note of all ports that are on record; return the phase of the stack that lives."""
        try:
            state = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return None
        for component in state["components"].values():
            self.ports.update(component["ports"].values())
        self.ports.update(link["listen"][1] for link in state["links"].values())
        supervisor = state["supervisor"]
        return str(state["phase"]) if look_up(supervisor["pid"], supervisor["start_time"]) else None

    def wait_until_ready(self) -> None:
        assert wait_until(lambda: self.look() == "ready" or self.process.poll() is not None, READY_WITHIN_S)
        assert self.process.poll() is None, self.output()

    def pids(self, module: str) -> list[int]:
        """Return the processes of this trial that run a module of fullspan."""
        found = []
        for pid in processes_of(self.project):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in words:
                found.append(pid)
        return found

    def kill(self, victim: Victim) -> list[str]:
        """Kill (SIGKILL) what is asked for, in that very moment; return what was there to be killed once it is dead."""
        doomed = {"supervisor": self.pids("fullspan.stack.supervisor")} if victim != "command" else {}
        if victim == "all":
            doomed["janitor"] = self.pids("fullspan.stack.janitor")
        if victim != "supervisor":
            doomed["command"] = [self.process.pid]
        pids = [pid for pids in doomed.values() for pid in pids]
        # Stopped first, so that on a busy machine none acts on the end of another before its own.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        # On a busy machine it lives on for a moment, and its state, which says that it is ready, is still true.
        assert wait_until(lambda: not any(map(look_up, pids)), GONE_WITHIN_S)
        return [name for name, pids in doomed.items() if pids]

    def output(self) -> str:
        return self.process.communicate(timeout=GONE_WITHIN_S)[1]

    def left_over(self) -> list[str]:
        """Return what is left of the trial once everything has had its time to go."""
        wait_until(lambda: not processes_of(self.project), GONE_WITHIN_S, 0.05)
        left = [f"process {pid}: {command_line(pid)}" for pid in processes_of(self.project)]
        left += [f"port {port} answers" for port in self.ports if answers(port)]
        left += [f"temporary {path}" for path in (self.project / "tmp").iterdir()]
        run = self.state_file.parent
        left += [str(path) for path in (run / "state.json", run / "control.sock", run / "components") if path.exists()]
        return left


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def up(project: Path, *options: str) -> Iterator[Trial]:
    """Run `fullspan up small` in a project, in a session of its own; nothing of it is left in any case."""
    (project / "tmp").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "fullspan", "up", "small", *options],
        cwd=project,
        env=environment(TMPDIR=str(project / "tmp")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    trial = Trial(project, process)
    try:
        yield trial
    finally:
        process.kill()
        process.communicate()
        for pid in processes_of(project):
            os.kill(pid, signal.SIGKILL)


def kill_at(project: Path, victim: Victim, phase: Phase, delay_s: float) -> tuple[list[str], list[str]]:
    """Run one trial; return what was killed and what was left."""
    with up(project) as trial:
        if phase != "bring-up":
            trial.wait_until_ready()
        elif victim == "supervisor":
            assert wait_until(lambda: bool(trial.pids("fullspan.stack.supervisor")), READY_WITHIN_S)
        if phase == "tear-down":
            trial.process.send_signal(signal.SIGINT)
        end = time.monotonic() + delay_s
        while time.monotonic() < end:
            trial.look()
            time.sleep(min(0.01, max(0.0, end - time.monotonic())))
        killed = trial.kill(victim)
        return killed, trial.left_over()


def spread(count: int, seed: int, victims: Sequence[Victim]) -> list[tuple[Victim, Phase, float]]:
    """Return `count` trials with moments spread over bring-up, ready and tear-down, the same for the same seed."""
    source = random.Random(seed)
    longest: dict[Phase, float] = {"bring-up": 2.0, "ready": 0.3, "tear-down": 1.0}
    phases: list[Phase] = ["bring-up", "tear-down", "bring-up", "ready"]
    trials: list[tuple[Victim, Phase, float]] = []
    for number in range(count):
        phase = phases[number % len(phases)]
        trials.append((victims[number % len(victims)], phase, round(source.uniform(0, longest[phase]), 3)))
    return trials
