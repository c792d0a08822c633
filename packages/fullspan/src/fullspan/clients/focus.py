"""Clients of a Focus Server, one that blocks and one that does not; only reading calls are ever repeated."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self, TypeVar

import anyio
import httpx

from fullspan.clients import focus_calls as calls
from fullspan.clients.errors import ClientError, OutcomeUnknown, Unreachable
from fullspan.clients.focus_answers import ChannelRange, Health, Job, LiveMetadata

T = TypeVar("T")

_PASSING: Final = frozenset({429, 502, 503, 504})
_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Attempts:
    """How often and with which pauses a call may be tried: once, or for reading calls `retries` times more."""

    def __init__(self, call: calls.Call[Any], retries: int) -> None:
        self._call = call
        self._left = retries if call.repeatable else 0
        self._pauses_s: Iterator[float] = (0.1 * 2**n for n in range(10))

    def pause_after(self, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds to wait before the next attempt; None when this outcome is the result."""
        if isinstance(outcome, httpx.Response):
            status = outcome.status_code
            if status not in _PASSING or status in self._call.expected:
                return None
        if self._left == 0:
            return None
        self._left -= 1
        asked = calls.retry_after_s(outcome) if isinstance(outcome, httpx.Response) else None
        return min(1.0, max(asked or 0.0, next(self._pauses_s)))


def _failure(call: calls.Call[Any], error: httpx.TransportError) -> ClientError:
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, _NOTHING_SENT):
        return Unreachable(f"{call} could not be sent ({what})")
    return OutcomeUnknown(f"{call} was sent but not answered ({what})")


class FocusClient:
    """A client that blocks. `raw` sends anything and gives the plain response, for what a typed call cannot say."""

    def __init__(self, base_url: str, *, timeout_s: float = 10.0, retries: int = 2) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False)
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as it is, once."""
        return self._http.request(method, path, **options)

    def ack(self) -> None:
        """Return when the server is there."""
        return self._run(calls.ack())

    def health(self) -> Health:
        """Tell how the server's dependencies are."""
        return self._run(calls.health())

    def channels(self) -> ChannelRange:
        """Give the fibre's channels."""
        return self._run(calls.channels())

    def live_metadata(self) -> LiveMetadata:
        """Describe the fibre."""
        return self._run(calls.live_metadata())

    def jobs(self) -> list[Mapping[str, Any]]:
        """List all jobs."""
        return self._run(calls.jobs())

    def metadata(self, job_id: str) -> Job:
        """Give what `configure` answered for a job."""
        return self._run(calls.metadata(job_id))

    def configure(self, channels: int | tuple[int, int], **wishes: Any) -> Job:
        """Make a job; `wishes` are those of `configure_document`. Never repeated."""
        return self._run(calls.configure(calls.configure_document(channels, **wishes)))

    def recordings(self, start: float, end: float) -> list[tuple[float, float]]:
        """Give the ranges that were recorded between two times, in epoch seconds."""
        return self._run(calls.recordings(start, end))

    def cancel(self, job_id: str) -> None:
        """End a job."""
        return self._run(calls.cancel(job_id))

    def _run(self, call: calls.Call[T]) -> T:
        attempts = _Attempts(call, self._retries)
        while True:
            outcome = self._send(call)
            pause_s = attempts.pause_after(outcome)
            if pause_s is None:
                break
            time.sleep(pause_s)
        if isinstance(outcome, httpx.Response):
            return call.result(outcome)
        raise _failure(call, outcome) from outcome

    def _send(self, call: calls.Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(call.method, call.path, json=call.document)
        except httpx.TransportError as error:
            return error


class AsyncFocusClient:
    """The same client for asynchronous code."""

    def __init__(self, base_url: str, *, timeout_s: float = 10.0, retries: int = 2) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_s, trust_env=False)
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as it is, once."""
        return await self._http.request(method, path, **options)

    async def ack(self) -> None:
        """Return when the server is there."""
        return await self._run(calls.ack())

    async def health(self) -> Health:
        """Tell how the server's dependencies are."""
        return await self._run(calls.health())

    async def channels(self) -> ChannelRange:
        """Give the fibre's channels."""
        return await self._run(calls.channels())

    async def live_metadata(self) -> LiveMetadata:
        """Describe the fibre."""
        return await self._run(calls.live_metadata())

    async def jobs(self) -> list[Mapping[str, Any]]:
        """List all jobs."""
        return await self._run(calls.jobs())

    async def metadata(self, job_id: str) -> Job:
        """Give what `configure` answered for a job."""
        return await self._run(calls.metadata(job_id))

    async def configure(self, channels: int | tuple[int, int], **wishes: Any) -> Job:
        """Make a job; `wishes` are those of `configure_document`. Never repeated."""
        return await self._run(calls.configure(calls.configure_document(channels, **wishes)))

    async def recordings(self, start: float, end: float) -> list[tuple[float, float]]:
        """Give the ranges that were recorded between two times, in epoch seconds."""
        return await self._run(calls.recordings(start, end))

    async def cancel(self, job_id: str) -> None:
        """End a job."""
        return await self._run(calls.cancel(job_id))

    async def _run(self, call: calls.Call[T]) -> T:
        attempts = _Attempts(call, self._retries)
        while True:
            outcome = await self._send(call)
            pause_s = attempts.pause_after(outcome)
            if pause_s is None:
                break
            await anyio.sleep(pause_s)
        if isinstance(outcome, httpx.Response):
            return call.result(outcome)
        raise _failure(call, outcome) from outcome

    async def _send(self, call: calls.Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(call.method, call.path, json=call.document)
        except httpx.TransportError as error:
            return error
