"""Reading a job's stream over real gRPC, and that both packages mean the same messages."""

from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import grpc
import grpc.aio
import pytest

import focus_server.proto
import fullspan.clients
from fullspan.clients import (
    ClientError,
    DataStream,
    NothingCame,
    StreamDataRequest,
    StreamLost,
    open_stream,
    read_stream,
    read_stream_async,
)

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


async def read_all(way, port, stream=0, silence_s=20.0):
    """Read a stream by one of the two readers: the rows that came, and how it ended."""

    def block():
        with read_stream("127.0.0.1", port, stream, silence_s=silence_s) as reader:
            for message in reader:
                rows.extend(message.row_index)

    rows = []
    try:
        if way == "sync":
            await anyio.to_thread.run_sync(block)
        else:
            async with read_stream_async("127.0.0.1", port, stream, silence_s=silence_s) as reader:
                async for message in reader:
                    rows.extend(message.row_index)
    except ClientError as error:
        return rows, error
    return rows, None


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
async def test_both_readers_give_what_there_is_to_its_end(way):
    async def behaviour(request, _):
        for row in range(50):
            yield DataStream(row_index=[request.stream_id, row])

    async with streaming(behaviour) as port:
        rows, error = await read_all(way, port, 2)
    assert (rows[::2], rows[1::2], error) == ([2] * 50, list(range(50)), None)


@WAYS
async def test_both_readers_say_why_a_stream_broke_off(way):
    async def behaviour(_, context):
        yield DataStream(row_index=[7])
        await context.abort(grpc.StatusCode.UNAVAILABLE, "The analyzer stops; connect again when it is back.")

    async with streaming(behaviour) as port:
        rows, error = await read_all(way, port)
    assert (rows, error.code) == ([7], "UNAVAILABLE")
    assert error.reason == "The analyzer stops; connect again when it is back."
    assert str(error) == f"the gRPC stream 0 at 127.0.0.1:{port} ended with UNAVAILABLE: {error.reason}"
    _, error = await read_all(way, port)
    assert (type(error), error.code) == (StreamLost, "UNAVAILABLE")


@WAYS
async def test_both_readers_give_up_a_silent_stream(way):
    left = anyio.Event()

    async def behaviour(*_):
        try:
            yield DataStream(row_index=[1])
            await anyio.sleep_forever()
        finally:
            left.set()

    async with streaming(behaviour) as port:
        rows, error = await read_all(way, port, silence_s=1.0)
        assert (rows, type(error)) == ([1], NothingCame)
        assert "gave nothing for 1 s" in str(error)
        with anyio.fail_after(20):
            await left.wait()
