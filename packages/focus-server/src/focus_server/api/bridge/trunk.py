"""One gRPC stream of a job, read once and handed to its viewers as the bytes that came."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import anyio
import grpc
import grpc.aio
import structlog

from focus_server.api.bridge.viewer import End, Viewer, state_frame
from focus_server.contract import ConfigureAnswer, Display, Refusal
from focus_server.jobs import Orchestrator
from focus_server.proto import SERVICE, STREAM_DATA, DataStream, StreamDataRequest

_log = structlog.get_logger()

_METHOD: Final = f"/{SERVICE}/{STREAM_DATA}"
_CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 50_000_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class TrunkLimits:
    """How patient a trunk is, in seconds.

    Before a lost stream is given up, before the first and between later looks at a silent one, and between two
    attempts at most.
    """

    give_up_s: float = 30.0
    first_look_s: float = 0.25
    quiet_s: float = 1.0
    longest_pause_s: float = 1.0


class Trunk:
    """The stream `stream` of the job `job_id`. It follows the job through restarts of the analyzer.

    A patient one, as a historic job needs, reads no more before its viewer has taken what there is, and loses nothing.
    """

    def __init__(
        self, orchestrator: Orchestrator, job_id: str, stream: int, limits: TrunkLimits, *, patient: bool = False
    ) -> None:
        self._orchestrator = orchestrator
        self.job_id = job_id
        self._stream = stream
        self.key = (job_id, stream)
        self._limits = limits
        self._patient = patient
        self._viewers: set[Viewer] = set()
        self._newest: bytes | None = None
        self._display = Display()
        self._shown = 0
        self._heard_at = time.monotonic()
        self._found = False
        self._was_open = False
        self._why_lost = ""
        self.scope = anyio.CancelScope()

    @property
    def unused(self) -> bool:
        """True when nobody watches any more."""
        return not self._viewers

    def join(self, viewer: Viewer) -> None:
        """Start feeding a viewer, at once with the newest message."""
        self._viewers.add(viewer)
        if self._display != Display():
            viewer.tell(_display_frame(self._display))
        if self._newest is not None:
            viewer.offer(self._newest)

    def leave(self, viewer: Viewer) -> None:
        """Stop feeding a viewer."""
        self._viewers.discard(viewer)

    def show(self, display: Display) -> None:
        """Tell viewers how the job is drawn now, if that has changed."""
        self._shown += 1
        if display == self._display:
            return
        self._display = display
        for viewer in self._viewers:
            viewer.tell(_display_frame(display))

    async def run(self) -> None:
        """Feed the viewers until the job ends, or until the scope is cancelled."""
        with self.scope:
            try:
                end = await self._follow()
            except Exception:
                _log.exception("trunk.failed", job=self.job_id, stream=self._stream)
                end = End.error(1011, "The server failed while it read this stream; its log says why.", "failed")
            _log.info("trunk.ended", job=self.job_id, stream=self._stream, reason=end.reason)
            for viewer in self._viewers:
                viewer.end(end)

    async def _follow(self) -> End:
        pause_s = 0.05
        lost_at: float | None = None
        while True:
            end = await self._attempt()
            if end is not None:
                return end
            now = time.monotonic()
            if lost_at is None or self._was_open:
                lost_at, pause_s = now, 0.05
                _log.info("trunk.lost", job=self.job_id, stream=self._stream, reason=self._why_lost)
                self._tell("gap", reason="The analyzer is not reachable; reconnecting.")
            if now - lost_at > self._limits.give_up_s:
                seconds = f"{self._limits.give_up_s:g} s"
                return End.error(1013, f"The analyzer has not been reachable for {seconds}.", "analyzer not reachable")
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._limits.longest_pause_s)

    async def _attempt(self) -> End | None:
        """Read the stream once; None means that it was lost and may come back."""
        self._was_open = False
        shown = self._shown
        try:
            job = await self._orchestrator.job(self.job_id)
        except Refusal as refusal:
            return self._end_without_job(refusal)
        self._found = True
        if shown == self._shown:  # otherwise there was newer news meanwhile
            self.show(job.metadata.display)
        if self._stream >= job.stream_amount:
            return End.refused(no_such_stream(job, self._stream))
        if job.metadata.historic and not self._patient:  # it was not to be found when its viewers came
            return End.error(1013, f"Job {self.job_id} plays recordings; connect again to play them.", "connect again")
        opened_at = time.monotonic()
        async with self._watching_silence(job):
            try:
                await self._read(job)
            except grpc.aio.AioRpcError as error:
                # A stream may be silent for long; what is not refused at once was open.
                self._was_open |= time.monotonic() - opened_at > self._limits.longest_pause_s
                return self._end_of_call(error)
        return End.complete()

    def _end_without_job(self, refusal: Refusal) -> End | None:
        if refusal.status >= 500:
            self._why_lost = refusal.error
            return None
        if self._found and self._patient:
            sentence = f"Job {self.job_id} was ended before its recordings were played to the end."
            return End.error(4404, sentence, "job ended")
        return End.complete() if self._found else End.refused(refusal)

    def _end_of_call(self, error: grpc.aio.AioRpcError) -> End | None:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return End.error(4400, f"Job {self.job_id} has no stream {self._stream}.", "no such stream")
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return End.error(1013, error.details() or "The analyzer plays no more streams now.", "too many playbacks")
        self._why_lost = f"{error.code().name}: {error.details()}"
        return None

    async def _read(self, job: ConfigureAnswer) -> None:
        host = urlsplit(job.stream_url).hostname or "127.0.0.1"
        async with grpc.aio.insecure_channel(f"{host}:{job.stream_port}", options=_CHANNEL_OPTIONS) as channel:
            method = channel.unary_stream(
                _METHOD, request_serializer=StreamDataRequest.SerializeToString, response_deserializer=_as_it_came
            )
            again = self._newest is not None
            async for message in method(StreamDataRequest(stream_id=self._stream)):
                if again and self._is_known(message):
                    continue
                again = False
                self._newest = message
                self._was_open = True
                self._heard_at = time.monotonic()
                for viewer in self._viewers:
                    viewer.offer(message)
                if self._patient:
                    await self._until_taken()

    async def _until_taken(self) -> None:
        for viewer in list(self._viewers):
            await viewer.until_taken()

    def _is_known(self, message: bytes) -> bool:
        """Tell whether a stream that was opened again begins with rows that the viewers have had."""
        known = DataStream.FromString(self._newest or b"").row_index
        rows = DataStream.FromString(message).row_index
        return bool(known) and bool(rows) and rows[-1] <= known[-1]

    @asynccontextmanager
    async def _watching_silence(self, job: ConfigureAnswer) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            if not self._patient:  # there the viewer itself, or its play rate, decides when something comes
                group.start_soon(self._watch_silence, job)
            try:
                yield
            finally:
                group.cancel_scope.cancel()

    async def _watch_silence(self, job: ConfigureAnswer) -> None:
        """Tell viewers why nothing comes: the ring is filling, or the fibre pauses."""
        self._heard_at = time.monotonic()
        while True:
            silent_s = time.monotonic() - self._heard_at
            patience_s = self._limits.quiet_s + 2 * job.lines_dt if self._newest else self._limits.first_look_s
            if silent_s >= patience_s:
                await self._explain_silence(silent_s)
                await anyio.sleep(self._limits.quiet_s)
            else:
                await anyio.sleep(patience_s - silent_s)

    async def _explain_silence(self, silent_s: float) -> None:
        try:
            state = await self._orchestrator.state(self.job_id)
        except Refusal:
            return
        if state.state == "filling":
            self._tell("filling", seconds_left=round(state.ready_in_s, 1))
        elif silent_s >= self._limits.quiet_s:
            self._tell("gap", seconds=round(silent_s, 1))

    def _tell(self, kind: str, **attributes: object) -> None:
        frame = state_frame(kind, **attributes)
        for viewer in self._viewers:
            viewer.tell(frame)


def no_such_stream(job: ConfigureAnswer, stream: int) -> Refusal:
    """Refuse a stream that a job does not have."""
    sentence = f"Job {job.job_id} has no stream {stream}; its streams are 0 to {job.stream_amount - 1}."
    return Refusal(400, sentence, "stream")


def _display_frame(display: Display) -> str:
    return state_frame("display", **display.model_dump())


def _as_it_came(message: bytes) -> bytes:
    return message
