"""A client that knows nothing but well-known ports and passwords finds a live fibre and its last minutes.

Run with `--fixed-ports`: focus 5000, MongoDB 27017 (prisma), RabbitMQ 5672 and 15672 (guest).
"""

import time
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pymongo
import pytest

from fullspan.clients import FocusClient, open_stream
from fullspan.pytest_plugin import Evidence
from fullspan.stack import Stack

pytestmark = [pytest.mark.outside, pytest.mark.e2e]

FOCUS = "http://127.0.0.1:5000"
MONGODB = "mongodb://prisma:prisma@127.0.0.1:27017/prisma"
MANAGEMENT = "http://127.0.0.1:15672"
GUEST = ("guest", "guest")
MINUTES_S = 100.0
RECORDED_WITHIN_S = 60.0


def documents(database: Any) -> list[dict[str, Any]]:
    bases = database["base_paths"].find({"is_archive": False})
    return [each for base in list(bases) for each in database[base["guid"]].find({"end_time": {"$ne": None}})]


def test_an_existing_client_works_unchanged(
    stack: Stack, evidence: Evidence, wait_until: Callable[[Callable[[], bool], float, str], None]
) -> None:
    assert stack.components["focus"].ports == {"http": 5000}
    with FocusClient(FOCUS) as focus, pymongo.MongoClient(MONGODB, timeoutMS=2000) as mongo:
        wait_until(lambda: not focus.live_metadata().waiting, RECORDED_WITHIN_S, "a live feed")
        live = focus.live_metadata()
        assert (live.prr, live.number_of_channels) == (1000.0, focus.channels().highest)
        who = httpx.get(f"{MANAGEMENT}/api/whoami", auth=GUEST).json()
        assert who["name"] == "guest"
        queues = {queue["name"] for queue in httpx.get(f"{MANAGEMENT}/api/queues", auth=GUEST).json()}
        assert {"analyzer.local", "recorder.local"} <= queues

        began = time.monotonic()

        def minutes() -> bool:
            spans = [(d["start_time"].timestamp(), d["end_time"].timestamp()) for d in documents(mongo.prisma)]
            return bool(spans) and max(spans)[1] - min(spans)[0] >= MINUTES_S

        wait_until(minutes, RECORDED_WITHIN_S, "recordings of the last minutes")
        evidence.figure("the last minutes are in the catalogue after", round(time.monotonic() - began, 1), "s")
        ranges = focus.recordings(time.time() - 300, time.time())
        assert sum(end - start for start, end in ranges) >= MINUTES_S
        start, end = ranges[0]
        job = focus.configure((1, 50), view=0, nfft=512, between=(start + 1, min(start + 11, end)))
        assert job.stream_port >= 12301
        assert anyio.run(rows, job.host, job.stream_port) > 10
        focus.cancel(job.job_id)


async def rows(host: str, port: int) -> int:
    """Count the rows of a recording, to its end."""
    count = 0
    with anyio.fail_after(60):
        async with open_stream(host, port) as call:
            async for message in call:
                count += len(message.row_index)
    return count
