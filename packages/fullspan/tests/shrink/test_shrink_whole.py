"""From a storm on a real stack to the one fault of it that a test does not survive: pytest, bundle, shrink."""

import json
import sys
import textwrap

import pytest

from fullspan.faults import Schedule
from fullspan.stack.bring_up import open_stack
from packages.fullspan.tests.commands import fullspan_here

STACK = """
schema: fullspan/stack/1
name: stormy
components:
  web:
    run: ["${python}", -m, http.server, "${self.http}", --bind, 127.0.0.1, --directory, "${self.dir}"]
    ports: {http: {}}
    ready: {http: "http://127.0.0.1:${self.http}/"}
    stop: {timeout_s: 1}
  quiet:
    run: ["${python}", -c, "import time\\nprint('counting', flush=True)\\nwhile True: time.sleep(0.05)"]
    ready: {log: counting}
    stop: {timeout_s: 1}
links:
  page-web: {from: suite, to: web.http, proxy: true}
endpoints:
  web.http: "http://127.0.0.1:${web.http}/"
"""
TEST = """
import httpx
import pytest
from fullspan.faults import Planned, Schedule

LINK = ("page-web",)
STORM = Schedule(
    tuple(
        Planned(number, 0.05 * number, 0.4, kind, targets, parameters)
        for number, (kind, targets, parameters) in enumerate(
            [
                ("latency", LINK, {"ms": 5}),
                ("hang", ("quiet",), {}),
                ("reset", LINK, {}),
                ("jitter", LINK, {"ms": 5}),
            ],
            start=1,
        )
    ),
    name="storm",
)


def test_the_page_is_always_there(stack, faults):
    \"\"\"A client that cannot stand a reset, and everything else.\"\"\"
    failed = 0
    with httpx.Client(base_url=stack.endpoint("web.http"), timeout=5) as client, faults.play(STORM) as play:
        while play.going:
            try:
                client.get("/")
            except httpx.TransportError:
                failed += 1
    if failed:
        pytest.fail(f"{failed} requests failed")
"""


@pytest.mark.soak
@pytest.mark.timeout(1000)
def test_of_a_storm_the_reset_is_left(tmp_path):
    file = tmp_path / "stacks" / "stormy.yaml"
    file.parent.mkdir()
    file.write_text(textwrap.dedent(STACK))
    suite = tmp_path / "test_storm.py"
    suite.write_text(TEST)
    with open_stack(str(file)) as stack:
        state = str(stack.var / "run" / stack.name / "state.json")
        bundle = tmp_path / "bundle"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite), "--stack", state]
        planned = Schedule.from_json(json.loads(json.dumps(_storm(suite).to_json())))
        planned.write(bundle / "schedules" / "storm.json")
        done = fullspan_here(tmp_path, "shrink", str(bundle), "--budget", "15m", "--", *command)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 faults are left" in done.stdout
    assert "    #3 reset(page-web) at 0.15 s for 0.4 s\n" in done.stdout
    assert "test_the_page_is_always_there - Failed: # requests failed" in done.stdout


def _storm(suite):
    space = {}
    exec(suite.read_text(), space)  # noqa: S102 - it is ours
    return space["STORM"]
