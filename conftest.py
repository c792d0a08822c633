"""What every test of the house shares."""

import signal
from collections.abc import Iterator

import pytest
import structlog

from fullspan.testing import RunningKafka, RunningRabbitMQ, running_kafka, running_rabbitmq


def pytest_configure() -> None:
    """Print a traceback as it is: to draw one with all its variables can take longer than a test may.

    And let programs be interrupted, which those of a shell's job in the background are not.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


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
