"""`fullspan shrink` with real processes: what it finds, what it writes, and that nothing runs on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fullspan.errors import UsageError
from fullspan.faults import Planned, Schedule
from fullspan.shrink import CommandTrials, Signature
from fullspan.shrink.command import duration_s, find_schedule
from fullspan.stack.processes import wait_until
from packages.fullspan.tests.commands import environment, fullspan_here

DOUBLE = str(Path(__file__).with_name("double.py"))
QUICK = [sys.executable, "-I", "-S", DOUBLE]


@pytest.fixture
def schedule(tmp_path):
    planned = tuple(Planned(number, number / 10, 1.0, "latency", ("a-b",), {"ms": number}) for number in range(1, 7))
    return Schedule(planned, seed=4, name="storm").write(tmp_path / "bundle" / "schedules" / "storm.json")


def running(text):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_the_command_finds_the_minimum_and_writes_it(tmp_path, schedule):
    done = fullspan_here(tmp_path, "shrink", str(tmp_path / "bundle"), "--", *QUICK, "2,5", "100")
    assert done.returncode == 0, done.stderr
    assert "2 of 6 faults are left" in done.stdout
    assert "no fault of it can be left out; it failed in 10 of 10 trials at the end" in done.stdout
    assert "    FAILED" not in done.stdout
    assert "    suite.py::test_all - no loss: # records lost at row-grpc\n" in done.stdout
    assert "    #2 latency(a-b, ms=2) at 0.2 s for 1 s\n    #5 latency(a-b, ms=5) at 0.5 s for 1 s\n" in done.stdout
    smallest = schedule.with_suffix(".min.json")
    assert f"FULLSPAN_SCHEDULE={smallest} plays it again." in done.stdout
    assert Schedule.read(smallest) == Schedule.read(schedule).only({2, 5})
    assert "the whole schedule, trial 8 of 8: 8 failed" in done.stderr


def test_a_search_without_enough_time_is_inconclusive(tmp_path, schedule):
    done = fullspan_here(
        tmp_path, "shrink", str(schedule), "--budget", "1s", "--out", "small.json", "--", *QUICK, "1,2,3,4,5,6", "100"
    )
    assert done.returncode == 2
    assert "the time was over before all had been tried" in done.stdout
    assert len(Schedule.read(tmp_path / "small.json").faults) == 6


def test_a_schedule_that_does_not_fail_is_inconclusive(tmp_path, schedule):
    done = fullspan_here(tmp_path, "shrink", str(schedule), "--", *QUICK, "9", "100")
    assert done.returncode == 2
    assert "did not fail in 8 trials" in done.stderr
    assert not schedule.with_suffix(".min.json").exists()


def test_a_failure_without_faults_is_told(tmp_path, schedule):
    done = fullspan_here(tmp_path, "shrink", str(schedule), "--", *QUICK, "", "100")
    assert done.returncode == 0
    assert "It fails without any fault, so no fault is the cause." in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["FILE", "--"], "Which command plays the schedule?"),
        (["FILE", "--budget", "soon", "--", "true"], "'soon' is no length of time. Write for example 90s"),
        (["FILE", "--signature", "(", "--", "true"], "The signature '(' is no regular expression"),
        (["FILE", "--", "there-is-no-such-command"], "'there-is-no-such-command' cannot be run: No such file"),
        (["FOLDER", "--", "true"], "holds no schedules. They are written by tests that use `faults.play`"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path, schedule, words, said):
    (tmp_path / "empty").mkdir()
    places = {"FILE": str(schedule), "FOLDER": str(tmp_path / "empty")}
    done = fullspan_here(tmp_path, "shrink", *(places.get(word, word) for word in words))
    assert (done.returncode, said in done.stderr) == (3, True), done.stderr


def trials_of(schedule, *words, most_s=30.0, pattern=None):
    return CommandTrials(Schedule.read(schedule), [*QUICK, *words], Signature(pattern), most_s)


def test_a_trial_that_takes_too_long_is_ended_with_all_its_processes(schedule):
    trials = trials_of(schedule, "97531", "0", "child", most_s=0.3)
    assert trials([1]) == "took longer than 0.3 s"
    assert wait_until(lambda: not running("97531"), 5)


def test_a_command_that_cannot_be_set_up_ends_the_search(tmp_path, schedule):
    script = tmp_path / "setup.sh"
    script.write_text("echo there is no stack; exit 3\n")
    trials = CommandTrials(Schedule.read(schedule), ["sh", str(script)], Signature(), 30.0)
    with pytest.raises(UsageError, match=r"could not be set up \(exit code 3\); it last said:\n    there is no stack"):
        trials([1])


@pytest.mark.parametrize(("code", "signature"), [(0, None), (2, None), (1, "broken # times"), (4, "broken # times")])
def test_exit_codes(tmp_path, schedule, code, signature):
    trials = CommandTrials(
        Schedule.read(schedule), ["sh", "-c", f"echo broken 17 times; exit {code}"], Signature(), 30.0
    )  # fmt: skip
    assert trials([1]) == signature


def test_ctrl_c_ends_the_trial_too(tmp_path, schedule):
    search = subprocess.Popen(
        [sys.executable, "-m", "fullspan", "shrink", str(schedule), "--", *QUICK, "86420", "0", "hang"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert wait_until(lambda: len(running("86420")) == 2, 20, 0.05)
        search.send_signal(signal.SIGINT)
        assert search.wait(20) == 130
        assert "interrupted" in search.communicate()[1]
        assert wait_until(lambda: not running("86420"), 5)
    finally:
        search.kill()
        search.communicate()
        for pid in running("86420"):
            os.kill(pid, signal.SIGKILL)


def test_signatures_leave_out_what_differs_from_run_to_run():
    one = "FAILED a/test_b.py::test_c[3] - no loss: 12 of 3,000 lost at /tmp/x-1/file in 0.53 s\nFAILED z\nnoise"
    other = "later\nFAILED z\nFAILED a/test_b.py::test_c[3] - no loss: 7 of 3,100 lost at /tmp/y/file in 9 s"
    assert Signature().of(one) == Signature().of(other)
    assert Signature().of(one) != Signature().of(one.replace("no loss", "order"))
    assert Signature().of("one\nthe last 0xdeadbeef\n") == "the last #"
    assert Signature(r"first bad hop: (\w+)").of("first bad hop: row\nfirst bad hop: block, 1") == "block\nrow"
    assert Signature("order").of("no loss") is None


def test_lengths_of_time_and_schedules_of_bundles(tmp_path, schedule):
    assert [duration_s(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    for text in ("0", "-1s", "m", "1d", ""):
        with pytest.raises(UsageError, match="is no length of time"):
            duration_s(text)
    assert find_schedule(schedule) == find_schedule(tmp_path / "bundle") == schedule
    schedule.with_name("other.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds 2 schedules\. Name one of: .*other.json"):
        find_schedule(tmp_path / "bundle")
