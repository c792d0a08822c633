"""One proxied connection: two sockets, a flow each way, and how it ends."""

import asyncio
import contextlib
import socket
import struct

from fullspan.stack.proxy.flow import End, Flow, Tamper
from fullspan.stack.proxy.lane import Lane

__all__ = ["Connection", "reset"]

_LINGER_ZERO = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close a socket so that its other side sees a reset (RST), not an end."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    sock.close()


class Connection:
    """Owns both sockets from the moment it is made until it is closed."""

    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        up: Lane,
        down: Lane,
        tamper_up: Tamper | None,
        tamper_down: Tamper | None,
    ) -> None:
        self._sockets = (client, upstream)
        self._sieves = (up.sieve, down.sieve)
        self._closed = asyncio.Event()
        self._up = Flow(up, client, upstream, tamper_up, self._delivered, self._upstream_reset)
        self._down = Flow(down, upstream, client, tamper_down, self._delivered, self._client_reset)
        self._flows = (self._up, self._down)

    @property
    def broken(self) -> bool:
        """Whether bytes would flow again behind some that were swallowed; such a connection cannot honestly go on."""
        return any(flow.broken for flow in self._flows)

    def start(self) -> None:
        """Begin to move bytes."""
        for flow in self._flows:
            flow.start()

    async def wait_closed(self) -> None:
        """Wait until both sockets are gone."""
        await self._closed.wait()

    def lane_changed(self) -> None:
        """Apply changed toxics to what is under way."""
        for flow in self._flows:
            flow.lane_changed()

    def abort(self) -> None:
        """Reset both sides; nothing that is still held is delivered."""
        self._close(abruptly=True)

    def _delivered(self, end: End) -> None:
        if end is End.RESET:
            self._close(abruptly=True)
        elif all(flow.done for flow in self._flows):
            self._close(abruptly=False)

    # Only one of a socket's two users is told that it was reset, so each flow passes it on to the other.
    def _upstream_reset(self) -> None:
        self._down.source_was_reset()

    def _client_reset(self) -> None:
        self._up.source_was_reset()

    def _close(self, *, abruptly: bool) -> None:
        if self._closed.is_set():
            return
        for flow in self._flows:
            flow.close()
        for sock, sieve in zip(self._sockets, self._sieves, strict=True):
            sieve.remove(sock)
            if abruptly:
                reset(sock)
            else:
                sock.close()
        self._closed.set()
