"""What the connection to MongoDB adds to the driver; the server itself is not needed for it."""

import asyncio
from contextlib import suppress

import pytest

from focus_server.errors import CatalogueDown
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.connection import Connection

pytestmark = pytest.mark.anyio

NOWHERE = MongoAddress("mongodb://127.0.0.1:9/prisma")


@pytest.mark.parametrize("afterwards", [None, TimeoutError()])
async def test_a_cancellation_that_the_driver_swallows_is_passed_on(afterwards):
    asked, went_on = asyncio.Event(), []

    async def ask(connection):
        with suppress(CatalogueDown):
            async with connection.asking():
                asked.set()
                with suppress(asyncio.CancelledError):  # as asyncio.wait_for may, which the driver waits by
                    await asyncio.Event().wait()
                if afterwards is not None:
                    raise afterwards
        went_on.append(True)

    async with Connection(NOWHERE) as connection:
        task = asyncio.create_task(ask(connection))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not went_on


async def test_what_is_asked_while_a_task_ends_is_not_cancelled_again():
    asked, last = asyncio.Event(), []

    async def ask(connection):
        try:
            asked.set()
            await asyncio.Event().wait()
        finally:
            async with connection.asking():
                last.append(True)
            last.append(True)

    async with Connection(NOWHERE) as connection:
        task = asyncio.create_task(ask(connection))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert last == [True, True]


@pytest.mark.parametrize("message", ["Lock is not acquired", "of our own making"])
async def test_a_lock_that_the_driver_lost_costs_its_client_and_no_defect_of_ours_is_taken_for_it(message):
    async with Connection(NOWHERE) as connection:
        before = connection._client
        expected = CatalogueDown if message == "Lock is not acquired" else RuntimeError
        with pytest.raises(expected):
            async with connection.asking():
                raise RuntimeError(message)
        assert (connection._client is before) == (expected is RuntimeError)
        assert connection.state.state == ("down" if expected is CatalogueDown else "unknown")


async def test_who_gets_no_turn_in_time_does_not_begin(monkeypatch):
    monkeypatch.setattr("focus_server.recordings.connection._AT_ONCE", 1)
    begun = []

    async def ask(connection):
        async with connection.asking(0.3):
            begun.append(True)

    async with Connection(NOWHERE) as connection:
        async with connection.asking(60):
            late = asyncio.ensure_future(ask(connection))
            await asyncio.sleep(0)  # until it waits for its turn
            await asyncio.sleep(0.3)  # audit: sleep because the driver may take that long
        with pytest.raises(CatalogueDown):
            await late
    assert begun == []
