"""What every test of the house shares."""

import asyncio
import atexit
import gc
import signal
from asyncio import AbstractEventLoop
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest
import structlog

from fullspan.stack.services.chromium import launch_options
from fullspan.testing import RunningKafka, RunningRabbitMQ, running_kafka, running_rabbitmq

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from xdist.scheduler import LoadScopeScheduling

SHARED: Final = {
    "one_rabbitmq": (
        "packages/focus-server/tests/analyzer/commands/test_listener.py",
        "packages/focus-server/tests/analyzer/test_control.py",
        "packages/focus-server/tests/analyzer/test_live_fibre.py",
        "packages/focus-server/tests/analyzer/test_whole_analyzer.py",
        "packages/focus-server/tests/api/test_whole_server.py",
        "packages/focus-server/tests/fiber/test_interrogator.py",
        "packages/focus-server/tests/recordings/recorder/test_kills.py",
        "packages/focus-server/tests/recordings/recorder/test_recorder.py",
        "packages/focus-server/tests/test_tls_broker.py",
        "packages/fullspan/tests/clients/test_focus_commands.py",
        "packages/fullspan/tests/ledger/hops/test_amqp_tap.py",
        "packages/fullspan/tests/stack/probes/test_probes.py",
        "packages/fullspan/tests/stack/services/test_rabbitmq.py",
    ),
    "one_kafka": (
        "packages/fullspan/tests/ledger/hops/test_kafka_topic.py",
        "packages/k2/tests/api/test_api.py",
        "packages/k2/tests/api/test_locked_catalogue.py",
        "packages/k2/tests/feed/",
        "packages/k2/tests/lake/test_command.py",
        "packages/k2/tests/lake/test_writer.py",
    ),
    "fragile": ("packages/fullspan/tests/faults/",),
    "mongo_server": ("packages/focus-server/tests/recordings/",),
}
"""What takes seconds of a processor to start, and the files whose tests need it; what takes longest first."""


def pytest_configure() -> None:
    """Print a traceback as it is: to draw one with all its variables can take longer than a test may.

    And let programs be interrupted, which those of a shell's job in the background are not.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among the tests: they stay, and every look at them takes a quarter of a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # libraries look at the end whether all of theirs goes


def group_of(test: str) -> str:
    """Return what a test has to run beside: all that need the same service, else those of its file."""
    return next((name for name, files in SHARED.items() if test.startswith(files)), test.partition("::")[0])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a new file that needs a service be told which list it belongs to."""
    needed = SHARED.keys() & set(getattr(item, "fixturenames", ()))
    if needed and group_of(item.nodeid) not in SHARED:
        pytest.fail(f"{item.path} needs {', '.join(needed)}: name it in SHARED of {__file__}.", pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "LoadScopeScheduling | None":
    """With `--dist loadgroup` give all files that need a service to one worker, which starts it once."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ServicesFirst(LoadScopeScheduling):
        """Hands out groups, and those with a service before all others: they are the longest."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

        def _assign_work_unit(self, node: object) -> None:
            for name in SHARED:
                if name in self.workqueue:
                    self.workqueue.move_to_end(name, last=False)
                    break
            super()._assign_work_unit(node)

    return ServicesFirst(config, log)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the programs use."""
    return "asyncio"


@pytest.fixture(scope="session")
def one_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRabbitMQ]:
    """One real broker for all tests of this process; whoever kills it starts it again, and each has a virtual host."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture(scope="session")
def one_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """One real broker for all tests of this process; whoever kills it starts it again, and each has its own topics."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def one_browser() -> Iterator[tuple["Browser", AbstractEventLoop]]:
    """One real browser for all tests of this process, and the loop that its calls wait in; `browser` gives it."""
    # Most processes of a test run never need it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**launch_options())
        loop = asyncio.get_running_loop()
        yield chromium, loop
        asyncio._set_running_loop(loop)
        chromium.close()


@pytest.fixture(scope="module")
def browser(one_browser: tuple["Browser", AbstractEventLoop]) -> Iterator["Browser"]:
    """Give the browser to a module: its loop counts as running also between two calls, and then no other can run."""
    chromium, loop = one_browser
    asyncio._set_running_loop(loop)
    yield chromium
    asyncio._set_running_loop(None)
