"""`fullspan run` as a person runs it: a small real stack, real tests on it, and every way in which it can end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullspan.bundle import Bundle
from fullspan.errors import UsageError
from fullspan.run import Plan, find_suite, judge, read_expected, summarise
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import Done, environment, fullspan, fullspan_here

STACK = """
schema: fullspan/stack/1
name: small
secrets: {word: random}
components:
  web:
    driver: process
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    env: {WORD: "${secret.word}"}
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
    stop: {timeout_s: 1}
endpoints: {web.http: "http://127.0.0.1:${web.http}"}
"""
SUITE = """
import os
import time
import urllib.request
from pathlib import Path

import pytest
from fullspan.errors import Inconclusive
from fullspan.invariants import Finding
from fullspan.verdict import Verdict


@pytest.mark.good
def test_good(stack, evidence):
    evidence.say("asking the web server")
    with urllib.request.urlopen(stack.endpoint("web.http")) as answer:
        evidence.figure("status", answer.status)
    evidence.attach("page.txt", f"the word is {stack.secret_values()[0]}")
    evidence.figures("latency", [1.0, 2.0, 9.0], "ms")
    evidence.finding(Finding("answers", Verdict.PASS, "1 answer of 1", 1))
    evidence.require()


@pytest.mark.bad
def test_bad(evidence):
    evidence.finding(Finding("answers", Verdict.FAIL, "0 answers of 1", 1))
    evidence.require()


@pytest.mark.unsure
def test_unsure(evidence):
    raise Inconclusive("nothing was in flight")


@pytest.mark.nothing
def test_nothing_found_out(evidence):
    evidence.require()


@pytest.mark.skipped
def test_skipped():
    pytest.skip("no time")


@pytest.mark.slow
def test_slow(stack, evidence):
    evidence.say("the slow test runs")
    time.sleep(60)
"""
IDLE = """
schema: fullspan/stack/1
name: small
components:
  idle:
    run: [sh, -c, "echo on; exec sleep 600"]
    ready: {log: "^on", timeout_s: 60}
    stop: {timeout_s: 1}
"""
CONFIG = """
[tool.pytest.ini_options]
addopts = "-p no:schemathesis -p no:hypothesispytest"
markers = ["good", "bad", "unsure", "nothing", "skipped", "slow"]
"""
SUITE_FILE = "suites/small/test_small.py"
GONE_WITHIN_S = 20.0


def write_project(path: Path) -> Path:
    for name, text in {
        "stacks/small.yaml": STACK,
        SUITE_FILE: SUITE,
        "pyproject.toml": CONFIG,
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "fullspan", "run", "small", *options]


def bundle_of(project: Path) -> Bundle:
    (path,) = (project / "var" / "bundles").iterdir()
    return Bundle.open(path)


def processes_of(project: Path) -> list[str]:
    """Return the processes that name the project in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            arguments, variables = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(project) in arguments or os.fsencode(project) in variables:
            found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
    return found


