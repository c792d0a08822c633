"""The bare libraries as a server of their own: what HTTP, a WebSocket and gRPC cost with nothing behind them.

HTTP and WebSocket by Starlette under uvicorn, gRPC by grpc.aio, all in one process beside the benchmark. The caller
says how many bytes it wants: `/BYTES`, `/ws/jobs/ANY/streams/BYTES`, and the id of the gRPC stream.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import grpc.aio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from focus_server.proto import SERVICE, STREAM_DATA, DataStream, StreamDataRequest

ENDS_WITHIN_S = 10.0


@dataclass(frozen=True)
class Bare:
    """Where it listens."""

    url: str
    grpc_port: int


@contextmanager
def bare_server() -> Iterator[Bare]:
    """Run it in its own process."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Bare(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def message(size: int) -> DataStream:
    """Make a message of one row of so many bytes."""
    return DataStream(timestamp_in_milis=[0], row_index=[0], main_data=[bytes(size)])


async def answer(request: Request) -> Response:
    """Take what is sent, and answer so many bytes."""
    await request.body()
    return Response(bytes(request.path_params["size"]), media_type="application/json")


async def show(websocket: WebSocket) -> None:
    """Send one message, and wait until the viewer goes."""
    await websocket.accept()
    await websocket.send_bytes(message(websocket.path_params["size"]).SerializeToString())
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def stream(request: StreamDataRequest, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[DataStream]:
    """Send one message, and go on until the viewer goes."""
    yield message(request.stream_id)
    await asyncio.Event().wait()


async def serve() -> None:
    """Serve until standard input ends."""
    handler = grpc.unary_stream_rpc_method_handler(
        stream,
        request_deserializer=StreamDataRequest.FromString,
        response_serializer=DataStream.SerializeToString,
    )
    streams = grpc.aio.server()
    streams.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {STREAM_DATA: handler})])
    grpc_port = streams.add_insecure_port("127.0.0.1:0")
    await streams.start()
    # Only with the protocol named does asyncio switch Nagle's delay off, which would cost 40 ms for each answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    routes = [
        Route("/{size:int}", answer, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/ws/jobs/{job}/streams/{size:int}", show),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), log_level="warning", access_log=False, ws_per_message_deflate=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    print(json.dumps(asdict(Bare(f"http://127.0.0.1:{listener.getsockname()[1]}", grpc_port))), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving
    await streams.stop(0)


if __name__ == "__main__":
    asyncio.run(serve())
