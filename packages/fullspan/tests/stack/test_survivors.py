"""What outlives SIGKILL is named and not forgotten: by the next start, by `down`, by the doctor, by the run's own end.

A process is made to outlive it as a debugger does: its tracer has it stop on its way out, until the tracer ends.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fullspan.errors import Outlived
from fullspan.stack import survivors
from fullspan.stack.janitor import clean_up
from fullspan.stack.processes import look_up, wait_until
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import read_state
from fullspan.stack.undo import KillTagged, Remove, UndoList, read_undo
from packages.fullspan.tests.commands import environment, fullspan, fullspan_here
from packages.fullspan.tests.stack.kills import GONE_WITHIN_S, processes_of, up

# It lets anybody trace it: some systems allow that to a parent only.
LETS_ITSELF_BE_HELD = (
    "import ctypes, time; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); print('on', flush=True); "
    "time.sleep(600)"
)
STACK = f"""
components:
  held:
    run: ["${{python}}", -c, "{LETS_ITSELF_BE_HELD}"]
    ready: {{log: "^on", timeout_s: 60}}
    stop: {{timeout_s: 0.5}}
"""
TRACER = """
import ctypes, os, sys
SEIZE, STOP_ON_THE_WAY_OUT = 0x4206, 0x40
trace = ctypes.CDLL(None, use_errno=True).ptrace
trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
if trace(SEIZE, int(sys.argv[1]), None, STOP_ON_THE_WAY_OUT):
    sys.exit(os.strerror(ctypes.get_errno()))
print("holds it", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def can_be_held() -> None:
    """Old kernels let a killed process go at the second SIGKILL, and some sandboxes let nobody trace."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            with holding(sleeper.pid):
                for _ in range(2):
                    sleeper.kill()
                wait_until(lambda: look_up(sleeper.pid) is None, 1.0)
        except AssertionError as error:
            sleeper.kill()
            pytest.skip(f"no process can be held here on its way out: {error}")


@contextmanager
def holding(pid: int) -> Iterator[int]:
    """Keep a process from ending for the length of a block; give the pid of who does."""
    with subprocess.Popen(
        [sys.executable, "-c", TRACER, str(pid)],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as tracer:  # fmt: skip
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "holds it\n", "it cannot be traced"
        yield tracer.pid
        assert look_up(pid), "it went although it was traced"


@pytest.fixture
def killing_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is killed here, in this process, is given up soon."""
    monkeypatch.setattr(survivors, "KILLING_S", 0.5)


@pytest.mark.timeout(400)  # twenty seconds of them are the killing itself
def test_the_next_start_down_and_the_doctor_name_it_and_leave_the_state(
    write_stack, tmp_path: Path, killing_is_short: None
):
    write_stack(STACK)
    folder = RunFolder(tmp_path / "var", "small")
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        state = read_state(folder.state)
        assert state is not None
        pid = state.components["held"].pid
        assert pid is not None
        with holding(pid) as tracer:
            assert trial.kill("all") == ["supervisor", "janitor", "command"]
            named = f"python (pid {pid}, of component 'held') is held by its tracer, python (pid {tracer})."
            refused = fullspan(tmp_path, "up", "small")
            assert refused.returncode == 3
            assert refused.stdout == ""
            said = refused.stderr.replace(f"{Path(sys.executable).resolve().name} (", "python (")
            assert f"fullspan: 1 process of the run {state.run_id} outlived 20 s of SIGKILL: {named}" in said
            assert "`fullspan down` and `fullspan up` look again" in said
            for words in (["down", "small"], ["doctor", "--fix"]):
                done = fullspan_here(tmp_path, *words)
                assert done.returncode in (1, 3)
                assert f"(pid {pid}, of component 'held') is held by its tracer" in done.stdout + done.stderr
            assert read_state(folder.state) == state
        gone = fullspan_here(tmp_path, "down", "small")
        assert (gone.returncode, gone.stdout) == (0, "small is down.\n")
        assert trial.left_over() == []


def test_what_lost_its_tag_on_its_way_out_is_known_by_its_start(tmp_path: Path, killing_is_short: None):
    folder = RunFolder(tmp_path, "small")
    folder.path.mkdir(parents=True)
    undo = UndoList(folder.undo)
    undo.add(Remove(str(folder.state)))
    folder.state.touch()
    with subprocess.Popen([sys.executable, "-c", LETS_ITSELF_BE_HELD], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        found = look_up(process.pid)
        assert found is not None
        undo.add(KillTagged("a run without a living tag", (found.identity,)))
        with folder.undo.open("a") as cut_off:
            cut_off.write('{"schema": 1, "numb')
        with holding(process.pid):
            for _ in range(2):
                with pytest.raises(Outlived, match=rf"\(pid {process.pid}\) is held by its tracer") as raised:
                    clean_up(folder)
                assert list(raised.value.processes) == [found.identity]
                assert folder.state.exists()
        assert process.wait(GONE_WITHIN_S) == -signal.SIGKILL
        assert clean_up(folder) == []
        assert not folder.state.exists()


def test_what_outlived_is_on_record_once_and_a_cut_off_line_is_gone(tmp_path: Path, killing_is_short: None):
    folder = RunFolder(tmp_path, "small")
    folder.path.mkdir(parents=True)
    tag = f"test-{tmp_path.name}"
    undo = UndoList(folder.undo)
    undo.add(Remove(str(folder.state)))
    undo.add(KillTagged(tag))
    with folder.undo.open("a") as cut_off:
        cut_off.write('{"schema": 1, "numb')
    with subprocess.Popen(
        [sys.executable, "-c", LETS_ITSELF_BE_HELD], env=environment(FULLSPAN_RUN=tag), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        found = look_up(process.pid)
        assert found is not None
        with holding(process.pid):
            for _ in range(2):
                with pytest.raises(Outlived):
                    clean_up(folder)
                again = KillTagged(tag, (found.identity,))
                assert read_undo(folder.undo) == [again, KillTagged(tag), Remove(str(folder.state))]
        process.wait(GONE_WITHIN_S)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_the_end_of_the_run_itself_names_it_and_leaves_the_state(write_stack, tmp_path: Path):
    write_stack(STACK)
    folder = RunFolder(tmp_path / "var", "small")
    with up(tmp_path) as trial:
        trial.wait_until_ready()
        state = read_state(folder.state)
        assert state is not None
        pid = state.components["held"].pid
        assert pid is not None
        with holding(pid):
            trial.process.send_signal(signal.SIGINT)
            assert trial.process.wait(2 * GONE_WITHIN_S) == 130
            said = trial.output()
            assert f"(pid {pid}, of component 'held') is held by its tracer" in said
            assert "nothing of it is left" not in said
            assert folder.state.exists()
        gone = fullspan_here(tmp_path, "down", "small")
        assert (gone.returncode, gone.stdout) == (0, "small is down.\n")
        assert processes_of(tmp_path) == []
