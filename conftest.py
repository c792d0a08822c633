"""What every test of the house shares."""

from collections.abc import Iterator

import pytest

from fullspan.testing import RunningRabbitMQ, running_rabbitmq


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the programs use."""
    return "asyncio"


@pytest.fixture(scope="session")
def one_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRabbitMQ]:
    """One real broker for all tests of this process; whoever kills it starts it again, and each has a virtual host."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker
