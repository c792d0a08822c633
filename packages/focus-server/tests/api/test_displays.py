"""How a job is drawn, told to its WebSocket viewers as text frames: at once, when it changes, and after a restart."""

import contextlib
import json

import anyio
import pytest
from websockets.asyncio.client import connect

pytestmark = pytest.mark.anyio

WAIT_S = 60
JET = {"type": "display", "caxis": None, "colormap": "jet"}
JET_AND_AXIS = {"type": "display", "caxis": {"min": -60.0, "max": -20.0}, "colormap": "jet"}


@contextlib.asynccontextmanager
async def watch(address, job_id="0-1", stream=0):
    """Watch a stream; what is given reads the next frame, which is not one that tells of a silence."""
    async with connect(f"ws://{address}/ws/jobs/{job_id}/streams/{stream}", compression=None, proxy=None) as socket:

        async def frame():
            with anyio.fail_after(WAIT_S):
                while isinstance(item := await socket.recv(), str) and json.loads(item)["type"] in ("gap", "filling"):
                    pass
            return json.loads(item) if isinstance(item, str) else item

        yield frame


async def test_a_change_is_told_to_every_viewer_of_every_stream_of_that_job_only(analyzer, address):
    analyzer.add_job(streams=2)
    analyzer.add_job("1-2")
    async with (
        watch(address) as first,
        watch(address) as second,
        watch(address, stream=1) as third,
        watch(address, "1-2") as other,
    ):
        await analyzer.wait_for_streams(2)
        await analyzer.wait_for_streams(stream=1)
        analyzer.display("0-1", colormap="jet")
        assert [await frame() for frame in (first, second, third)] == [JET] * 3
        analyzer.display("1-2", colormap="parula")
        assert await other() == JET | {"colormap": "parula"}
        analyzer.display("0-1", caxis={"min": -60.0, "max": -20.0})
        assert [await frame() for frame in (first, second, third)] == [JET_AND_AXIS] * 3


async def test_a_viewer_that_comes_later_is_told_before_its_first_row(analyzer, address):
    analyzer.add_job()
    analyzer.display("0-1", colormap="jet")
    async with watch(address) as first:
        assert await first() == JET
        await analyzer.wait_for_streams()
        analyzer.send(b"")
        assert await first() == b""
        async with watch(address) as second:
            assert [await second(), await second()] == [JET, b""]


async def test_what_no_command_has_set_is_not_told(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.send(b"")
        assert await viewer() == b""


async def test_a_viewer_of_a_recording_is_told_too(analyzer, address):
    analyzer.add_job()["metadata"]["recording_ids"] = ["a"]
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.display("0-1", colormap="jet")
        assert await viewer() == JET


async def test_what_changed_while_the_analyzer_was_away_is_told_after_its_restart(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.display("0-1", colormap="jet")
        assert await viewer() == JET
        await analyzer.stop()
        analyzer.display("0-1", caxis={"min": -60.0, "max": -20.0})
        analyzer.displays = {"revision": 99, "jobs": {}}  # the next process has forgotten that it is news
        await analyzer.start()
        assert await viewer() == JET_AND_AXIS


async def test_the_analyzer_is_asked_for_news_only(analyzer, address):
    analyzer.add_job()
    async with watch(address) as viewer:
        await analyzer.wait_for_streams()
        analyzer.display("0-1", colormap="jet")
        assert await viewer() == JET
        with anyio.fail_after(WAIT_S):
            while analyzer.asked_after != analyzer.displays["revision"]:
                analyzer.changed.clear()
                await analyzer.changed.wait()
