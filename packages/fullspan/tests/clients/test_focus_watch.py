"""Watching a stream over a real WebSocket, by both clients; what is sent is up to the test."""

import json
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import pytest
from websockets.asyncio.server import serve

from fullspan.clients import (
    AsyncFocusClient,
    ClientError,
    DataStream,
    FocusClient,
    NothingCame,
    NotUnderstood,
    Refused,
    StateFrame,
    StreamLost,
    Unreachable,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("way", ["sync", "async"])]


@asynccontextmanager
async def sending(*frames, code=1000, reason="", refuse=None):
    """A server that sends frames to whoever comes, and closes with a code; None: it stays silent."""
    asked = []

    async def handler(connection):
        for frame in frames:
            await connection.send(frame)
        if code is not None:
            await connection.close(code, reason)
        await connection.wait_closed()

    def look(connection, request):
        asked.append((request.path, request.headers.get("X-Viewer")))
        if refuse is None:
            return None
        status, document = refuse
        return connection.respond(status, json.dumps(document))

    async with serve(handler, "127.0.0.1", 0, process_request=look, compression=None) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def watch_all(way, url, job_id="0-1", stream=0, silence_s=20.0):
    """Watch a stream to its end: what came, and how it ended."""

    def block():
        with FocusClient(url, viewer="me") as client, client.watch(job_id, stream, silence_s=silence_s) as watch:
            seen.extend(watch)

    seen = []
    try:
        if way == "sync":
            await anyio.to_thread.run_sync(block)
        else:
            async with (
                AsyncFocusClient(url, viewer="me") as client,
                client.watch(job_id, stream, silence_s=silence_s) as watch,
            ):
                async for item in watch:
                    seen.append(item)  # noqa: PERF401 - what came before an error is kept
    except ClientError as error:
        return seen, error
    return seen, None


def text(**attributes):
    return json.dumps(attributes)


async def test_messages_and_states_come_in_order_until_complete(way):
    message = DataStream(row_index=[3], main_data=[b"\x00" * 2_000_000])
    filling, complete = text(type="filling", seconds_left=1.5), text(type="complete")
    async with sending(filling, message.SerializeToString(), complete) as (url, asked):
        seen, error = await watch_all(way, f"{url}/focus-server", "../x", 2)
    assert seen == [StateFrame("filling", {"seconds_left": 1.5}), message, StateFrame("complete", {})]
    assert error is None
    assert asked == [("/focus-server/ws/jobs/..%2Fx/streams/2", "me")]


async def test_an_end_that_is_no_completion_is_an_error_with_its_sentence(way):
    async with sending(text(type="error", error="No such job."), code=4404, reason="no such job") as (url, _):
        seen, error = await watch_all(way, url)
    assert seen == [StateFrame("error", {"error": "No such job."})]
    assert (type(error), error.code, error.reason) == (StreamLost, "4404", "No such job.")
    async with sending(code=1012, reason="restart") as (url, _):
        seen, error = await watch_all(way, url)
    assert (seen, error.code, error.reason) == ([], "1012", "restart")


async def test_silence_is_an_error(way):
    async with sending(text(type="gap", seconds=2), code=None) as (url, _):
        seen, error = await watch_all(way, url, silence_s=0.5)
    assert (seen, type(error)) == ([StateFrame("gap", {"seconds": 2})], NothingCame)
    assert str(error).startswith("the WebSocket of job 0-1, stream 0, gave nothing for 0.5 s")


@pytest.mark.parametrize("frame", ["no JSON", "[]", "{}", b"\xff"])
async def test_a_frame_of_another_shape_is_not_understood(way, frame):
    async with sending(frame) as (url, _):
        seen, error = await watch_all(way, url)
    assert (seen, type(error)) == ([], NotUnderstood)


async def test_a_refused_connection_has_its_status_and_sentence(way):
    async with sending(refuse=(403, {"error": "Not for this Host.", "detail": "Host"})) as (url, _):
        _, error = await watch_all(way, url)
    assert (type(error), error.status, error.error) == (Refused, 403, "Not for this Host.")


async def test_nobody_there_is_unreachable(way):
    async with sending() as (url, _):
        pass
    _, error = await watch_all(way, url)
    assert type(error) is Unreachable
    assert "/ws/jobs/0-1/streams/0 could not be opened" in str(error)
