"""MongoDB killed, hung and back: every call ends in time, and the next one works again by itself."""

import asyncio
import time

import pytest

from focus_server.errors import CatalogueDown
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue

pytestmark = [pytest.mark.anyio, pytest.mark.timed, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

LONGEST_S = 2.5  # the deadline of 1.5 s, and what a busy machine adds to it
BACK_S = 60
EVER = (0, 2**62)
NEAR = (1_700_000_000 * 10**9, 1_700_000_100 * 10**9)


async def refused(call, match):
    begin = time.monotonic()
    with pytest.raises(CatalogueDown, match=match) as down:
        await call
    assert time.monotonic() - begin < LONGEST_S
    assert "mongodb://" not in str(down.value)
    return str(down.value)


async def works_again(catalogue):
    async with asyncio.timeout(BACK_S):
        while True:
            try:
                return await catalogue.find(*EVER)
            except CatalogueDown:
                continue


@pytest.fixture
async def filled(catalogue, make_entry):
    """More base paths than one, so that a call consists of several commands."""
    entries = [make_entry(slot, base_path=f"/data/{slot}") for slot in range(4)]
    for entry in entries:
        await catalogue.finished(entry)
    return entries


@pytest.fixture
async def hurried(filled, outage):
    """The catalogue with the deadlines that it has by itself."""
    async with Catalogue(MongoAddress(outage.url)) as opened:
        yield opened


async def test_a_kill(outage, hurried, filled, make_entry):
    catalogue = hurried
    outage.kill()
    try:
        sentence = await refused(catalogue.find(*EVER), "MongoDB cannot be reached")
        assert (catalogue.state.state, catalogue.state.detail) == ("down", sentence)
        calls = [catalogue.ranges(*EVER), catalogue.finished(make_entry()), catalogue.save_job({"job_id": "0-1"})]
        await asyncio.gather(*(refused(call, "MongoDB") for call in [*calls, catalogue.ping(), catalogue.prepare()]))
    finally:
        outage.start()
    assert await works_again(catalogue) == filled
    assert catalogue.state.state == "up"


async def test_a_hang(outage, hurried, filled):
    catalogue = hurried
    outage.hang()
    try:
        await asyncio.gather(
            *(refused(catalogue.find(*EVER), "MongoDB (does not answer in time|cannot be reached)") for _ in range(50))
        )
        await refused(catalogue.ping(), "MongoDB")
        begin = time.monotonic()
        async with Catalogue(MongoAddress(outage.url)) as fresh:
            await refused(fresh.ping(), "MongoDB")
            begin = time.monotonic()
        assert time.monotonic() - begin < 1, "closing does not wait for a server that hangs"
    finally:
        outage.resume()
    assert await works_again(catalogue) == filled


async def test_a_hang_between_two_commands_of_one_call(outage, hurried, filled):
    catalogue = hurried
    async with asyncio.timeout(BACK_S):
        answers = asyncio.gather(*(catalogue.find(*NEAR) for _ in range(100)), return_exceptions=True)
        await catalogue.ping()
        outage.hang()
        try:
            begin = time.monotonic()
            found = await answers
            assert time.monotonic() - begin < LONGEST_S
        finally:
            outage.resume()
    assert all(answer == filled or isinstance(answer, CatalogueDown) for answer in found)
    assert any(isinstance(answer, CatalogueDown) for answer in found)
    assert await works_again(catalogue) == filled


async def test_a_wrong_password_is_named_and_not_shown(mongo):
    wrong = MongoAddress(mongo.url.replace("@", "x@"))
    async with Catalogue(wrong) as catalogue:
        sentence = await refused(catalogue.ping(), "user or the password")
    assert wrong.url.partition("@")[0].rpartition(":")[2] not in sentence


async def test_bursts_that_are_cut_off_leave_nothing_stuck(outage, filled):
    async with Catalogue(MongoAddress(outage.url), 0.3) as catalogue:
        outcomes = []
        for _ in range(4):
            burst = asyncio.gather(*(catalogue.find(*NEAR) for _ in range(60)), return_exceptions=True)
            impatient = [asyncio.create_task(catalogue.find(*NEAR)) for _ in range(20)]
            await asyncio.sleep(0.02)  # some have been asked, some have not
            outage.hang()
            for task in impatient:
                task.cancel()
            try:
                outcomes += await burst
                await asyncio.wait(impatient)
            finally:
                outage.resume()
            assert await works_again(catalogue) == filled
        assert any(isinstance(outcome, CatalogueDown) for outcome in outcomes)
        assert all(outcome == filled or isinstance(outcome, CatalogueDown) for outcome in outcomes)
        await works_again(catalogue)
