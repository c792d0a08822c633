"""The recorder and the broker are killed at random moments; nothing is lost, nothing is there twice.

FULLSPAN_SOAK_KILLS=60 runs so many kills instead of a handful, FULLSPAN_SOAK_SEED other moments.
"""

import asyncio
import os
import random
import signal
from collections import Counter

import pytest
from click.testing import CliRunner

from focus_server.errors import SettingsError
from focus_server.recordings.prodml import read_entry
from focus_server.recordings.recorder.command import record

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("FULLSPAN_SOAK_KILLS", "2"))
SEED = int(os.environ.get("FULLSPAN_SOAK_SEED", "1"))


async def feed(publisher, source, blocks, block_s):
    """Publish blocks in order as a fibre would, but faster, and announce it now and then."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(blocks):
            if number % 10 == 0:
                await publisher.announce(source)
            tasks.create_task(publisher.send(source, [number]))
            await asyncio.sleep(block_s)  # audit: sleep because this is the fibre's pace


async def test_killed_at_random_moments_it_loses_nothing(
    source, publisher, recorder_process, wait_recorded, nothing_waits
):
    moments, blocks = random.Random(SEED), 100 * KILLS
    feeding = None
    for _ in range(KILLS):
        with recorder_process(source) as process:
            await process.wait_event("recorder.ready")
            feeding = feeding or asyncio.ensure_future(feed(publisher, source, blocks, 0.02))
            await asyncio.sleep(moments.uniform(0.0, 0.6))  # audit: sleep because the moment of the kill is random
            process.end(signal.SIGKILL)
    await feeding
    with recorder_process(source) as process:
        found = await wait_recorded(source)
        assert process.end() == 0, process.log.read_text()[-3000:]
    await nothing_waits(source)
    assert len(source.published) == 2 * blocks
    assert len(found.files) == blocks // 10
    assert found.gaps == 0


@pytest.mark.soak
async def test_the_broker_is_killed_and_comes_back(
    source, publisher, rabbitmq, recorder, wait_recorded, nothing_waits, look_at
):
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(34))
        before = Counter(look_at(running.folder, source).blocks)
        rabbitmq.kill()
        await running.wait_said("rabbitmq.down")
        await asyncio.to_thread(rabbitmq.start)
        await publisher.connect()
        await publisher.announce(source)
        # What was not confirmed is sent again, and so is some that was.
        await publisher.send(source, range(25, 60))
        found = await wait_recorded(source)
    assert set(before) <= set(found.blocks)
    assert len(found.files) == 6
    assert found.gaps == 0
    await nothing_waits(source)


async def test_a_fibre_falls_silent_and_its_file_ends_early_until_the_rest_comes(
    source, publisher, rabbitmq, recorder, wait_recorded, nothing_waits, wait_until, look_at
):
    """The broker hangs for so long that nobody can tell it from a fibre that stopped."""
    async with recorder(source) as running:
        await publisher.announce(source)
        await publisher.send(source, range(3, 14))
        rabbitmq.hang()
        try:
            await wait_until(lambda: len(look_at(running.folder, source).files) == 2, "two files that end early")
        finally:
            rabbitmq.resume()
        found = await wait_recorded(source)
        # One begins where the fibre began, one ends with the last sample.
        assert [*found.files.values()] == [(60, 200), (200, 280)]
        assert found.gaps == 0
        path = sorted(found.files)[1]
        early = read_entry(path, running.folder)
        assert early.end_ns == source.grid.time_ns(280)
        await publisher.send(source, range(14, 20))
        found = await wait_recorded(source)
        assert found.files[path] == (200, 400)
        assert read_entry(path, running.folder).uuid == early.uuid
    await nothing_waits(source)


async def test_ctrl_c_ends_the_command(source, recorder_process):
    with recorder_process(source) as process:
        await process.wait_event("recorder.ready")
        assert process.end(signal.SIGINT) == 130
        assert process.events("recorder.stopped")[0]["files"] == 0


def test_wrong_settings_are_said():
    with pytest.raises(SettingsError, match="recording_s"):
        CliRunner().invoke(record, ["--recording-s", "0"], catch_exceptions=False)
