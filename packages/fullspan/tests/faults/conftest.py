"""A small real stack to break: a web server behind a link, and a process that serves nobody."""

import os
import subprocess
import textwrap
import threading
from pathlib import Path

import httpx
import pytest

from fullspan.faults import Faults
from fullspan.stack.bring_up import open_stack
from fullspan.timeline import Timeline

STACK = """
schema: fullspan/stack/1
name: fragile
components:
  web:
    run: ["${python}", -m, http.server, "${self.http}", --bind, 127.0.0.1, --directory, "${self.dir}"]
    ports: {http: {}}
    ready: {http: "http://127.0.0.1:${self.http}/"}
    stop: {timeout_s: 1}
  quiet:
    run: ["${python}", -c, "import time\\nprint('counting', flush=True)\\nwhile True: time.sleep(0.01)"]
    ready: {log: counting}
    stop: {timeout_s: 1}
  hungry:
    run: ["${python}", HUNGRY, "${self.http}", FOLDER]
    ports: {http: {}}
    ready: {http: "http://127.0.0.1:${self.http}/"}
    stop: {timeout_s: 1}
  touchy:
    run: ["${python}", HUNGRY, "${self.http}", FOLDER, die]
    ports: {http: {}}
    ready: {http: "http://127.0.0.1:${self.http}/"}
    stop: {timeout_s: 1}
links:
  page-web: {from: suite, to: web.http, proxy: true}
endpoints:
  web.http: "http://127.0.0.1:${web.http}/"
  hungry.http: "http://127.0.0.1:${hungry.http}/"
  touchy.http: "http://127.0.0.1:${touchy.http}/"
"""
SMALL_DISK = "size=4m"


@pytest.fixture(scope="package")
def small_disk(tmp_path_factory):
    """A folder for one component's data: on a file system of 4 MiB of its own where we may mount one."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", SMALL_DISK, "fullspan-test", folder], check=False, capture_output=True
        ).returncode
    )
    yield folder
    if mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="package")
def fragile(tmp_path_factory, small_disk):
    """The stack; every test leaves it as it was."""
    folder = tmp_path_factory.mktemp("fragile")
    file = folder / "stacks" / "fragile.yaml"
    file.parent.mkdir()
    hungry = Path(__file__).with_name("hungry.py")
    file.write_text(textwrap.dedent(STACK).replace("HUNGRY", f'"{hungry}"').replace("FOLDER", f'"{small_disk}"'))
    with open_stack(str(file)) as stack:
        yield stack


@pytest.fixture
def timeline(tmp_path):
    return Timeline(tmp_path / "timeline.jsonl")


@pytest.fixture
def faults(fragile, timeline):
    with Faults(fragile, timeline) as faults:
        yield faults


class Traffic:
    """A client that asks the web server through its link, again and again, whatever happens to it."""

    def __init__(self, url, every_s=0.01):
        self.url = url
        self.every_s = every_s
        self.answers = self.failures = 0
        self._stop = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        with httpx.Client(timeout=0.5) as client:
            while not self._stop.wait(self.every_s):
                try:
                    client.get(self.url).raise_for_status()
                    self._count(answers=1)
                except httpx.HTTPError:
                    self._count(failures=1)

    def _count(self, answers=0, failures=0):
        with self._moved:
            self.answers += answers
            self.failures += failures
            self._moved.notify_all()

    def until(self, condition, seconds=10):
        """Wait until `condition(self)` holds."""
        with self._moved:
            assert self._moved.wait_for(lambda: condition(self), seconds)

    def more(self, count=3):
        """Wait for so many more answers."""
        wanted = self.answers + count
        self.until(lambda traffic: traffic.answers >= wanted)

    def more_failures(self, count=1):
        wanted = self.failures + count
        self.until(lambda traffic: traffic.failures >= wanted)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.fixture
def traffic_to():
    """Make traffic to an address, as a context manager."""
    return Traffic


@pytest.fixture
def traffic(fragile):
    with Traffic(fragile.endpoint("web.http")) as traffic:
        traffic.more()
        yield traffic
