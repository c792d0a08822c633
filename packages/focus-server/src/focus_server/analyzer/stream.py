"""The gRPC side of a job: one server on a port of its own, whose handler knows nothing but its job."""

from typing import Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from structlog.contextvars import bound_contextvars

from focus_server.analyzer.job import Job
from focus_server.analyzer.viewer import End
from focus_server.contract import Refusal
from focus_server.errors import FocusError
from focus_server.proto import SERVICE, STREAM_DATA, StreamDataRequest

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # otherwise two processes share a port without an error
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_receive_message_length", 4096),
    ("grpc.server_handshake_timeout_ms", 10_000),  # who only opens a connection does not keep it
)
_LAST_WORDS_S: Final = 0.5
"""How long streams may take to tell their viewers why they end."""

Context = grpc.aio.ServicerContext[StreamDataRequest, bytes]


_NO_JOB_YET: Final = End(grpc.StatusCode.UNAVAILABLE, "The job is being made; try again.")


class JobServer:
    """Serves one job, as soon as it is set, to any number of viewers. Open from `start` until `stop`."""

    def __init__(self, host: str) -> None:
        self.job: Job | None = None
        self._host = host
        self._end: End | None = None
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int) -> int:
        """Open the port, any free one for 0, and give its number. Raises `FocusError` when it is taken."""
        server = grpc.aio.server(options=_OPTIONS)
        handler = grpc.unary_stream_rpc_method_handler(self._stream_data, request_deserializer=_read)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {STREAM_DATA: handler}),))
        try:
            bound = server.add_insecure_port(f"{self._host}:{port}")
        except RuntimeError:
            raise FocusError(f"Port {port} is taken by another program.") from None
        await server.start()
        self._server = server
        return bound

    async def stop(self, end: End) -> None:
        """End all streams with a status and a reason, then close the port."""
        self._end = end
        if self.job is not None:
            self.job.end_streams(end)
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=_LAST_WORDS_S)

    async def _stream_data(self, request: StreamDataRequest, context: Context) -> None:
        job = self.job
        if self._end is not None or job is None:
            await _abort(context, self._end or _NO_JOB_YET)
        await _check_stream(job, request.stream_id, context)
        with bound_contextvars(job=job.id, stream=request.stream_id):
            item = await _sent(job, request.stream_id, context)
        if item.code is not grpc.StatusCode.OK:
            await _abort(context, item)


def _read(message: bytes) -> StreamDataRequest:
    """Read a request; what is none asks for a stream that no job has, because an error here is taken for a defect."""
    try:
        return StreamDataRequest.FromString(message)
    except DecodeError:
        return StreamDataRequest(stream_id=-1)


async def _sent(job: Job, number: int, context: Context) -> End:
    """Send a stream until it ends, and give why it has."""
    try:
        with job.watched(number) as share:
            while not isinstance(item := await share.next(), End):
                await context.write(item)
            return item
    except Refusal as refusal:
        return End(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal.error)


async def _check_stream(job: Job, number: int, context: Context) -> None:
    amount = len(job.shapes)
    if not 0 <= number < amount:
        streams = "only stream 0" if amount == 1 else f"streams 0 to {amount - 1}"
        reason = f"Job {job.id} has {streams}; stream {number} does not exist."
        await _abort(context, End(grpc.StatusCode.INVALID_ARGUMENT, reason))


async def _abort(context: Context, end: End) -> NoReturn:
    await context.abort(end.code, end.reason)
    raise AssertionError("abort returned")  # pragma: no cover - it always raises
