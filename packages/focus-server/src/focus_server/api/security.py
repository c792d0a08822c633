"""What a browser page of somebody else must not be able to do: the checks in front of every request and WebSocket."""

import asyncio
import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from focus_server.api.errors import refusal_response
from focus_server.api.reasons import note
from focus_server.contract import Refusal

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_DEADLINE_S: Final = 10.0
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_LONGEST_LENGTH: Final = 18
"""Digits of a body's length that are read as a number."""
_HOST: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?", re.ASCII)


class Guard:
    """Refuses unknown `Host`s, foreign `Origin`s, bodies that are not JSON, and bodies that are too large or too slow.

    `hosts` are names without ports; `origins` are allowed beside the server's own.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str], max_body_bytes: int) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            self._check_origin(scope, headers)
            if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
                receive = await self._checked_body(headers, receive)
        except Refusal as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._hosts:
            raise Refusal(
                403, "This server does not answer for this Host; its allowed_hosts setting lists them.", "Host"
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
            return
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        allowed = {f"{scheme}://{headers['host'].lower()}", *self._origins}
        if any(origin.lower() not in allowed for origin in headers.getlist("origin")):
            raise Refusal(
                403, "Pages of another origin may not do this; its allowed_origins setting lists others.", "Origin"
            )

    async def _checked_body(self, headers: Headers, receive: Receive) -> Receive:
        try:
            async with asyncio.timeout(_BODY_DEADLINE_S):
                body = await self._read_body(headers, receive)
        except TimeoutError:
            raise Refusal(408, f"The request body did not arrive within {_BODY_DEADLINE_S:g} s.", "body") from None
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and media_type != "application/json":
            raise Refusal(415, "The request body must be JSON, sent as Content-Type: application/json.", "Content-Type")
        return _replay(body, receive)

    async def _read_body(self, headers: Headers, receive: Receive) -> bytes:
        too_large = Refusal(413, f"The request body must be at most {self._max_body_bytes} bytes.", "Content-Length")
        length = headers.get("content-length", "0").lstrip("0")
        if _DIGITS.fullmatch(length) and (len(length) > _LONGEST_LENGTH or int(length) > self._max_body_bytes):
            raise too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "The request body ended before it was complete.", "body")
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def _host_name(host: str) -> str:
    """Take the port off; what is no name at all gives the empty name, which nobody is allowed."""
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]") if match else ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already, then whatever comes next."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    response = refusal_response(refusal)
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    note(scope, refusal)
    await receive()  # the connect event
    start = {"type": "websocket.http.response.start", "status": refusal.status, "headers": response.raw_headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": response.body})
