"""A client of a Focus Server that blocks; `AsyncFocusClient` has the same calls for asynchronous code."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar, Unpack

import httpx

from fullspan.clients import focus_calls as calls
from fullspan.clients.call import http_options
from fullspan.clients.focus_answers import ChannelRange, Health, Job, JobSummary, LiveMetadata
from fullspan.clients.focus_pull import Pulled, PulledRow
from fullspan.clients.focus_requests import OlderWishes, Wishes, configure_document, older_document
from fullspan.clients.focus_stream import SILENCE_S, StreamReader, read_stream
from fullspan.clients.focus_watch import Watch, watch
from fullspan.clients.metrics import Metrics
from fullspan.clients.typed_http import TypedHttp

T = TypeVar("T")

_PULL_EVERY_S: Final = 0.05


class FocusClient(TypedHttp):
    """A client that blocks. What goes wrong is a `ClientError`, which says it in a sentence.

    A call that failed is repeated up to `retries` times where that is safe. `viewer` names who asks, for servers that
    limit the jobs of one viewer. `tls` says whom to trust, as `stack.environment.tls.context()` does. `raw` sends
    anything, once, for what a typed call cannot say.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 2,
        viewer: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._headers = {} if viewer is None else {"X-Viewer": viewer}
        super().__init__(httpx.Client(**http_options(base_url, timeout_s, self._headers, tls)), retries)

    def ack(self) -> None:
        """Return when the server is there."""
        return self._run(calls.ack())

    def info(self) -> str:
        """Give the server's version."""
        return self._run(calls.info())

    def openapi(self) -> Mapping[str, Any]:
        """Give the description of the interface."""
        return self._run(calls.openapi())

    def health(self) -> Health:
        """Tell how the server's dependencies are."""
        return self._run(calls.health())

    def metrics(self) -> Metrics:
        """Give the server's figures."""
        return self._run(calls.metrics())

    def channels(self) -> ChannelRange:
        """Give the fibre's channels."""
        return self._run(calls.channels())

    def sensors(self) -> tuple[int, ...]:
        """List the fibre's sensors, counted from 0."""
        return self._run(calls.sensors())

    def live_metadata(self) -> LiveMetadata:
        """Describe the fibre."""
        return self._run(calls.live_metadata())

    def configure(self, channels: int | tuple[int, int], *, key: str | None = None, **wishes: Unpack[Wishes]) -> Job:
        """Make a job; repeated with the same `key` it is the same job, and without one the client takes a new key."""
        return self._run(calls.configure(configure_document(channels, **wishes), key))

    def config(self, task_id: str, sensors: int | tuple[int, int], **wishes: Unpack[OlderWishes]) -> str:
        """Make a job in the older form, to be asked for by its task_id from then on."""
        return self._run(calls.older_config(task_id, older_document(sensors, **wishes)))

    def metadata(self, job_id: str) -> Job:
        """Give what `configure` answered for a job."""
        return self._run(calls.metadata(job_id))

    def jobs(self) -> list[JobSummary]:
        """List all jobs."""
        return self._run(calls.jobs())

    def cancel(self, job_id: str) -> None:
        """End a job."""
        return self._run(calls.cancel(job_id))

    def recordings(self, start: float, end: float) -> list[tuple[float, float]]:
        """Give the ranges that were recorded between two times, in epoch seconds."""
        return self._run(calls.recordings(start, end))

    def recordings_page(self, between: tuple[float, float] | None = None) -> str:
        """Give the HTML page that draws what was recorded, of the last 24 hours or between two times."""
        return self._run(calls.recordings_page(between))

    def pull(self, job_id: str, row_count: int) -> Pulled:
        """Take at most so many of the rows that wait in the server; the first call makes it keep them."""
        return self._run(calls.pull(job_id, row_count))

    def waterfall(self, job_id: str, row_count: int = 100, silence_s: float = SILENCE_S) -> Iterator[PulledRow]:
        """Pull rows for as long as there are any to come. Raises `NothingCame` after a silence."""
        heard_s = time.monotonic()
        while not (pulled := self.pull(job_id, row_count)).complete:
            for block in pulled.blocks:
                yield from block.rows
            if pulled.blocks:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > silence_s:
                raise calls.nothing_pulled(job_id, silence_s)
            else:
                time.sleep(_PULL_EVERY_S)  # how often this interface is asked

    @contextmanager
    def stream(self, job: Job, stream: int = 0, *, silence_s: float = SILENCE_S) -> Iterator[StreamReader]:
        """Read a stream of a job over gRPC."""
        with read_stream(job.host, job.stream_port, stream, silence_s=silence_s) as reader:
            yield reader

    @contextmanager
    def watch(self, job_id: str, stream: int = 0, *, silence_s: float = SILENCE_S) -> Iterator[Watch]:
        """Read a stream of a job over the WebSocket."""
        with watch(str(self._http.base_url), job_id, stream, silence_s, self._headers) as reader:
            yield reader
