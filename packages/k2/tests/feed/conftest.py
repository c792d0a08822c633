"""Programs of K2 as processes, as a user starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect


class Program:
    """A running `k2 ...`; what it logs can be waited for."""

    def __init__(self, folder, arguments, environment):
        self.log = folder / f"{arguments[0]}-{time.time_ns()}.log"
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "k2", *arguments],
            stdout=self._output,
            stderr=self._output,
            cwd=folder,
            env={**os.environ, "FULLSPAN_VAR": str(folder / "var"), **environment},
        )

    def events(self, name=None):
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if name in (None, event.get("event")):
                found.append(event)
        return found

    def wait_for(self, name, count=1, within_s=150, **fields):
        deadline = time.monotonic() + within_s
        while True:
            found = [
                event for event in self.events(name) if all(event.get(key) == value for key, value in fields.items())
            ]
            if len(found) >= count:
                return found[-1]
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"no {name} {fields}: {self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM, within_s=30):
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._output.close()


@pytest.fixture
def k2(tmp_path):
    """Start programs; at the end none runs any more."""
    started = []

    def start(*arguments, **environment):
        program = Program(tmp_path, [str(argument) for argument in arguments], environment)
        started.append(program)
        return program

    yield start
    for program in started:
        program.close()


@pytest.fixture
def control():
    """Connect to the control of a local exchange by its port; call it with a method and its parameters."""

    @contextmanager
    def to(port):
        with connect(f"ws://127.0.0.1:{port}/control", proxy=None) as connection:

            def call(method, **params):
                connection.send(json.dumps({"method": method, "params": params, "id": 1}))
                answer = json.loads(connection.recv(30))
                assert "error" not in answer, answer
                return answer["result"]

            yield call

    return to
