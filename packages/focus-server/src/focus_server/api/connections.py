"""How many connections the server keeps and how long each may take, so that those left open take nothing from others.

A connection is silent (no whole request head has come), busy (a request is being answered), idle (it waits for the next
request) or a viewer's. Beyond the limit a new one displaces the one that has been silent longest, then the one that has
been idle longest; only when all are busy is it turned away itself.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Never, Protocol

import structlog

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, and seconds: for a request's head, a request with its answer, and a goodbye.

    `most` does not count those of viewers, which are never displaced.
    """

    most: int = 1000
    most_viewers: int = 600
    head_s: float = 10.0
    busy_s: float = 60.0
    goodbye_s: float = 5.0
    look_s: float = 1.0
    tell_s: float = 10.0


class Phase(StrEnum):
    """What a connection does now."""

    SILENT = "silent"
    BUSY = "busy"
    IDLE = "idle"
    VIEWER = "viewer"


class Connection(Protocol):
    """What must be known of a connection."""

    transport: asyncio.Transport

    def give_up(self) -> None:
        """Close it, with a word to a client that has begun to ask."""


@dataclass(slots=True)
class _Kept:
    connection: Connection
    phase: Phase
    since_s: float
    closing_since_s: float | None = None


@dataclass(slots=True)
class Connections:
    """All connections of a server; `watch` holds them to the limits."""

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    clock: Callable[[], float] = time.monotonic
    ended: Counter[str] = field(default_factory=Counter)
    """Connections that ended before their client wished, by reason, since the log was told last."""
    told: Counter[str] = field(default_factory=Counter)
    """Those that the log was told of."""
    _kept: dict[asyncio.Transport, _Kept] = field(default_factory=dict)
    _waiting: dict[Phase, dict[asyncio.Transport, None]] = field(
        default_factory=lambda: {Phase.SILENT: {}, Phase.IDLE: {}}
    )
    """Those that a new one may displace, longest waiting first."""
    _requests: int = 0
    """How many of those that are kept are no viewers."""

    def __len__(self) -> int:
        return len(self._kept)

    def opened(self, connection: Connection) -> bool:
        """Take in a new connection; False when there is no room and nobody to displace."""
        room = self._requests < self.limits.most or self._displace()
        self._kept[connection.transport] = _Kept(connection, Phase.SILENT, self.clock())
        self._requests += 1
        self._waiting[Phase.SILENT][connection.transport] = None
        if not room:
            self.ended["turned away"] += 1
        return room

    def watched(self, connection: Connection) -> bool:
        """Note that a connection has become a viewer's; False when there are too many of those."""
        self.turned(connection, Phase.VIEWER)
        room = len(self._kept) - self._requests <= self.limits.most_viewers
        if not room:
            self.ended["turned away"] += 1
        return room

    def turned(self, connection: Connection, phase: Phase) -> None:
        """Note what a connection does from now on; what it did before already goes on."""
        kept = self._kept.get(connection.transport)
        if kept is None:
            return
        kept.connection = connection
        if kept.phase is phase:
            return
        self._stop_waiting(kept)
        self._requests -= (phase is Phase.VIEWER) - (kept.phase is Phase.VIEWER)
        kept.phase, kept.since_s = phase, self.clock()
        if phase in self._waiting:
            self._waiting[phase][connection.transport] = None

    def lost(self, transport: asyncio.Transport) -> None:
        """Forget a connection that is closed."""
        kept = self._kept.pop(transport, None)
        if kept is not None:
            self._stop_waiting(kept)
            self._requests -= kept.phase is not Phase.VIEWER

    async def watch(self) -> Never:
        """End what is late, for as long as this runs, and now and then tell the log how many those were."""
        told_s = self.clock()
        while True:
            await asyncio.sleep(self.limits.look_s)
            self.look()
            if self.ended and self.clock() - told_s >= self.limits.tell_s:
                told_s = self.clock()
                _log.warning("connections.ended", open=len(self), reasons=dict(self.ended))
                self.told.update(self.ended)
                self.ended.clear()

    def look(self) -> None:
        """End what is late now."""
        now_s = self.clock()
        for transport, kept in list(self._kept.items()):
            if transport.is_closing():
                self._see_off(transport, kept, now_s)
            elif kept.phase is Phase.SILENT and now_s - kept.since_s > self.limits.head_s:
                self.ended["no request"] += 1
                kept.connection.give_up()
            elif kept.phase is Phase.BUSY and now_s - kept.since_s > self.limits.busy_s:
                self.ended["answer not taken"] += 1
                transport.abort()

    def _see_off(self, transport: asyncio.Transport, kept: _Kept, now_s: float) -> None:
        """Cut a connection that does not take what was still to be sent, and so would never be closed."""
        if kept.closing_since_s is None:
            kept.closing_since_s = now_s
        elif now_s - kept.closing_since_s > self.limits.goodbye_s:
            self.ended["goodbye not taken"] += 1
            transport.abort()

    def _displace(self) -> bool:
        for phase in (Phase.SILENT, Phase.IDLE):
            while self._waiting[phase]:
                transport = next(iter(self._waiting[phase]))
                del self._waiting[phase][transport]
                if not transport.is_closing():
                    self.ended["displaced"] += 1
                    transport.abort()
                    return True
        return False

    def _stop_waiting(self, kept: _Kept) -> None:
        if kept.phase in self._waiting:
            self._waiting[kept.phase].pop(kept.connection.transport, None)
