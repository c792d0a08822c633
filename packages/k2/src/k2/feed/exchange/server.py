"""The local exchange on its port: streams over WebSocket and trades by GET as the real one gives them, and its control.

`/stream?streams=a/b` and `/ws/a/b` carry frames, wrapped and bare; SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS work.
`GET /api/v3/historicalTrades`, `/api/v3/trades`, `/api/v3/time` and `/api/v3/ping` answer. `/control` is a WebSocket of
requests: {"method": "mischief", "params": {"drop": 100}, "id": 1}; methods are `mischief`, `burst`, `halt`, `resume`,
`close` and `state`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import structlog
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from k2.errors import CodecError
from k2.feed.exchange.course import Course
from k2.feed.exchange.event import Traded
from k2.feed.exchange.history import History
from k2.feed.exchange.mischief import Mischief, Outgoing

__all__ = ["Exchange"]

_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MOST: Final = 1000
_BEHIND_BYTES: Final = 32 * 2**20
_TICK_S: Final = 0.002
_IDLE_S: Final = 0.25
_AT_ONCE: Final = 200
"""After so many frames whoever asks something meanwhile is answered, also when more happens than can be sent."""


class Exchange:
    """Sends what happens on the `course` to whoever has subscribed to it."""

    def __init__(self, course: Course, history: History, mischief: Mischief, *, wait_for_viewer: bool) -> None:
        self._course, self._history, self._mischief = course, history, mischief
        self._streams: dict[ServerConnection, set[str]] = {}
        self._wrapped: set[ServerConnection] = set()
        self._begun = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._wait_for_viewer = wait_for_viewer
        self._silent_until = 0.0
        self._sent = 0
        self._accepted = 0
        self._ended = False
        self._log = structlog.get_logger()

    async def run(self, host: str, port: int, ready: Callable[[int], object]) -> None:
        """Serve until cancelled; `ready` is told the port."""
        async with serve(
            self._meet,
            host,
            port,
            process_request=self._answer,
            compression=None,
            max_size=2**20,
            ping_interval=20,
            ping_timeout=60,  # as the real one: who reads slowly answers late
            close_timeout=1,
            write_limit=2**20,
        ) as server:
            ready(_port(server))
            await self._play()

    async def _play(self) -> None:
        if self._wait_for_viewer:
            await self._begun.wait()
        self._course.begin(time.time())
        self._log.info("exchange.begun")
        try:
            while True:
                if not self._running.is_set():
                    await self._running.wait()
                now = time.time()
                await self._send(now)
                at = self._course.next_at()
                if at is None and not self._ended:
                    self._ended = True
                    self._log.info("exchange.ended", **self._history.counts)
                await asyncio.sleep(_IDLE_S if at is None else min(_IDLE_S, max(_TICK_S, at - time.time())))
        finally:
            self._history.close()

    async def _send(self, now: float) -> None:
        """Send what has happened, in one message per frame."""
        events = self._course.due(now)
        if not events:
            return
        offset = int(self._mischief.clock_offset_s * 1000)
        trades: list[Outgoing] = []
        quotes: list[Outgoing] = []
        for event in events:
            if isinstance(event, Traded):
                moved = event.moved(offset)
                self._history.add(moved)
                trades.append(Outgoing(moved.stream, moved.payload().encode()))
            else:
                quotes.append(Outgoing(event.stream, event.payload().encode()))
        self._history.flush()
        if self._mischief.silence_s:
            self._silent_until = now + self._mischief.silence_s
            self._mischief.silence_s = 0.0
        if now < self._silent_until:
            return
        for number, out in enumerate((*self._mischief.apply(trades), *quotes), 1):
            self._carry(out)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _carry(self, out: Outgoing) -> None:
        wrapped = bare = None
        to_wrapped: list[ServerConnection] = []
        to_bare: list[ServerConnection] = []
        for connection, streams in self._streams.items():
            if out.stream in streams:
                (to_wrapped if connection in self._wrapped else to_bare).append(connection)
        if to_wrapped:
            wrapped = out.payload if out.raw else b'{"stream":"%s","data":%s}' % (out.stream.encode(), out.payload)
            broadcast(to_wrapped, _text(wrapped))
        if to_bare:
            bare = out.payload
            broadcast(to_bare, _text(bare))
        self._sent += 1
        if self._sent % 1000 == 0:
            self._drop_slow()

    def _drop_slow(self) -> None:
        """Hang up on who does not read, as the real one does."""
        for connection in list(self._streams):
            if connection.transport.get_write_buffer_size() > _BEHIND_BYTES:
                self._streams.pop(connection, None)
                connection.transport.abort()
                self._log.warning("exchange.slow_client", remote=str(connection.remote_address))

    async def _meet(self, connection: ServerConnection) -> None:
        assert connection.request is not None  # noqa: S101 - it has been answered
        address = urlsplit(connection.request.path)
        if address.path == "/control":
            await self._obey(connection)
            return
        self._accepted += 1
        if self._mischief.close_next:
            self._mischief.close_next -= 1
            await connection.close(1000, "maintenance")
            return
        if address.path == "/stream":
            self._wrapped.add(connection)
        named = parse_qs(address.query).get("streams", [""])[0] if address.path == "/stream" else address.path[4:]
        self._streams[connection] = set(filter(None, named.split("/")))
        self._look_for_viewers()
        try:
            async for message in connection:
                await connection.send(self._subscribe(connection, message))
        except ConnectionClosed:
            pass
        finally:
            self._streams.pop(connection, None)
            self._wrapped.discard(connection)

    def _look_for_viewers(self) -> None:
        if any(stream.endswith("@trade") for streams in self._streams.values() for stream in streams):
            self._begun.set()

    def _subscribe(self, connection: ServerConnection, message: str | bytes) -> str:
        try:
            asked = json.loads(message)
            method, number = asked["method"], asked["id"]
            params = asked.get("params", [])
        except (ValueError, KeyError, TypeError):
            return '{"error":{"code":3,"msg":"Invalid JSON"}}'
        streams = self._streams.setdefault(connection, set())
        match method:
            case "SUBSCRIBE":
                streams.update(map(str, params))
                self._look_for_viewers()
                return json.dumps({"result": None, "id": number})
            case "UNSUBSCRIBE":
                streams.difference_update(map(str, params))
                return json.dumps({"result": None, "id": number})
            case "LIST_SUBSCRIPTIONS":
                return json.dumps({"result": sorted(streams), "id": number})
        return json.dumps({"error": {"code": 2, "msg": f"Unknown method {method}"}, "id": number})

    async def _obey(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                number = None
                try:
                    asked = json.loads(message)
                    number = asked.get("id")
                    answer: dict[str, Any] = {"result": await self._act(asked["method"], asked.get("params") or {})}
                except CodecError as error:
                    answer = {"error": {"code": 2, "msg": str(error)}}
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    answer = {"error": {"code": 3, "msg": f"No request: {type(error).__name__} {error}."}}
                await connection.send(json.dumps({**answer, "id": number}))

    async def _act(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "mischief":
                self._mischief.set(params)
            case "burst":
                self._course.hurry(float(params["factor"]), time.time() + float(params["seconds"]))
            case "halt":
                self._running.clear()
            case "resume":
                self._running.set()
            case "close":
                closing = list(self._streams)
                await asyncio.gather(*(one.close(int(params.get("code", 1000)), "bye") for one in closing))
                return {"closed": len(closing)}
            case "state":
                pass
            case _:
                raise CodecError("value", f"There is no method {method!r}.")
        self._log.info("exchange.told", method=method, **params)
        return self._state()

    def _state(self) -> dict[str, Any]:
        return {
            "symbols": self._history.bounds(),
            "viewers": len(self._streams),
            "accepted": self._accepted,
            "running": self._running.is_set(),
            "ended": self._ended,
            "mischief": self._mischief.present(),
        }

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain GET; None lets a WebSocket come about."""
        host = (request.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in _LOCAL:
            return connection.respond(HTTPStatus.FORBIDDEN, "Unknown host\n")
        if "Origin" in request.headers:  # a page in a browser has no business here
            return connection.respond(HTTPStatus.FORBIDDEN, "Origins are not served\n")
        address = urlsplit(request.path)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if address.path in ("/stream", "/ws", "/control") or address.path.startswith("/ws/"):
                return None
            return connection.respond(HTTPStatus.NOT_FOUND, "No such stream\n")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/api/v3/ping":
                return _json({})
            case "/api/v3/time":
                return _json({"serverTime": int((time.time() + self._mischief.clock_offset_s) * 1000)})
            case "/api/v3/historicalTrades" | "/api/v3/trades":
                return self._trades(query)
            case "/state":
                return _json(self._state())
        return connection.respond(HTTPStatus.NOT_FOUND, "No such path\n")

    def _trades(self, query: dict[str, str]) -> Response:
        try:
            number = int(query["fromId"]) if "fromId" in query else None
            limit = min(_MOST, int(query.get("limit", "500")))
            symbol = query["symbol"]
        except (ValueError, KeyError):
            return _json({"code": -1102, "msg": "A parameter is missing or malformed."}, HTTPStatus.BAD_REQUEST)
        if limit < 1:
            return _json({"code": -1130, "msg": "limit must be at least 1."}, HTTPStatus.BAD_REQUEST)
        return _json([
            {
                "id": trade.number,
                "price": trade.price,
                "qty": trade.quantity,
                "time": trade.time,
                "isBuyerMaker": trade.maker,
                "isBestMatch": True,
            }
            for trade in self._history.since(symbol, number, limit)
        ])  # fmt: skip


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def _text(frame: bytes) -> str | bytes:
    """Return a frame as the text message that it is; what is no text goes as binary."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    body = json.dumps(content).encode()
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, headers, body)