def wait_until_gone(project: Path) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := processes_of(project):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Done]]:
    """A run that passes and leaves its stack up."""
    project = write_project(tmp_path_factory.mktemp("kept"))
    try:
        yield project, fullspan(project, "run", "small", "-m", "good", "--seed", "7", "--keep")
    finally:
        down = fullspan_here(project, "down", "small")
    assert down.returncode == 0, down.stderr
    wait_until_gone(project)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A run with a result of every kind, one of them expected to be inconclusive."""
    project = write_project(tmp_path_factory.mktemp("mixed"))
    (project / "expected.txt").write_text(f"# known\n{SUITE_FILE}::test_unsure: no feed on this machine\n")
    return project, fullspan(project, "run", "small", "-m", "not slow", "--expect-inconclusive", "expected.txt")


def test_pass_has_verdict_figures_report_and_no_secret(kept):
    project, done = kept
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("PASS - 1 passed")
    assert "asking the web server" in done.stdout
    assert re.search(r"latency, median \(n = 3\) +2\.0 ms", done.stdout)
    bundle = bundle_of(project)
    assert f"report: {bundle.report.relative_to(project)}" in done.stdout
    assert "1 answer of 1" in bundle.report.read_text()
    record, (test,) = bundle.run(), bundle.results().tests
    assert (record.verdict, record.seed, record.mark) == (Verdict.PASS, 7, "good")
    assert [figure.value for figure in test.figures] == [200, 2.0, 9.0, 9.0]
    assert (bundle.path / test.attachments[0].path).read_text() == "the word is [redacted]"
    assert "GET / HTTP" in (bundle.path / "logs" / "web.log").read_text()
    said = [json.loads(line)["what"] for line in bundle.timeline.path.read_text().splitlines()]
    assert said.index("web: started, pid " + next(w for w in said if "web: started" in w).split()[-1]) < said.index(
        "asking the web server"
    )


def test_keep_leaves_the_stack_up(kept):
    project, done = kept
    assert re.search(r"web.http: http://127\.0\.0\.1:\d+", done.stdout)
    assert json.loads(fullspan_here(project, "status", "small", "--json").stdout)["phase"] == "ready"


def test_all_progress_counts_from_the_begin_of_the_run(kept):
    """The stack's lines and those of the tests, which another process prints, stand among each other."""
    project, done = kept
    bundle = bundle_of(project)
    record, events = bundle.run(), read_timeline(bundle.timeline.path)

    def seconds(what: str) -> float:
        mono_ns = next(event.mono_ns for event in events if event.what == what)
        return round((mono_ns - record.began_mono_ns) / 1e9, 1)

    lines = re.findall(r"^ *(\d+\.\d) s  (.+)$", done.stdout + done.stderr, re.M)
    printed = {what: float(at) for at, what in reversed(lines)}  # of what was said twice, the first
    named = r"small-good begins with seed 7; seconds count from here, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    first = next(iter(re.finditer(r"^ *\d+\.\d s  (.+)$", done.stderr, re.M)))
    assert re.fullmatch(named, first[1]), first[0]
    stack = [event.what for event in events if event.kind.startswith(("stack", "component")) and event.what in printed]
    assert len(stack) >= 3
    assert {what: printed[what] for what in stack} == {what: seconds(what) for what in stack}
    assert seconds("the suite starts") <= printed["asking the web server"] <= seconds("the suite has ended")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "tpyo"], "has no profile 'tpyo'"),
        (["--env", "nowhere"], "no environment 'nowhere'"),
        (["--stack", "smal"], "no stack 'smal'"),
    ],
)
def test_a_mistake_leaves_no_bundle_that_counts_as_the_newest(project, words, said):
    done = fullspan_here(project, "run", "small", "-m", "good", *words)
    assert done.returncode == 3
    assert said in done.stderr
    assert not (project / "var").exists()


def test_a_failure_is_the_verdict_and_nothing_is_left(mixed):
    project, done = mixed
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stdout.rstrip().splitlines()[-1]
    counted = "FAIL - 1 passed, 1 failed, 2 inconclusive, 1 inconclusive as expected; "
    assert last.startswith(f"{counted}test_bad: AssertionError: answers: 0 answers of 1; test_nothing_found_out: "), (
        last
    )
    assert bundle_of(project).run().verdict is Verdict.FAIL
    assert processes_of(project) == []


@pytest.mark.parametrize(
    ("names", "verdict", "said"),
    [
        ("good", "pass", "1 passed"),
        ("good unsure", "pass", "1 passed, 1 inconclusive as expected"),
        (
            "good bad unsure",
            "fail",
            "1 passed, 1 failed, 1 inconclusive as expected; test_bad: AssertionError: answers: ",
        ),
        ("nothing_found_out skipped", "inconclusive", "2 inconclusive; test_nothing_found_out: The test found nothing"),
        ("unsure skipped", "inconclusive", "1 inconclusive, 1 inconclusive as expected; test_skipped: skipped: "),
        ("unsure", "inconclusive", "no result, 1 inconclusive as expected"),
    ],
)
def test_what_is_no_pass_is_not_called_one(mixed, names, verdict, said):
    """What the run recorded is judged again, some of it at a time."""
    record = bundle_of(mixed[0]).run()
    tests = [
        test for test in bundle_of(mixed[0]).results().tests if test.nodeid.partition("::test_")[2] in names.split()
    ]
    ends = [1 if test.verdict is Verdict.FAIL else 2 for test in tests if test.verdict is not Verdict.PASS]
    found, summary = judge(plan(record.expected_inconclusive), min(ends, default=0), tests)
    assert (found, summary[: len(said)]) == (Verdict(verdict), said)


