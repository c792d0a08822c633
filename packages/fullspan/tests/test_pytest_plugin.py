"""The pytest plugin as a person uses it: in one process, in several, repeated, with a seed."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullspan.bundle import Bundle
from fullspan.errors import Inconclusive
from fullspan.stack import Stack, open_stack
from fullspan.turns import Turns
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import environment

STACK = """
schema: fullspan/stack/1
name: small
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
    stop: {timeout_s: 1}
endpoints: {web.http: "http://127.0.0.1:${web.http}"}
profiles: {other: }
"""
SUITE = '''
import os
import signal
import time
import urllib.request

import pytest
from fullspan.errors import Inconclusive
from fullspan.faults import Hang
from fullspan.invariants import Finding
from fullspan.ledger import Moment, Observation
from fullspan.verdict import Verdict


def ask(stack, timeout_s=10.0):
    with urllib.request.urlopen(stack.endpoint("web.http"), timeout=timeout_s) as answer:
        return answer.status


@pytest.mark.parametrize("number", range(6))
def test_answers_fast(stack, evidence, ledger, number):
    """It would not while another process lets the server hang."""
    began = time.monotonic()
    assert ask(stack) == 200
    took = time.monotonic() - began
    evidence.attach("said.txt", f"number {number}")
    now = Moment.now()
    ledger.observe(Observation("web", str(number), number, now.mono_ns, now.mono_ns, now.wall_ns))
    evidence.finding(Finding("fast", Verdict.PASS if took < 0.9 else Verdict.FAIL, f"took {took:.2f} s", 1))
    evidence.require()


@pytest.mark.parametrize("number", range(2))
def test_breaks(stack, faults, evidence, number):
    with faults.active(Hang("web")), pytest.raises(TimeoutError):
        ask(stack, 1.0)
    assert ask(stack) == 200
    evidence.finding(Finding("silent", Verdict.PASS, "it was silent", 1))
    evidence.require()


def test_unsure(evidence):
    raise Inconclusive("nothing was in flight")


def test_fails(evidence):
    assert ask is None, "as it must"


def test_dies(stack):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.profile("other")
def test_for_another_profile(stack):
    raise AssertionError("it must not run")


def test_seed(seed):
    print("SEED", seed)


@pytest.mark.repeat(2)
def test_twice(fullspan_round, seed):
    assert fullspan_round in (1, 2)
    print("SEED", seed)
'''
FILE = "suites/test_small.py"
CONFIG = '[tool.pytest.ini_options]\naddopts = "-p no:schemathesis -p no:hypothesispytest --strict-markers"\n'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack in a project with a suite."""
    project = tmp_path_factory.mktemp("plugin")
    files = {"stacks/small.yaml": STACK, FILE: SUITE, "pyproject.toml": CONFIG}
    for name, text in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("FULLSPAN_VAR", raising=False)
        with open_stack(project / "stacks" / "small.yaml") as stack:
            yield stack


