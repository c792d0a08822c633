"""One component, run by a fake driver: its phases, what may be done in which, and what is said."""

import asyncio
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from fullspan.errors import ComponentDied, StackError
from fullspan.stack.component import Component
from fullspan.stack.drivers import Ending, Launch
from fullspan.stack.plan import PlannedComponent
from fullspan.stack.probes.log import LogProbe
from fullspan.testing import FakeDriver


class Bench:
    """A component on a fake driver that is ready when it has logged `go`."""

    def __init__(self, folder: Path, timeout_s: float = 10.0) -> None:
        self.driver = FakeDriver()
        self.log = folder / "part.log"
        launch = Launch("part", "run", ("part",), folder / "part", self.log)
        planned = PlannedComponent(launch, self.driver, (), {"http": 80}, (LogProbe, "go", timeout_s))
        self.said: list[str] = []
        self.deaths: list[ComponentDied] = []
        self.died = asyncio.Event()
        self.component = Component(planned, lambda _, what: self.said.append(what), self._on_death)

    def _on_death(self, death: ComponentDied) -> None:
        self.deaths.append(death)
        self.died.set()

    async def start(self) -> None:
        starting = asyncio.create_task(self.component.start())
        await self.started(len(self.driver.started) + 1)
        self.write("go")
        await starting

    async def started(self, count: int) -> None:
        """Wait until the driver was asked for the n-th time."""
        async with asyncio.timeout(10):
            while len(self.driver.started) < count:  # noqa: ASYNC110 - the fake driver has no event
                await asyncio.sleep(0)

    def write(self, line: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{line}\n")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.anyio
async def test_from_start_to_stop(bench: Bench):
    assert bench.component.phase == "waiting"
    await bench.start()
    state = bench.component.state()
    assert (state.state, state.ports, state.pid) == ("ready", {"http": 80}, None)
    assert state.ready_wall_ns is not None
    assert state.started_wall_ns is not None
    assert state.ready_wall_ns >= state.started_wall_ns
    await bench.component.stop()
    assert (bench.component.phase, bench.component.detail) == ("stopped", "ended by SIGTERM")
    assert [what.split(" after ")[0] for what in bench.said] == ["started", "ready", "stopping", "stopped"]
    assert bench.deaths == []


@pytest.mark.anyio
async def test_a_death_while_starting_ends_the_wait_with_the_last_lines(bench: Bench):
    bench.write("from an earlier run")
    starting = asyncio.create_task(bench.component.start())
    await bench.started(1)
    for number in range(12):
        bench.write(f"line {number}")
    bench.driver.started[0].end(Ending(code=7))
    with pytest.raises(ComponentDied) as caught:
        await starting
    assert caught.value.ending == "exit code 7"
    assert caught.value.last_lines == tuple(f"line {number}" for number in range(2, 12))
    assert str(bench.log) in str(caught.value)
    assert bench.component.phase == "died"


@pytest.mark.anyio
async def test_a_death_after_ready_is_noticed_at_once(bench: Bench):
    await bench.start()
    bench.driver.started[0].end(Ending(signal=SIGKILL))
    await asyncio.wait_for(bench.died.wait(), 5)
    assert bench.deaths[0].ending == "ended by SIGKILL"
    assert bench.component.state().state == "died"
    assert bench.component.state().detail == "ended by SIGKILL"
    await bench.component.stop()
    await bench.start()
    assert bench.component.phase == "ready"


@pytest.mark.anyio
async def test_what_does_not_become_ready_is_ended_with_the_cause(tmp_path: Path):
    bench = Bench(tmp_path, timeout_s=0.2)
    bench.log.write_text("")
    with pytest.raises(StackError) as caught:
        await bench.component.start()
    words = "Component 'part' is not ready within 0.2 s: waited for a log line with 'go': not logged yet."
    assert str(caught.value).startswith(words)
    assert "It logged nothing." in str(caught.value)
    assert bench.component.phase == "died"
    assert await bench.driver.started[0].ended() == Ending(signal=SIGKILL)
    assert bench.deaths == [], "it did not die by itself"


@pytest.mark.anyio
async def test_faults_and_their_healing(bench: Bench):
    await bench.start()
    await bench.component.hang()
    assert (bench.component.phase, bench.driver.started[0].stands) == ("hung", True)
    await bench.component.resume()
    assert (bench.component.phase, bench.driver.started[0].stands) == ("ready", False)
    await bench.component.kill()
    assert (bench.component.phase, bench.component.detail) == ("killed", "ended by SIGKILL")
    starting = asyncio.create_task(bench.component.start_again())
    await bench.started(2)
    await asyncio.sleep(0.2)  # audit: sleep because what must not happen has this long to happen
    assert not starting.done(), "what an earlier run logged does not make it ready"
    bench.write("go")
    await starting
    assert bench.deaths == [], "a death that was asked for is none"


@pytest.mark.anyio
async def test_what_cannot_be_done_in_a_phase(bench: Bench):
    with pytest.raises(StackError, match="'part' cannot be killed, it is waiting"):
        await bench.component.kill()
    with pytest.raises(StackError, match="'part' does not hang, it is waiting"):
        await bench.component.resume()
    with pytest.raises(StackError, match="'part' cannot be started, it is waiting"):
        await bench.component.start_again()
    await bench.component.stop()
    assert bench.component.phase == "waiting"
    await bench.start()
    with pytest.raises(StackError, match="'part' cannot be started, it is ready"):
        await bench.component.start_again()
    await bench.component.stop()
    with pytest.raises(StackError, match="'part' cannot be hung, it is stopped"):
        await bench.component.hang()


@pytest.mark.anyio
async def test_a_start_that_is_given_up_can_be_stopped(bench: Bench):
    starting = asyncio.create_task(bench.component.start())
    await bench.started(1)
    starting.cancel()
    await asyncio.wait({starting})
    await bench.component.stop()
    assert await bench.driver.started[0].ended() == Ending(signal=SIGTERM)
