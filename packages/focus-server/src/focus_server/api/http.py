"""HTTP and WebSocket as they come from a socket: held to the deadlines, and refused in the one form of all refusals."""

import time
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.server import ServerProtocol

from focus_server.api.connections import Connections, Phase
from focus_server.contract import ErrorBody

_LARGEST_FRAME: Final = 64 * 1024
_TALK_BYTES: Final = 2**17
_TALK_S: Final = 60.0
"""A viewer may send so much in so long a time; it has nothing to say but pings and its goodbye."""

_GOODBYE_S: Final = 2.0
"""For a viewer to answer the server's goodbye."""

_MALFORMED: Final = ErrorBody(
    error="This is not a request of HTTP/1.1; correct it and send it again.", detail="malformed request"
)
_LATE: Final = ErrorBody(
    error="The request did not arrive in time; send it again, all at once.", detail="request not complete"
)
_NO_WEBSOCKET: Final = "There is no WebSocket at this path; /ws/jobs/{job_id}/streams/{n} is one."
_FULL: Final = ErrorBody(
    error="The server has as many requests to answer as it can take; try again in a moment.", detail="connections"
)


class HttpConnection(H11Protocol):
    """A connection that says how it is doing, and whose own refusals have the body of all others."""

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._kept = connections

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there is no room."""
        super().connection_made(transport)
        if not self._kept.opened(self):
            self._refuse(503, _FULL, (b"retry-after", b"1"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._kept.lost(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; after the head of a request the server has to act, before it the client."""
        super().data_received(data)
        if self.transport.get_protocol() is self:  # a viewer's connection has another one from here on
            self._kept.turned(self, Phase.SILENT if self._answered else Phase.BUSY)

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have come already."""
        self._kept.turned(self, Phase.IDLE)
        super().on_response_complete()
        if not self._answered:
            self._kept.turned(self, Phase.BUSY)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP. Called by the parser."""
        self._kept.ended["malformed"] += 1
        self._refuse(400, _MALFORMED)

    def give_up(self) -> None:
        """Close a connection whose request does not come."""
        begun = bool(self.conn.trailing_data[0])
        if begun and self._answered:
            self._refuse(408, _LATE)
        else:
            self.transport.close()

    @property
    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: int, body: ErrorBody, *headers: tuple[bytes, bytes]) -> None:
        content = body.model_dump_json().encode()
        fixed = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        try:
            response = h11.Response(status_code=status, headers=[*fixed, *headers])
            for event in (response, h11.Data(data=content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer is on its way already
            self.transport.abort()
        else:
            self.transport.close()


class ViewerConnection(WebSocketsSansIOProtocol):
    """A viewer's connection: what it sends is not kept, and not read for long if it is much."""

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._kept = connections
        self._talked = 0
        self._talks_since_s = time.monotonic()
        self.close_timeout = _GOODBYE_S
        self.conn = _Handshake(max_size=_LARGEST_FRAME, logger=self.logger)

    def connection_made(self, transport: Any) -> None:
        """Take the connection over."""
        super().connection_made(transport)
        if not self._kept.watched(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._kept.lost(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much."""
        now_s = time.monotonic()
        if now_s - self._talks_since_s > _TALK_S:
            self._talked, self._talks_since_s = 0, now_s
        self._talked += len(data)
        if self._talked <= _TALK_BYTES:
            super().data_received(data)
        elif not self.close_sent:
            self._kept.ended["talked too much"] += 1
            self.conn.fail(CloseCode.POLICY_VIOLATION, "viewers have nothing to send")
            self.handle_parser_exception()

    def handle_text(self, event: Any) -> None:
        """Throw a message away; nobody reads it."""

    def handle_bytes(self, event: Any) -> None:
        """Throw a message away."""

    def handle_cont(self, event: Any) -> None:
        """Throw the rest of a message away."""

    def handle_ping(self) -> None:
        """Answer, unless the viewer takes no answers: they would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def give_up(self) -> None:
        """Close it; the streams do so themselves before."""
        self.transport.close()


class _Handshake(ServerProtocol):
    """Opens a WebSocket, or refuses in the one form of all refusals."""

    def reject(self, status: int, text: str) -> Response:
        response = super().reject(status, text)
        sentence = text.strip().partition("\n")[0] or _NO_WEBSOCKET
        body = ErrorBody(error=sentence, detail="WebSocket handshake").model_dump_json().encode()
        headers = Headers(response.headers)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            del headers[name]
            headers[name] = value
        return Response(response.status_code, response.reason_phrase, headers, body)
