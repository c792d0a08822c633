"""Who asks for a job or a stream that is not there is no viewer: the log does not say that one joined."""

import json

import anyio
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.anyio

WAIT_S = 60


@pytest.mark.parametrize(
    ("job_id", "stream", "code", "reason"),
    [
        ("0-9", 0, 4404, "no such job"),
        ("x", 0, 4404, "no such job"),
        ("0-1", 7, 4400, "no such stream"),
        ("0-1", "x", 4400, "no such stream"),
    ],
)
async def test_who_asks_for_what_is_not_there_does_not_join(analyzer, address, job_id, stream, code, reason):
    analyzer.add_job()
    with capture_logs() as log:
        async with connect(f"ws://{address}/ws/jobs/{job_id}/streams/{stream}", proxy=None) as viewer:
            with anyio.fail_after(WAIT_S):
                told = json.loads(await viewer.recv())
                with pytest.raises(ConnectionClosed) as closed:
                    await viewer.recv()
    assert told["type"] == "error"
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
    assert [line["event"] for line in log if line["event"].startswith(("viewer.", "trunk."))] == []
    assert analyzer.streams[0] == set()


async def test_a_job_that_ends_while_it_is_watched_was_joined(analyzer, address):
    analyzer.add_job()
    with capture_logs() as log:
        async with connect(f"ws://{address}/ws/jobs/0-1/streams/0", proxy=None) as viewer:
            await analyzer.wait_for_streams()
            analyzer.send(None)
            with anyio.fail_after(WAIT_S):
                assert json.loads(await viewer.recv()) == {"type": "complete"}
                with pytest.raises(ConnectionClosed):
                    await viewer.recv()
            while "viewer.left" not in [line["event"] for line in log]:  # noqa: ASYNC110 - it is a list
                await anyio.sleep(0.01)
    assert [line["event"] for line in log if line["event"].startswith("viewer.")] == ["viewer.joined", "viewer.left"]
