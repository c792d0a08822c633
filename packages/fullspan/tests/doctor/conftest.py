"""A project of its own with a small stack, and residue planted in it."""

import json
import os
import signal
import subprocess
import textwrap
from contextlib import contextmanager

import pytest

from fullspan.stack.processes import RUN_TAG, environment_of, look_up, wait_until

STACK = """
schema: fullspan/stack/1
name: small
secrets: {password: random}
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: {fixed: %(port)d}}
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
  idle:
    run: [sleep, "600"]
"""


def dead_run_id(name="small"):
    """A run id as a stack would have it; no stack ever has this one."""
    return f"20200101T000000Z-{name}-{os.urandom(4).hex()}"


class Project:
    """A folder with stacks/small.yaml and what is planted below it."""

    def __init__(self, path, port):
        self.path = path
        self.var = path / "var"
        self.file = path / "stacks" / "small.yaml"
        self.file.parent.mkdir()
        self.write(STACK % {"port": port})

    def write(self, text):
        self.file.write_text(textwrap.dedent(text))

    @property
    def run_folder(self):
        return self.var / "run" / "small"

    @contextmanager
    def process(self, run_id, *, cwd=None, home=None):
        """A real process with the tag of a run; it is killed in the end, whatever becomes of it."""
        environment = {"PATH": os.environ["PATH"], RUN_TAG: run_id} | ({"HOME": str(home)} if home else {})
        process = subprocess.Popen(["sleep", "600"], env=environment, cwd=cwd or self.path, start_new_session=True)
        try:
            # It has its new name a moment before its environment can be read.
            assert wait_until(lambda: environment_of(process.pid).get(RUN_TAG) == run_id and is_sleep(process.pid), 5)
            yield process
        finally:
            process.kill()
            process.wait()

    def plant_dead_stack(self, run_id, **more):
        """What a supervisor leaves that was killed together with its janitor: state, undo list, and a folder."""
        component = self.run_folder / "components" / "web"
        component.mkdir(parents=True)
        (component / "page.html").write_text("old")
        gone = subprocess.Popen(["true"])
        gone.wait()
        state = {
            "schema": 1, "name": "small", "run_id": run_id, "project": str(self.path), "var": str(self.var),
            "file": str(self.file), "phase": "ready", "supervisor": {"pid": gone.pid, "start_time": 1},
            "control": str(self.run_folder / "control.sock"), "components": {}, "started_wall_ns": 1,
        }  # fmt: skip
        (self.run_folder / "state.json").write_text(json.dumps(state | more))
        undo = {"schema": 1, "number": 1, "undo": "kill-tagged", "run_id": run_id}
        (self.run_folder / "undo.jsonl").write_text(json.dumps(undo) + "\n")
        (self.run_folder / "lock").touch()


def is_sleep(pid):
    found = look_up(pid)
    return found is not None and found.name == "sleep"


def is_killed(process):
    return process.poll() == -signal.SIGKILL


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)
    monkeypatch.delenv(RUN_TAG, raising=False)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, port=19_532)
