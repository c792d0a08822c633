"""What the clients of one HTTP interface have in common: their connections, and how a typed call becomes an answer."""

import time
from typing import Any, Self, TypeVar

import anyio
import httpx

from fullspan.clients.attempts import Attempts, Outcome, failure
from fullspan.clients.call import Call

T = TypeVar("T")


class TypedHttp:
    """Sends calls over `http`, and repeats those that may be up to `retries` times; blocks."""

    def __init__(self, http: httpx.Client, retries: int) -> None:
        self._http = http
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

    def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._retries)
        while (pause_s := attempts.pause_after(outcome := self._send(call))) is not None:
            time.sleep(pause_s)
        if isinstance(outcome, httpx.TransportError):
            raise failure(call, outcome) from outcome
        return call.result(attempts.meant(outcome))

    def _send(self, call: Call[Any]) -> Outcome:
        try:
            return self._http.request(
                call.method, call.path, json=call.document, params=call.query, headers=call.headers
            )
        except httpx.TransportError as error:
            return error


class AsyncTypedHttp:
    """The same for asynchronous code."""

    def __init__(self, http: httpx.AsyncClient, retries: int) -> None:
        self._http = http
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

    async def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._retries)
        while True:
            outcome = await self._send(call)
            pause_s = attempts.pause_after(outcome)
            if pause_s is None:
                break
            await anyio.sleep(pause_s)
        if isinstance(outcome, httpx.TransportError):
            raise failure(call, outcome) from outcome
        return call.result(attempts.meant(outcome))

    async def _send(self, call: Call[Any]) -> Outcome:
        try:
            return await self._http.request(
                call.method, call.path, json=call.document, params=call.query, headers=call.headers
            )
        except httpx.TransportError as error:
            return error
