"""What the server writes to its log about viewers names their job."""

import anyio
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

pytestmark = pytest.mark.anyio

WAIT_S = 60


async def test_the_life_of_a_viewer_names_its_job(analyzer, address):
    analyzer.add_job()
    with capture_logs(processors=[merge_contextvars]) as log:
        async with connect(f"ws://{address}/ws/jobs/0-1/streams/0", proxy=None):
            await analyzer.wait_for_streams()
        with anyio.fail_after(WAIT_S):
            while "viewer.left" not in [line["event"] for line in log]:  # noqa: ASYNC110 - it is a list
                await anyio.sleep(0.01)
    told = [(line["event"], line.get("job"), line.get("stream")) for line in log]
    assert told[0] == ("viewer.joined", "0-1", 0)
    assert ("viewer.left", "0-1", 0) in told
    assert {job for _, job, _ in told} == {"0-1"}
