"""Programs of K2 as processes, as a user starts them; what they log and their figures can be waited for."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

LONGEST_S = 150


def until(question, what="it comes true"):
    """Ask again and again, and return the first answer that is not nothing."""
    deadline_s = time.monotonic() + LONGEST_S
    while not (answer := question()):
        assert time.monotonic() < deadline_s, f"waited for: {what}"
        time.sleep(0.05)  # between two looks
    return answer


class Forker:
    """Starts processes that have what they import from one that has it already."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forker.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


class Process:
    """One process of a forker, with the words of `subprocess.Popen`."""

    def __init__(self, forker, **request):
        self._forker = forker
        self.returncode = None
        self.pid = forker.ask(**request)

    def poll(self):
        if self.returncode is None:
            self.returncode = self._forker.ask(pid=self.pid)
        return self.returncode

    def wait(self, timeout):
        deadline_s = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < deadline_s, f"process {self.pid} has not ended within {timeout} s"
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Program:
    """A running `k2 ...`, forked; without a forker it is started as a user does it, with all its imports."""

    def __init__(self, forker, folder, arguments, environment):
        self.log = folder / f"{arguments[0]}-{time.time_ns()}.log"
        self.log.touch()
        environment = {**os.environ, "FULLSPAN_VAR": str(folder / "var"), **environment}
        if forker is None:
            with self.log.open("wb") as output:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "k2", *arguments],
                    stdout=output, stderr=output, cwd=folder, env=environment,
                )  # fmt: skip
        else:
            self.process = Process(
                forker, arguments=arguments, environment=environment, folder=str(folder), output=str(self.log)
            )

    @property
    def said(self):
        return self.log.read_text(errors="replace")

    def events(self, name=None):
        found = []
        for line in self.said.splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and name in (None, event.get("event")):
                    found.append(event)
        return found

    def wait_for(self, name, count=1, **fields):
        def found():
            ended = self.process.poll()
            events = [it for it in self.events(name) if all(it.get(key) == value for key, value in fields.items())]
            if len(events) >= count:
                return events
            assert ended is None, f"ended with {ended}: {self.said[-3000:]}"
            return None

        return until(found, f"{name} {fields}: {self.said[-3000:]}")[-1]

    def figures(self, event):
        """What it tells Prometheus, by name and labels; `event` is the one that says on which port."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.wait_for(event)['port']}/metrics", timeout=LONGEST_S
        ) as answer:
            return read_figures(answer.read().decode())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(LONGEST_S)

    def ended(self):
        """Wait for its own end; its exit code and what it said."""
        return self.process.wait(LONGEST_S), self.said

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


def read_figures(text):
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
