"""A job's gRPC stream as an asynchronous client reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
import grpc.aio

from fullspan.clients.pandadatastream_pb2 import DataStream, StreamDataRequest

_METHOD: Final = "/pandadatastream.DataStreamService/StreamData"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 50_000_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

StreamCall = grpc.aio.UnaryStreamCall[StreamDataRequest, DataStream]


@asynccontextmanager
async def open_stream(host: str, port: int, stream_id: int = 0) -> AsyncIterator[StreamCall]:
    """Open a stream; iterate over what it gives for messages. A lost stream raises `grpc.aio.AioRpcError`."""
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=_OPTIONS) as channel:
        method = channel.unary_stream(
            _METHOD, request_serializer=StreamDataRequest.SerializeToString, response_deserializer=DataStream.FromString
        )
        call = method(StreamDataRequest(stream_id=stream_id))
        try:
            yield call
        finally:
            call.cancel()
