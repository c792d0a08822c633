"""`--monitor` as a person uses it: a real stack that logs errors and grows, and what the run says of each test."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fullspan.bundle import Bundle, TestRecord
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import environment, fullspan_here

WEB = """
import http.server, os, socketserver, sys
kept = []
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        what, _, word = self.path[1:].partition("/")
        if what == "say":
            word, _, times = word.partition("/")
            for _ in range(int(times or 1)):
                print(word.replace("+", " "), "with", os.environ["WORD"])
            sys.stdout.flush()
        if what == "grow":
            kept.append(b"x" * int(word))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STACK = """
schema: fullspan/stack/1
name: small
secrets: {word: random}
components:
  web:
    run: ["${python}", "${project}/web.py", "${self.http}"]
    env: {WORD: "${secret.word}"}
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
    stop: {timeout_s: 1}
    logs: {errors: ["queue is full"], allow: ["^ERROR: cache cold"]}
    resources: {memory_mb: 200, handles: 500}
endpoints: {web.http: "http://127.0.0.1:${web.http}"}
profiles: {calm: }
"""
LAB = "schema: fullspan/environment/1\nprofile: calm\nconstraints: {channels: 7}\n"
SUITE = """
import urllib.request

import pytest
from fullspan.faults import Hang


def ask(stack, what):
    with urllib.request.urlopen(stack.endpoint("web.http") + what, timeout=10) as answer:
        assert answer.status == 200


def test_clean(stack, environment):
    assert (environment.name, environment.constraints.channels, stack.profile) == ("lab", 7, "calm")
    ask(stack, "/say/all+is+well")
    ask(stack, "/say/ERROR:+cache+cold")


def test_error(stack):
    ask(stack, "/say/ERROR:+the+disk+is+full")


def test_own_error(stack):
    ask(stack, "/say/the+queue+is+full")


@pytest.mark.allow_log_errors("the disk is (full|slow)")
def test_allowed(stack):
    ask(stack, "/say/ERROR:+the+disk+is+slow")


def test_broken_on_purpose(stack, faults):
    with faults.active(Hang("web")):
        pass
    ask(stack, "/say/ERROR:+somebody+stopped+me")


def test_fails_by_itself(stack):
    ask(stack, "/say/ERROR:+and+this+is+why")
    assert stack is None, "the test's own reason"


def test_floods(stack):
    ask(stack, "/say/ERROR:+flood/30000")


def test_grows(stack):
    ask(stack, "/grow/250000000")
"""
CONFIG = '[tool.pytest.ini_options]\naddopts = "-p no:schemathesis -p no:hypothesispytest --strict-markers"\n'


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    project = tmp_path_factory.mktemp("monitored")
    files = {"stacks/small.yaml": STACK, "suites/small/test_small.py": SUITE, "web.py": WEB, "pyproject.toml": CONFIG}
    files["environments/lab.yaml"] = LAB
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "fullspan", "run", "small", "--monitor", "--env", "lab"],
        cwd=project, env=environment(FULLSPAN_ENV="no-such"), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "web logged an error: ERROR: the disk is full with [redacted]" in done.stdout
    assert re.search(r"\b[0-9a-f]{32}\b", done.stdout + done.stderr) is None, "the secret is printed nowhere"
    [folder] = (project / "var" / "bundles").iterdir()
    return Bundle(folder)


@pytest.fixture
def tests(bundle: Bundle) -> dict[str, TestRecord]:
    return {test.nodeid.rpartition("::")[2]: test for test in bundle.results().tests}


def test_what_was_logged_is_the_tests_result_unless_it_is_excused(tests):
    assert {name: test.verdict for name, test in tests.items()} == {
        "test_clean": Verdict.PASS,
        "test_error": Verdict.FAIL,
        "test_own_error": Verdict.FAIL,
        "test_allowed": Verdict.PASS,
        "test_broken_on_purpose": Verdict.PASS,
        "test_fails_by_itself": Verdict.FAIL,
        "test_floods": Verdict.FAIL,
        "test_grows": Verdict.FAIL,
    }
    expected = "AssertionError: logs: 1 errors in 1 lines of 1 logs: web: ERROR: the disk is full with [redacted]"
    assert tests["test_error"].reason == expected
    assert re.search(r"resources: web used (2[5-9]\d|3\d\d).* MB memory, and may 200 MB$", tests["test_grows"].reason)
    assert "the test's own reason" in tests["test_fails_by_itself"].reason
    summaries = [finding.summary for finding in tests["test_clean"].findings]
    assert summaries[0] == "0 errors in 2 lines of 1 logs"
    assert summaries[1].startswith("0 of 2 limits broken in ")


def test_every_test_has_its_slice_of_the_logs(bundle: Bundle, tests):
    for name, words in (("test_clean", "all is well"), ("test_broken_on_purpose", "somebody stopped me")):
        text = (bundle.path / tests[name].logs["web"]).read_text()
        assert words in text
        assert "disk" not in text
        assert "with [redacted]" in text
    assert tests["test_grows"].logs == {}
    assert [error.line for error in tests["test_broken_on_purpose"].log_errors] == [
        "ERROR: somebody stopped me with [redacted]"
    ]
    [error] = tests["test_error"].log_errors
    assert tests["test_error"].began_mono_ns < error.mono_ns < tests["test_error"].ended_mono_ns
    assert "ERROR: the disk is full" in (bundle.path / "logs" / "web.log").read_text()


def test_resources_are_on_the_runs_axis_of_time(bundle: Bundle, tests):
    rows = [json.loads(line) for line in (bundle.path / "resources.jsonl").read_text().splitlines()]
    assert {row["component"] for row in rows} == {"web"}
    run = bundle.run()
    assert (run.environment, run.profile) == ("lab", "calm")
    assert all(run.began_mono_ns < row["mono_ns"] for row in rows)
    assert all(row["processes"] == 1 and row["threads"] >= 1 and row["handles"] > 3 for row in rows)
    assert tests["test_grows"].peaks["web"]["memory_mb"] > 250 > tests["test_clean"].peaks["web"]["memory_mb"]
    events = [event for event in read_timeline(bundle.timeline.path) if event.kind == "log.error"]
    more = [event for event in events if "more errors at the same time" in event.what]
    assert more
    assert len([event for event in events if "flood" not in event.what]) == 5 + len(more)
    assert sum("flood" in event.what for event in events) <= 20 * (len(more) + 2), "many at once are told in one line"
    assert len(tests["test_floods"].log_errors) == 100
    assert "at least 10,000 errors in 30,000 lines" in tests["test_floods"].reason
    assert {event.attributes["component"] for event in events} == {"web"}


def test_a_pattern_that_is_none_is_named_before_anything_starts(tmp_path: Path):
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "small.yaml").write_text(STACK.replace("queue is full", "queue (is full"))
    done = fullspan_here(tmp_path, "up", "small")
    assert done.returncode == 3
    assert "at components.web.logs.errors: 'queue (is full' is no regular expression" in done.stderr
