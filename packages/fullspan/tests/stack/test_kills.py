"""kill -9 of the command, of the supervisor and of both, at any moment: nothing runs on, nothing is left.

FULLSPAN_SOAK_KILLS=200 runs so many trials instead of a handful, FULLSPAN_SOAK_SEED other moments.
"""

import os
import signal
from pathlib import Path

import pytest

from fullspan.stack.processes import wait_until
from packages.fullspan.tests.commands import fullspan_here
from packages.fullspan.tests.stack.kills import (
    GONE_WITHIN_S,
    READY_WITHIN_S,
    STUBBORN,
    Phase,
    Victim,
    answers,
    kill_at,
    processes_of,
    spread,
    up,
)

COUNT = int(os.environ.get("FULLSPAN_SOAK_KILLS", "3"))
SOAK = pytest.mark.soak
SEED = int(os.environ.get("FULLSPAN_SOAK_SEED", "1"))

BROKER = """
secrets: {password: random}
components:
  rabbitmq:
    run: ["${python}", -m, fullspan.stack.services.rabbitmq, --folder, "${self.dir}",
          --amqp-port, "${self.amqp}", --management-port, "${self.management}"]
    env: {FULLSPAN_RABBITMQ_USER: me, FULLSPAN_RABBITMQ_PASSWORD: "${secret.password}"}
    ports: {amqp: , management: }
    ready: {amqp: "amqp://me:${secret.password}@127.0.0.1:${self.amqp}/", timeout_s: 90}
    stop: {timeout_s: 3}
"""


@pytest.mark.parametrize(("victim", "phase", "delay_s"), spread(COUNT, SEED, ["command", "supervisor", "both"]))
def test_nothing_is_left(write_stack, tmp_path: Path, victim: Victim, phase: Phase, delay_s: float):
    write_stack(STUBBORN)
    _, left = kill_at(tmp_path, victim, phase, delay_s)
    assert left == []


@pytest.mark.soak
@pytest.mark.parametrize(("phase", "delay_s"), [("bring-up", 3.0), ("tear-down", 0.7)])
def test_nothing_is_left_of_a_broker(write_stack, tmp_path: Path, phase: Phase, delay_s: float):
    write_stack(BROKER)
    killed, left = kill_at(tmp_path, "both", phase, delay_s)
    assert "supervisor" in killed
    assert left == []


def test_a_killed_supervisor_is_reported_and_nothing_is_left_of_its_broker(write_stack, tmp_path: Path):
    write_stack(BROKER)
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        assert trial.kill("supervisor") == ["supervisor"]
        assert trial.process.wait(GONE_WITHIN_S) == 3
        assert "was killed; its janitor has taken the stack down" in trial.output()
        assert trial.left_over() == []
        assert "killed " in (trial.state_file.parent / "events.jsonl").read_text()


def test_a_killed_janitor_is_replaced(write_stack, tmp_path: Path):
    write_stack(STUBBORN)
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        [first] = trial.pids("fullspan.stack.janitor")
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: trial.pids("fullspan.stack.janitor") not in ([], [first]), GONE_WITHIN_S)
        trial.kill("both")
        assert trial.left_over() == []


def test_what_is_left_when_even_the_janitor_is_killed_goes_with_the_next_start_and_with_down(
    write_stack, tmp_path: Path
):
    write_stack(STUBBORN)
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        assert trial.kill("all") == ["supervisor", "janitor", "command"]
        orphans = set(processes_of(tmp_path))
        assert len(orphans) >= 4
        with up(tmp_path) as again:
            again.wait_until_ready()
            assert not orphans & set(processes_of(tmp_path))
            again.kill("all")
            said = again.output()
            assert "had died and left its state; removed" in said
            assert "left by the earlier run: killed " in said
            assert processes_of(tmp_path)
            done = fullspan_here(tmp_path, "down", "small")
            assert done.returncode == 0, done.stderr
            assert "killed " in done.stderr
            assert again.left_over() == []


@pytest.mark.parametrize("delay_s", [pytest.param(0.0, marks=SOAK), 0.6, pytest.param(1.2, marks=SOAK)])
def test_interrupted_while_coming_up(write_stack, tmp_path: Path, delay_s: float):
    write_stack(STUBBORN + "    ready: {log: never, timeout_s: 60}\n")
    with up(tmp_path) as trial:
        assert wait_until(lambda: bool(trial.pids("fullspan.stack.supervisor")), READY_WITHIN_S)
        wait_until(lambda: trial.look() == "never", delay_s)
        trial.process.send_signal(signal.SIGINT)
        assert trial.process.wait(GONE_WITHIN_S) == 130
        assert trial.output().endswith("fullspan: interrupted\n")
        assert trial.left_over() == []


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=SOAK),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=SOAK),
    ],
)
def test_told_to_end(write_stack, tmp_path: Path, number: signal.Signals):
    write_stack(STUBBORN)
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        assert any(answers(port) for port in trial.ports)
        trial.process.send_signal(number)
        assert trial.process.wait(GONE_WITHIN_S) == 130
        assert "stack small is down, nothing of it is left" in trial.output()
        assert trial.left_over() == []