def plan(expected: dict[str, str]) -> Plan:
    return Plan(Path("suites/small"), "small", None, None, 1, False, False, expected, ())


@pytest.mark.parametrize(("returned", "words"), [(5, "No test of small was chosen"), (3, "pytest ended with 3 before")])
def test_an_end_without_results_is_a_mistake(returned, words):
    with pytest.raises(UsageError, match=words):
        judge(plan({}), returned, [])


@pytest.mark.parametrize(("names", "returned"), [("good", 1), ("good", 2), ("good unsure", 1), ("good bad", 2)])
def test_an_end_that_no_test_explains_is_no_pass(mixed, names, returned):
    """Pytest was ended in the middle, by its own time limit for one: what passed before says nothing of the rest."""
    tests = [
        test for test in bundle_of(mixed[0]).results().tests if test.nodeid.partition("::test_")[2] in names.split()
    ]
    with pytest.raises(UsageError, match=f"pytest ended with {returned} after {len(tests)} tests"):
        judge(plan({}), returned, tests)


@pytest.mark.soak
def test_inconclusive_has_an_exit_code_of_its_own(project):
    done = fullspan(project, "run", "small", "-m", "nothing or skipped")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("INCONCLUSIVE - 2 inconclusive; test_nothing_found_out: ")
    assert bundle_of(project).run().verdict is Verdict.INCONCLUSIVE


def test_no_test_chosen_is_a_mistake_not_a_pass(project):
    (project / "stacks" / "small.yaml").write_text(IDLE)
    done = fullspan_here(project, "run", "small", "-m", "nothing and good")
    assert done.returncode == 3
    assert "No test of small-nothing and good was chosen" in done.stderr
    assert "so nothing was proven" in (bundle_of(project).run().problem or "")
    assert processes_of(project) == []


def test_component_that_cannot_start_is_a_sentence_and_no_residue(project):
    (project / "stacks" / "small.yaml").write_text(
        IDLE.replace('sh, -c, "echo on; exec sleep 600"', '"${python}", -m, no_such_module')
    )
    done = fullspan_here(project, "run", "small", "-m", "good")
    assert done.returncode == 3
    assert "No module named no_such_module" in done.stderr
    assert bundle_of(project).run().problem is not None
    assert processes_of(project) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 130, marks=pytest.mark.soak), (signal.SIGKILL, -9)],
)
def test_however_it_ends_nothing_is_left(project, number, code):
    with subprocess.Popen(
        command("-m", "slow"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "the slow test runs" in line:
                break
        assert "the slow test runs" in said
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(GONE_WITHIN_S) == code
    wait_until_gone(project)
    assert not (project / "var" / "run" / "small" / "state.json").exists()


def test_unknown_suite_names_the_nearest(project, monkeypatch):
    monkeypatch.chdir(project)
    assert find_suite("small") == project / "suites" / "small"
    with pytest.raises(UsageError, match=r"no suite 'smal'.*small"):
        find_suite("smal")


def test_expected_list_needs_reasons(tmp_path):
    path = tmp_path / "expected.txt"
    path.write_text("\na::b: because\n")
    assert read_expected(path) == {"a::b": "because"}
    path.write_text("a::b\n")
    with pytest.raises(UsageError, match="line 1: a reason is missing"):
        read_expected(path)


def test_summary_of_nothing_says_so():
    assert summarise([], 2) == "no result, 2 inconclusive as expected"
