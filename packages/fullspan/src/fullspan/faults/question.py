"""A question to a component that only a living program answers; a port that merely accepts is not an answer.

The kernel completes TCP connections for a process that stands still, so a connection proves nothing about a hang. A
question is bytes to send and the first bytes of any answer: the AMQP header, an HTTP request, MongoDB's or Kafka's
greeting.
"""

import contextlib
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from fullspan.faults.evidence import Observed

__all__ = ["Asked", "Question"]

_LOOPBACK = ("127.0.0.1", "localhost")
_CONNECT_S = 1.0
_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Question:
    """What to send to an address, and how any answer begins, after `skip` bytes; `name` says it in words."""

    host: str
    port: int
    send: bytes
    expect: bytes
    name: str
    skip: int = 0

    @classmethod
    def of_url(cls, url: str, leads_to: Mapping[int, int]) -> Self | None:
        """Return the question that suits an address on this machine, asked of the port that its port leads to.

        None if its scheme has no question, or if its port leads nowhere.
        """
        parts = urlsplit(url)
        port = leads_to.get(parts.port or 0)
        if port is None or parts.hostname not in _LOOPBACK:
            return None
        if parts.scheme == "amqp":
            return cls("127.0.0.1", port, b"AMQP\x00\x00\x09\x01", b"\x01", "an AMQP greeting")
        if parts.scheme == "mongodb":
            from fullspan.stack.services.mongodb import HELLO

            # An answer's header: its length, its number, the number of the question, which is 1, and so on.
            return cls("127.0.0.1", port, HELLO, b"\x01\x00\x00\x00", "a MongoDB greeting", skip=8)
        if parts.scheme == "kafka":
            from fullspan.stack.services.kafka import API_VERSIONS

            # An answer: its length, then the number of the question, which is 1.
            return cls("127.0.0.1", port, API_VERSIONS, b"\x00\x00\x00\x01", "a Kafka greeting", skip=4)
        if parts.scheme == "http":
            request = f"HEAD {parts.path or '/'} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            return cls("127.0.0.1", port, request.encode(), b"HTTP/", "an HTTP answer")
        return None

    def ask(self) -> "Asked":
        """Send it now, without waiting for an answer."""
        return Asked(self)

    def until_answered(self, within_s: float) -> Observed:
        """Ask again and again until there is an answer."""
        began = time.monotonic()
        last = "nothing tried"
        while (left := began + within_s - time.monotonic()) > 0:
            with self.ask() as asked:
                answer = asked.answer(min(left, _CONNECT_S))
            if answer.seen:
                return answer
            last = answer.detail
            time.sleep(_RETRY_S)
        return Observed(False, f"{last}; tried for {within_s:g} s")


class Asked:
    """A question that is on its way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._socket: socket.socket | None = None
        self._refused = ""
        self._asked_at = time.monotonic()
        try:
            self._socket = socket.create_connection((question.host, question.port), _CONNECT_S)
            self._socket.sendall(question.send)
        except OSError as error:
            self._refused = error.strerror or str(error)

    def answer(self, until_s: float) -> Observed:
        """Tell whether an answer came within `until_s` seconds of the asking; waits no longer than that."""
        name = self.question.name
        if self._socket is None or self._refused:
            return Observed(False, f"{name} was refused by port {self.question.port} ({self._refused})")
        wait_s = max(0.0, self._asked_at + until_s - time.monotonic())
        if not select.select([self._socket], [], [], wait_s)[0]:
            return Observed(False, f"no answer: {name} was awaited for {time.monotonic() - self._asked_at:.2f} s")
        got = b""
        with contextlib.suppress(OSError):
            got = self._socket.recv(self.question.skip + len(self.question.expect))[self.question.skip :]
        if got and self.question.expect.startswith(got):
            return Observed(True, f"{name} came")
        return Observed(False, f"the connection was closed instead of {name}")

    def close(self) -> None:
        """Give the connection up."""
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
