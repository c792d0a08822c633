"""The proxy of one link: it listens, connects each client to the upstream, and holds the link's toxics and counters."""

import asyncio
import contextlib
import dataclasses
import functools
import socket
from collections.abc import Sequence

from fullspan.errors import StackError
from fullspan.stack.proxy.alarm import Alarm
from fullspan.stack.proxy.connection import Connection, reset
from fullspan.stack.proxy.flow import Tamper
from fullspan.stack.proxy.lane import Lane
from fullspan.stack.proxy.toxics import Counters, Toxics, merged

__all__ = ["LinkProxy"]

_BACKLOG = 1024
_CONNECT_S = 30.0
_OUT_OF_HANDLES_PAUSE_S = 0.1


class LinkProxy:
    """Passes every TCP protocol between clients and `upstream_host:upstream_port`.

    A client whose upstream cannot be reached is reset and counted as refused. `tamper_up` and `tamper_down` alter the
    traffic itself, for tests that plant a defect on the wire.
    """

    def __init__(
        self,
        link_id: str,
        upstream_host: str,
        upstream_port: int,
        listen_host: str = "127.0.0.1",
        listen_port: int = 0,
        *,
        tamper_up: Tamper | None = None,
        tamper_down: Tamper | None = None,
    ) -> None:
        self.link_id = link_id
        self.upstream = (upstream_host, upstream_port)
        self._asked = (listen_host, listen_port)
        self._tampers = (tamper_up, tamper_down)
        self._layers: tuple[Toxics, ...] = ()
        self._counters = Counters()
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None
        self._alarm: Alarm | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Where the proxy listens, once started."""
        if self._listener is None:
            raise StackError(f"The proxy of link {self.link_id!r} is not started and has no address yet.")
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def toxics(self) -> Toxics:
        """What is asked of the link at present."""
        return self._layers[0] if len(self._layers) == 1 else merged(self._layers)

    def counters(self) -> Counters:
        """Return a copy of the counters as they are now."""
        if self._alarm is not None:
            self._counters.lost_packets = self._up.sieve.dropped() + self._down.sieve.dropped()
        return dataclasses.replace(self._counters)

    async def start(self) -> None:
        """Listen. A port that is taken is a StackError that names link and port."""
        host, port = self._asked
        try:
            self._listener = socket.create_server(
                self._asked, family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
            )
        except OSError as error:
            raise StackError(
                f"The proxy of link {self.link_id!r} cannot listen on {host}:{port}: {error.strerror}."
            ) from error
        self._listener.setblocking(False)
        self._alarm = Alarm()
        self._up = Lane("up", self._counters, self._alarm, self.link_id)
        self._down = Lane("down", self._counters, self._alarm, self.link_id)
        self._up.sieve.add(self._listener)
        self._up.set(self._layers)
        self._down.set(self._layers)
        self._listen()

    def set_toxics(self, *layers: Toxics) -> None:
        """Change what the link does, for live and for new connections, at once; several toxics hold together.

        A connection that lost bytes or its end in a blackhole is reset when the blackhole is lifted: TCP never shows
        a reader a stream with a hole. Connections that lost nothing go on. StackError where the kernel drops no
        packets for this user; then nothing has changed.
        """
        if self._alarm is not None:
            before = self._layers
            try:
                self._set_lanes(layers)
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._set_lanes(before)
                raise StackError(
                    f"The link {self.link_id!r} can lose no packets: the kernel refuses a filter ({error.strerror}).",
                    "Run as a user who may put filters on sockets, for example root.",
                ) from error
        self._layers = layers
        if self._alarm is None:
            return
        for connection in list(self._connections):
            if self.toxics.reset or connection.broken:
                self._reset(connection)
            else:
                connection.lane_changed()

    def _set_lanes(self, layers: Sequence[Toxics]) -> None:
        self._up.set(layers)
        self._down.set(layers)

    async def aclose(self) -> None:
        """Stop listening and reset what is still connected."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._up.sieve.remove(self._listener)
            self._listener.close()
            self._listener = None
        if self._serving:
            for task in self._serving:
                task.cancel()
            await asyncio.wait(self._serving)
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # Out of handles: those that are connected go on, the next one waits in the backlog.
            loop.remove_reader(listener)
            loop.call_later(_OUT_OF_HANDLES_PAUSE_S, self._listen)
            return
        client.setblocking(False)
        self._up.sieve.add(client)
        task = loop.create_task(self._serve(client), name=f"link {self.link_id}")
        self._serving.add(task)
        task.add_done_callback(functools.partial(self._served, client))

    def _served(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never runs its own `finally`.
        self._up.sieve.remove(client)
        reset(client)
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"a connection of link {self.link_id} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def _serve(self, client: socket.socket) -> None:
        counters = self._counters
        counters.connections += 1
        counters.active += 1
        try:
            try:
                upstream = await self._connect()
            except OSError:
                counters.refused += 1
                self._up.sieve.remove(client)
                reset(client)
                return
            await self._relay(client, upstream)
        finally:
            counters.active -= 1

    async def _relay(self, client: socket.socket, upstream: socket.socket) -> None:
        for sock in (client, upstream):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client, upstream, self._up, self._down, *self._tampers)
        self._connections.add(connection)
        try:
            connection.start()
            if self.toxics.reset:
                self._reset(connection)
            await connection.wait_closed()
        finally:
            connection.abort()
            self._connections.discard(connection)

    def _reset(self, connection: Connection) -> None:
        self._counters.resets += 1
        connection.abort()

    async def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_S):
            cause = OSError("no address")
            for family, kind, protocol, _, address in await loop.getaddrinfo(*self.upstream, type=socket.SOCK_STREAM):
                sock = socket.socket(family, kind, protocol)
                sock.setblocking(False)
                self._down.sieve.add(sock)
                try:
                    await loop.sock_connect(sock, address)
                except OSError as error:
                    self._down.sieve.remove(sock)
                    sock.close()
                    cause = error
                except asyncio.CancelledError:
                    self._down.sieve.remove(sock)
                    sock.close()
                    raise
                else:
                    return sock
            raise cause
