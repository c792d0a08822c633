"""What the suites on Focus share: the fibre's oracle, a browser, and a live picture with its observers."""

import time
from collections.abc import Callable, Generator, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fullspan.clients import FocusClient, LiveMetadata
from fullspan.errors import Inconclusive, StackError
from fullspan.ledger import Ledger
from fullspan.ledger.hops import HopRunner
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack
from fullspan.stack.services.chromium import launch_options
from fullspan.timeline import Timeline
from suites.focus.blocks import first_sent
from suites.focus.feed import fibre_of, metadata_of
from suites.focus.machine import Machine
from suites.focus.oracle import Fibre
from suites.focus.outage import Remembered
from suites.focus.picture import CHANNEL, LivePicture, View, choose_view, page_in, site_of
from suites.focus.recorded import Compared, Recordings


def pytest_configure(config: pytest.Config) -> None:
    """Say what these suites mark."""
    beside = "beside: outages on the stack's profile `hostile`, while the other outages run on a stack of their own"
    config.addinivalue_line("markers", beside)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests of the instruments themselves be inconclusive on a machine whose processors others take away."""
    if item.get_closest_marker("own_processors") is None:
        return (yield)
    machine = Machine()
    try:
        return (yield)
    except (AssertionError, TimeoutError, StackError) as error:
        if not (taken := machine.taken()):
            raise
        raise Inconclusive(f"{taken}, and meanwhile: {type(error).__name__}: {str(error)[:200]}") from error


@pytest.fixture(scope="session")
def focus(stack: Stack) -> Iterator[FocusClient]:
    with FocusClient(stack.endpoint("focus.http")) as client:
        yield client


@pytest.fixture
def live(focus: FocusClient) -> LiveMetadata:
    """The fibre's metadata, once blocks arrive."""
    return metadata_of(focus)


@pytest.fixture
def fibre(stack: Stack, live: LiveMetadata) -> Fibre:
    return fibre_of(stack, live)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**launch_options())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with page_in(browser) as page:
        yield page


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
    return LivePicture(stack, page, hops, fibre, site_of(live), view)


@pytest.fixture(scope="session")
def exact() -> set[Compared]:
    """What of the recordings was found exact so far, in all tests."""
    return set()


@pytest.fixture
def recordings(stack: Stack, fibre: Fibre, live: LiveMetadata, exact: set[Compared]) -> Iterator[Recordings]:
    """What was recorded of the fibre."""
    found = Recordings(stack.endpoint("mongodb.mongo"), fibre, live.number_of_channels, exact)
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
