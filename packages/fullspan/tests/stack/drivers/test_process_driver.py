"""The process driver on real processes, and the fake one: both do what every driver must do."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fullspan.errors import StackError
from fullspan.stack.drivers import Ending, Launch
from fullspan.stack.drivers.process import ProcessDriver
from fullspan.stack.probes import wait_ready
from fullspan.stack.probes.log import LogProbe
from fullspan.stack.processes import look_up, send
from fullspan.stack.undo import KillTagged
from fullspan.testing import FakeDriver, check_driver

TREE = "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return make(tmp_path, sys.executable, "-c", TREE)


def make(tmp_path: Path, *argv: str, env: dict[str, str] | None = None, stop_timeout_s: float = 5.0) -> Launch:
    folder = tmp_path / "part"
    folder.mkdir(exist_ok=True)
    run_id = f"test-{os.urandom(6).hex()}"
    return Launch("part", run_id, argv, folder, tmp_path / "part.log", env or {}, stop_timeout_s=stop_timeout_s)


@pytest.mark.anyio
async def test_the_process_driver_does_what_drivers_must(launch: Launch):
    await check_driver(ProcessDriver(), launch)


@pytest.mark.anyio
async def test_the_fake_driver_does_what_drivers_must(launch: Launch):
    driver = FakeDriver()
    await check_driver(driver, launch)
    assert len(driver.started) == 2


@pytest.mark.anyio
async def test_the_check_finds_a_driver_that_leaves_something_behind(launch: Launch):
    class Careless(ProcessDriver):
        async def start(self, launch: Launch):
            instance = await super().start(launch)
            instance.hang = instance.resume
            return instance

    with pytest.raises(AssertionError, match="all processes stand still"):
        await check_driver(Careless(), launch)
    assert KillTagged(launch.run_id).undo()


@pytest.mark.anyio
async def test_an_end_is_noticed_at_once_with_its_code(tmp_path: Path):
    instance = await ProcessDriver().start(make(tmp_path, "sh", "-c", "exit 7"))
    assert await asyncio.wait_for(instance.ended(), 5) == Ending(code=7)
    assert str(Ending(code=7)) == "exit code 7"
    assert await instance.kill() == Ending(code=7)


@pytest.mark.anyio
async def test_an_end_by_a_signal_is_told_apart(tmp_path: Path):
    instance = await ProcessDriver().start(make(tmp_path, "sleep", "60"))
    main = look_up(instance.pid)
    assert main is not None
    send(main, signal.SIGSEGV)
    assert str(await asyncio.wait_for(instance.ended(), 5)) == "ended by SIGSEGV"


@pytest.mark.anyio
async def test_what_does_not_react_is_killed_when_its_time_is_over(tmp_path: Path):
    launch = make(tmp_path, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done", stop_timeout_s=0.3)
    instance = await ProcessDriver().start(launch)
    await wait_ready(LogProbe("deaf", launch.log, 0), 10, print)
    assert await instance.stop() == Ending(signal=signal.SIGKILL)
    assert instance.processes() == []


@pytest.mark.anyio
async def test_what_hangs_can_be_stopped_in_an_orderly_way(tmp_path: Path):
    code = "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(5)); print('on'); time.sleep(60)"
    launch = make(tmp_path, sys.executable, "-c", code)
    instance = await ProcessDriver().start(launch)
    await wait_ready(LogProbe("on", launch.log, 0), 10, print)
    await instance.hang()
    assert await instance.stop() == Ending(code=5)


@pytest.mark.anyio
async def test_the_environment_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OUTSIDE", "not passed on")
    monkeypatch.setenv("FULLSPAN_RABBITMQ_EXECUTABLE", "/opt/rabbitmq")
    launch = make(tmp_path, "env", env={"INSIDE": "yes"})
    instance = await ProcessDriver().start(launch)
    await asyncio.wait_for(instance.ended(), 5)
    found = dict(line.split("=", 1) for line in launch.log.read_text().splitlines())
    assert "OUTSIDE" not in found
    assert found["INSIDE"] == "yes"
    assert found["FULLSPAN_RABBITMQ_EXECUTABLE"] == "/opt/rabbitmq"
    assert found["FULLSPAN_RUN"] == launch.run_id
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        assert Path(found[name]).is_relative_to(launch.folder)
        assert Path(found[name]).is_dir()


@pytest.mark.anyio
async def test_it_leads_a_session_in_its_folder_with_nothing_to_read(tmp_path: Path):
    code = "import os, sys; print(os.getpid() == os.getsid(0), os.getcwd(), sys.stdin.read() == '')"
    launch = make(tmp_path, sys.executable, "-c", code)
    instance = await ProcessDriver().start(launch)
    await asyncio.wait_for(instance.ended(), 5)
    assert launch.log.read_text() == f"True {launch.folder} True\n"


def test_a_missing_program_is_named_before_anything_starts(tmp_path: Path):
    with pytest.raises(StackError, match="'part' cannot start: there is no program 'no-such-program'"):
        ProcessDriver().check(make(tmp_path, "no-such-program"))


def test_a_missing_service_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FULLSPAN_RABBITMQ_EXECUTABLE", "/nowhere/rabbitmq-server")
    launch = make(tmp_path, sys.executable, "-m", "fullspan.stack.services.rabbitmq", "--folder", "x")
    with pytest.raises(StackError, match=r"'part' cannot start: FULLSPAN_RABBITMQ_EXECUTABLE is '/nowhere"):
        ProcessDriver().check(launch)
