"""Reading a job's stream over real gRPC, and that both packages mean the same messages."""

from contextlib import asynccontextmanager

import anyio
import grpc
import grpc.aio
import pytest

import focus_server.proto
import fullspan.clients
from fullspan.clients import DataStream, StreamDataRequest, open_stream

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def streaming(behaviour):
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_stream_rpc_method_handler(
        behaviour, StreamDataRequest.FromString, DataStream.SerializeToString
    )
    service = grpc.method_handlers_generic_handler("pandadatastream.DataStreamService", {"StreamData": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def test_a_stream_gives_its_messages_then_ends():
    async def behaviour(request, _):
        for row in range(3):
            yield DataStream(row_index=[row], main_data=[bytes([request.stream_id])], job_id=14)

    async with streaming(behaviour) as port, open_stream("127.0.0.1", port, 2) as call:
        rows = [(list(m.row_index), m.main_data[0], m.job_id) async for m in call]
        assert await call.code() is grpc.StatusCode.OK
    assert rows == [([0], b"\x02", 14), ([1], b"\x02", 14), ([2], b"\x02", 14)]


async def test_a_message_may_have_many_megabytes():
    async def behaviour(*_):
        yield DataStream(main_data=[bytes(20_000_000)])

    async with streaming(behaviour) as port, open_stream("127.0.0.1", port) as call:
        assert [len(m.main_data[0]) async for m in call] == [20_000_000]


async def test_why_a_stream_was_refused_is_kept():
    async def behaviour(_, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "job 0-1 is finished")
        yield

    async with streaming(behaviour) as port, open_stream("127.0.0.1", port) as call:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(call))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "job 0-1 is finished")


async def test_leaving_a_stream_ends_it_at_the_server():
    left = anyio.Event()

    async def behaviour(*_):
        try:
            yield DataStream(row_index=[1])
            await anyio.sleep_forever()
        finally:
            left.set()

    async with streaming(behaviour) as port:
        async with open_stream("127.0.0.1", port) as call:
            assert (await anext(aiter(call))).row_index == [1]
        with anyio.fail_after(10):
            await left.wait()


def test_both_packages_mean_the_same_messages():
    ours, theirs = fullspan.clients.DataStream.DESCRIPTOR.file, focus_server.proto.DataStream.DESCRIPTOR.file
    assert ours.name == theirs.name == "pandadatastream.proto"
    assert ours.serialized_pb == theirs.serialized_pb
