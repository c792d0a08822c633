"""Counts what passes through the server: requests with times and refusals, viewers, and the frames sent to them."""

import json
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from focus_server.api.figures import Figures
from focus_server.api.reasons import REASONS

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_KINDS: Final = frozenset({"filling", "gap", "dropped", "display", "complete", "error"})
_CODES: Final = frozenset({1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 4400, 4404})
_PAGE: Final = "/liveView"
_OTHER: Final = "other"
"""In place of what a client made up, so that figures stay few."""


class Measure:
    """Writes down in `figures` what a server does; `app` is what it does it with."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a viewer on."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await _Watched(self._figures).run(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500  # what a defect is answered with, further out
        reasons: list[str] = []
        began_s = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope[REASONS] = reasons
        try:
            await self._app(scope, receive, sending)
        except Exception:
            reasons.append("defect")
            raise
        finally:
            self._note(scope, status, reasons, time.perf_counter() - began_s)

    def _note(self, scope: Scope, status: int, reasons: list[str], took_s: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        self._figures.requests.labels(route, method, str(status)).inc()
        self._figures.request_seconds.labels(route).observe(took_s)
        for reason in reasons:
            self._figures.refusals.labels(reason).inc()


class _Watched:
    """One viewer."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._accepted = False
        self._code: int | None = None

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._close(message.get("code", 1005))
            return message

        async def sending(message: Message) -> None:
            await send(message)
            self._sent(message)

        reasons: list[str] = []
        scope[REASONS] = reasons
        try:
            await app(scope, receiving, sending)
        finally:
            for reason in reasons:
                self._figures.refusals.labels(reason).inc()
            if self._accepted:
                self._figures.viewers.dec()
                code = str(self._code) if self._code in _CODES else _OTHER
                self._figures.viewers_left.labels(code).inc()

    def _sent(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self._accepted = True
            self._figures.viewers.inc()
        elif message["type"] == "websocket.close":
            self._close(message.get("code", 1000))
        elif message["type"] == "websocket.send":
            self._count(message.get("bytes"), message.get("text"))

    def _count(self, rows: bytes | None, text: str | None) -> None:
        kind = "rows" if rows is not None else self._read(text or "{}")
        self._figures.sent_frames.labels(kind).inc()
        self._figures.sent_bytes.labels(kind).inc(len(rows) if rows is not None else len((text or "").encode()))

    def _read(self, text: str) -> str:
        frame = json.loads(text)
        if frame.get("type") == "dropped":
            self._figures.dropped_lines.inc(frame["lines"])
        return frame["type"] if frame.get("type") in _KINDS else _OTHER

    def _close(self, code: int) -> None:
        self._code = self._code or code


def _route(scope: Scope) -> str:
    """Give the path of the route that took a request as it is declared; the page and its files are one."""
    if scope["path"].startswith(f"{_PAGE}/"):
        return _PAGE
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else _OTHER