def run(stack: Stack, *options: str, project: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", FILE, "-p", "no:cacheprovider", "--stack", "small", *options],
        cwd=project or stack.project, env=environment(), capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip


def results(folder: Path) -> dict[str, Verdict]:
    return {test.nodeid.rpartition("::")[2]: test.verdict for test in Bundle(folder).results().tests}


def test_several_processes_give_one_bundle(small: Stack, tmp_path: Path):
    """Every result is there once, of the process that was killed too; who breaks the link has it alone."""
    done = run(small, "-n", "2", "--dist", "load", "--bundle", str(tmp_path), "--max-worker-restart", "4")
    found = results(tmp_path)
    assert found == {
        **{f"test_answers_fast[{number}]": Verdict.PASS for number in range(6)},
        **{f"test_breaks[{number}]": Verdict.PASS for number in range(2)},
        "test_unsure": Verdict.INCONCLUSIVE,
        "test_fails": Verdict.FAIL,
        "test_dies": Verdict.FAIL,
        "test_for_another_profile": Verdict.INCONCLUSIVE,
        "test_seed": Verdict.PASS,
        "test_twice[round1of2]": Verdict.PASS,
        "test_twice[round2of2]": Verdict.PASS,
    }, done.stdout
    assert done.returncode == 1
    assert "nothing was in flight" in done.stdout
    tests = {test.nodeid.rpartition("::")[2]: test for test in Bundle(tmp_path).results().tests}
    assert re.search(r"worker 'gw\d' crashed", tests["test_dies"].reason)
    assert "for the profile other, and the stack has none" in tests["test_for_another_profile"].reason
    assert [fault.verdict for number in range(2) for fault in tests[f"test_breaks[{number}]"].faults] == [
        Verdict.PASS
    ] * 2
    for number in range(6):
        [kept] = tests[f"test_answers_fast[{number}]"].attachments
        assert (tmp_path / kept.path).read_text() == f"number {number}"
    kept = [path for path in (tmp_path / "observations").iterdir() if "answers_fast" in path.name]
    assert len(kept) == 6


@pytest.mark.soak
def test_a_run_that_can_only_not_tell_says_so_from_several_processes(small: Stack, tmp_path: Path):
    done = run(small, "-n", "2", "-k", "unsure or seed", "--bundle", str(tmp_path))
    assert done.returncode == 2, done.stdout
    assert results(tmp_path) == {"test_unsure": Verdict.INCONCLUSIVE, "test_seed": Verdict.PASS}


def seeds(stack: Stack, *options: str) -> list[str]:
    done = run(stack, "-s", "-k", "seed or twice", *options)
    assert done.returncode == 0, done.stdout
    return re.findall(r"SEED (\d+)", done.stdout)


def test_a_seed_belongs_to_a_test_and_its_round(small: Stack, tmp_path: Path):
    first = seeds(small, "--seed", "7", "--repeat", "3", "--bundle", str(tmp_path))
    assert len(first) == len(set(first)) == 5, "three rounds of the one, two of the other, which says so itself"
    assert list(results(tmp_path)) == [f"test_seed[round{n}of3]" for n in (1, 2, 3)] + [
        f"test_twice[round{n}of2]" for n in (1, 2)
    ]


@pytest.mark.soak
def test_another_seed_is_another_seed_for_every_test(small: Stack):
    all_tests = seeds(small, "--seed", "7")
    assert seeds(small, "--seed", "7", "--deselect", f"{FILE}::test_seed") == all_tests[1:], (
        "what ran before is no matter"
    )
    assert set(seeds(small, "--seed", "8")).isdisjoint(seeds(small, "--seed", "9"))


def test_pytest_brings_the_stack_up_itself(small: Stack, tmp_path: Path):
    """Only one stack of a name is up at once, so it is one of another project."""
    for name in (FILE, "pyproject.toml", "stacks/small.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(small.project / name, tmp_path / name)
    done = run(small, "-n", "1", "-k", "profile", "--up", "--profile", "other", project=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fullspan: stack small is up after" in done.stdout
    assert "AssertionError: it must not run" in done.stdout, "with its profile the test runs"
    assert sorted(path.name for path in (tmp_path / "var" / "run" / "small").iterdir()) == [
        "events.jsonl", "lock", "logs", "supervisor.log", "turns",
    ]  # fmt: skip


@pytest.mark.soak
def test_a_stack_that_does_not_come_up_is_no_result_of_tests(small: Stack, tmp_path: Path):
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "small.yaml").write_text(STACK.replace("http.server", "no_such_module"))
    wrong = run(small, "--up", project=tmp_path)
    assert wrong.returncode == 3
    assert "No module named no_such_module" in wrong.stdout + wrong.stderr
    assert run(small, "--profile", "other").returncode == 3


@pytest.mark.soak
def test_no_number_of_times_is_refused(small: Stack):
    done = run(small, "--repeat", "0")
    assert done.returncode == 4
    assert "0 is no number of times; write 1 or more" in done.stderr


def test_who_wants_to_be_alone_waits_for_all_and_is_not_overtaken(tmp_path: Path):
    turns = Turns(tmp_path)
    seen: list[str] = []
    waiting = threading.Event()

    def alone() -> None:
        waiting.set()
        with Turns(tmp_path).taken(alone=True, deadline_s=30):
            seen.append("alone")

    def late() -> None:
        with Turns(tmp_path).taken(alone=False, deadline_s=30):
            seen.append("late")

    threads = [threading.Thread(target=alone), threading.Thread(target=late)]
    with turns.taken(alone=False, deadline_s=1), turns.taken(alone=False, deadline_s=1):
        threads[0].start()
        waiting.wait()
        assert _held(tmp_path / "gate")
        threads[1].start()
        assert seen == []
        with (
            pytest.raises(Inconclusive, match=r"did not leave the stack within 0\.1 s"),
            turns.taken(alone=False, deadline_s=0.1),
        ):
            pass
    for thread in threads:
        thread.join(30)
    assert seen == ["alone", "late"]


def _held(lock: Path) -> bool:
    """Wait until somebody has the lock, as /proc tells."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        inode = f":{lock.stat().st_ino} " if lock.exists() else "none"
        lines = [line for line in Path("/proc/locks").read_text().splitlines() if inode in line]
        if any("->" not in line for line in lines):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.soak
def test_results_are_whole_at_any_time(small: Stack, tmp_path: Path):
    """A reader never sees half a file, while tests are being added."""
    done = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not done.wait(0.005):
            path = tmp_path / "results.json"
            if path.exists():
                try:
                    json.loads(path.read_text())
                except ValueError as error:
                    wrong.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        run(small, "-k", "seed", "--repeat", "30", "--bundle", str(tmp_path))
    finally:
        done.set()
        reader.join()
    assert wrong == []
    assert len(results(tmp_path)) == 30
