"""What the suites on Focus share: the fibre's oracle, a browser, and a live picture with its observers."""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fullspan.clients import FocusClient, LiveMetadata
from fullspan.errors import Inconclusive
from fullspan.ledger import Ledger
from fullspan.ledger.hops import HopRunner
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.stack.services.chromium import launch_options
from fullspan.timeline import Timeline
from suites.focus.blocks import first_sent
from suites.focus.machine import STOLEN_SHARE, Machine
from suites.focus.oracle import Fibre
from suites.focus.outage import Remembered
from suites.focus.picture import LivePicture, View, choose_view
from suites.focus.recorded import Recordings

CHANNEL = 711
FEED_WITHIN_S = 20.0
WINDOW = {"width": 640, "height": 480}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests of the instruments themselves be inconclusive on a machine whose host takes the processors away."""
    machine = Machine()
    try:
        return (yield)
    except (AssertionError, TimeoutError) as error:
        stolen = machine.stolen
        if item.get_closest_marker("own_processors") is None or stolen <= STOLEN_SHARE:
            raise
        took = f"the host took {100 * stolen:.0f} % of the processors' time"
        raise Inconclusive(f"{took}, and meanwhile: {type(error).__name__}: {str(error)[:200]}") from error


@pytest.fixture
def focus(stack: Stack) -> Iterator[FocusClient]:
    with FocusClient(stack.endpoint("focus.http")) as client:
        yield client


@pytest.fixture
def live(focus: FocusClient) -> LiveMetadata:
    """The fibre's metadata, once blocks arrive."""
    deadline = time.monotonic() + FEED_WITHIN_S
    while (metadata := focus.live_metadata()).waiting:
        if time.monotonic() > deadline:
            raise Inconclusive(f"No live block arrived within {FEED_WITHIN_S:g} s; see the log of `interrogator`.")
        time.sleep(0.1)
    return metadata


@pytest.fixture
def fibre(stack: Stack, live: LiveMetadata) -> Fibre:
    return Fibre.from_metadata(dict(live.fiber_source), sample_file(stack))


def sample_file(stack: Stack) -> Path:
    """Return the recording that the stack replays."""
    file = Path(stack.var) / "data" / "sample.npy"
    if not file.exists():
        raise Inconclusive(f"The sample recording {file.name} is not there; run `make setup`.")
    return file


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**launch_options())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
    yield context.new_page()
    context.close()


@pytest.fixture
def machine() -> Machine:
    """The machine since the test began."""
    return Machine()


@pytest.fixture
def hops(ledger: Ledger, timeline: Timeline) -> Iterator[HopRunner]:
    with HopRunner(ledger, timeline) as runner:
        yield runner


@pytest.fixture
def view(fibre: Fibre, live: LiveMetadata) -> View:
    return choose_view(fibre, CHANNEL, live)


@pytest.fixture
def picture(stack: Stack, page: Page, hops: HopRunner, fibre: Fibre, live: LiveMetadata, view: View) -> LivePicture:
    return LivePicture(stack, page, hops, fibre, str(live.document.get("site", "local")), view)


@pytest.fixture
def recordings(stack: Stack, fibre: Fibre, live: LiveMetadata) -> Iterator[Recordings]:
    """What was recorded of the fibre."""
    found = Recordings(stack.endpoint("mongodb.mongo"), fibre, live.number_of_channels)
    yield found
    found.close()


@pytest.fixture
def remembered(stack: Stack, recordings: Recordings, fibre: Fibre, evidence: Evidence, machine: Machine) -> Remembered:
    """All that was sent since the interrogator began."""
    with HopRunner(Ledger()) as runner:
        return Remembered(recordings, first_sent(stack, runner, fibre), evidence, machine)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool], float, str], None]:
    """Poll a condition until it holds; say what was waited for when it does not in time."""

    def wait(condition: Callable[[], bool], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come true within {within_s:g} s"
            time.sleep(0.05)

    return wait
