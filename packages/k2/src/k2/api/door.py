"""In front of every request: its name in the log, the Host it may ask, the key, how often, how much."""

import hmac
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from k2.api.figures import Figures
from k2.api.refusal import Refusal, refusal_response

__all__ = ["Door", "RateLimit"]

_OPEN: Final = frozenset({"/", "/health", "/health/live", "/health/ready", "/metrics"})
_OPEN_BELOW: Final = "/page/"
_CORRELATION: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_HOST: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?", re.ASCII)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "other"
"""In place of what a client made up, so that figures stay few."""


class RateLimit:
    """Lets each key do `rate` requests a second, and twice as many at once after a pause."""

    def __init__(self, rate: float, most_keys: int = 1000) -> None:
        self._rate: Final = rate
        self._burst: Final = max(1.0, 2 * rate)
        self._most_keys: Final = most_keys
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Count a request at a time in seconds; returns 0 when it may pass, else how long to wait before the next."""
        tokens, last_s = self._left.pop(key, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - last_s) * self._rate)
        passes = tokens >= 1
        self._left[key] = (tokens - 1 if passes else tokens, now_s)
        if len(self._left) > self._most_keys:
            self._left.popitem(last=False)
        return 0.0 if passes else (1 - tokens) / self._rate


class Door:
    """Lets requests in, or answers them here; everything is counted in `figures`."""

    def __init__(
        self, app: ASGIApp, figures: Figures, key: str, hosts: Iterable[str], rate: float, max_body_bytes: int
    ) -> None:
        self._app: Final = app
        self._figures: Final = figures
        self._keys: Final = tuple(part.strip().encode() for part in key.split(",") if part.strip())
        self._hosts: Final = frozenset(host.lower() for host in hosts)
        self._rate: Final = RateLimit(rate)
        self._most: Final = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-correlation-id", "")
        correlation = given if _CORRELATION.fullmatch(given) else uuid.uuid4().hex
        began_s = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = MutableHeaders(scope=message)
                told["X-Correlation-ID"] = correlation
                told["X-Content-Type-Options"] = "nosniff"
                self._note(scope, status, time.perf_counter() - began_s)
            await send(message)

        scope["correlation"] = correlation
        self._figures.busy.inc()
        try:
            self._let_in(scope, headers)
            if scope["method"] == "POST":
                receive = await self._body(headers, receive)
            await self._app(scope, receive, sending)
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive, sending)
        finally:
            self._figures.busy.dec()

    def _let_in(self, scope: Scope, headers: Headers) -> None:
        match = _HOST.fullmatch(headers.get("host", "").lower())
        if match is None or match[1].strip("[]") not in self._hosts:
            self._refuse(403, "host", "This server does not answer for this Host; allowed_hosts lists them.")
        path = scope["path"]
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return
        key = headers.get("x-api-key", "").encode()
        # All are compared, so that the time it takes tells nothing.
        if not sum(hmac.compare_digest(key, known) for known in self._keys):
            self._refuse(401, "key", "Send a valid key in the header X-API-Key.")
        if wait_s := self._rate.wait_s(key.decode(errors="replace"), time.monotonic()):
            seconds = str(max(1, round(wait_s + 0.5)))
            self._refuse(429, "rate", f"Too many requests with this key; wait {seconds} s.", {"Retry-After": seconds})

    async def _body(self, headers: Headers, receive: Receive) -> Receive:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            self._refuse(415, "body", "The request body must be JSON, sent as Content-Type: application/json.")
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._most:
                self._refuse(413, "body", f"The request body must be at most {self._most} bytes.")
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                break
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replayed() -> Message:
            return pending.pop() if pending else await receive()

        return replayed

    def _refuse(self, status: int, reason: str, sentence: str, headers: dict[str, str] | None = None) -> None:
        self._figures.refused.labels(reason).inc()
        raise Refusal(status, sentence, reason, headers)

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        path = getattr(scope.get("route"), "path", None)
        route = path if isinstance(path, str) else _OTHER
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        self._figures.requests.labels(route, method, str(status)).inc()
        self._figures.seconds.labels(route).observe(took_s)
