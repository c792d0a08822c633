"""What every test of the house shares."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the programs use."""
    return "asyncio"
