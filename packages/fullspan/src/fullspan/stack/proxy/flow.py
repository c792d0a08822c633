"""One direction of one connection: bytes, the end and a reset travel in order, at once or when the lane lets them."""

import asyncio
import enum
import socket
import time
from collections import deque
from collections.abc import Callable

from fullspan.stack.proxy.lane import Lane

__all__ = ["End", "Flow", "Tamper"]

# Makes a function that may change the bytes of one connection; it can keep state between pieces of a stream.
Tamper = Callable[[], Callable[[bytes], bytes]]


class End(enum.Enum):
    """How a stream ends."""

    EOF = "closed for writing"
    RESET = "reset"


class Flow:
    """Moves bytes from `source` to `sink`, both non-blocking sockets that somebody else closes.

    Nothing is read while `sink` does not take what was read before, so a slow reader slows its writer down instead of
    filling memory. `delivered` is called once per end that reached the sink, `sink_reset` when the sink proved dead.
    """

    def __init__(
        self,
        lane: Lane,
        source: socket.socket,
        sink: socket.socket,
        tamper: Tamper | None,
        delivered: Callable[[End], None],
        sink_reset: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._source = source
        self._sink = sink
        self._tamper = tamper() if tamper else None
        self._delivered = delivered
        self._sink_reset = sink_reset
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | memoryview | End]] = deque()
        self._held = 0
        self._last_due = 0.0
        self._alarms: dict[Callable[[], None], float] = {}
        self._reading = self._writing = False
        self._source_ended = self._source_was_reset = self._sink_dead = self._closed = False
        self._holed = False
        self.done = False

    @property
    def broken(self) -> bool:
        """Whether bytes or an end were swallowed and the lane lets bytes pass again."""
        return self._holed and not self._lane.toxics.blackhole

    def start(self) -> None:
        """Begin to read."""
        self._regulate()

    def lane_changed(self) -> None:
        """Apply changed toxics to what is on its way; they never make it later than it already was."""
        now = time.monotonic()
        latest = now + self._lane.delay_s()
        end = latest + self._lane.toxics.close_ms / 1e3
        self._queue = deque((min(due, end if isinstance(item, End) else latest), item) for due, item in self._queue)
        self._last_due = min(self._last_due, latest)
        self._pump()

    def source_was_reset(self) -> None:
        """Learn that the source is dead: what it still sent is read, then a reset follows instead of an end."""
        self._source_was_reset = True
        if self._source_ended:
            self._end(End.RESET)

    def close(self) -> None:
        """Let go of the sockets."""
        self._closed = True
        self._read(False)
        self._write(False)
        self._queue.clear()

    def _on_readable(self) -> None:
        lane = self._lane
        try:
            count = self._source.recv_into(lane.buffer, lane.read_bytes)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end(End.RESET)
            return
        if count == 0:
            self._end(End.RESET if self._source_was_reset else End.EOF)
        elif lane.clear and self._tamper is None and not self._queue:
            sent = self._send(lane.buffer[:count])
            if sent < count:
                self._enqueue(0.0, bytes(lane.buffer[sent:count]))
                self._write(True)
                self._read(False)
        else:
            self._admit(bytes(lane.buffer[:count]))

    def _admit(self, data: bytes) -> None:
        """Take in bytes on a lane that is not clear."""
        lane, now = self._lane, time.monotonic()
        if lane.toxics.blackhole:
            lane.counters.blackholed_bytes += len(data)
            self._holed = True
            return
        if self._tamper is not None:
            data = self._tamper(data)
        due = lane.due(len(data), now)
        if data:
            self._enqueue(due, data)
        self._pump()

    def _end(self, end: End) -> None:
        self._source_ended = True
        self._read(False)
        if self._lane.toxics.blackhole:
            self._holed = True
            return
        close_s = self._lane.toxics.close_ms / 1e3
        self._lane.counters.delayed_ends += close_s > 0
        self._enqueue(time.monotonic() + self._lane.delay_s() + close_s, end)
        self._pump()

    def _enqueue(self, due: float, item: bytes | End) -> None:
        self._last_due = max(self._last_due, due)
        self._queue.append((self._last_due, item))
        if not isinstance(item, End):
            self._held += len(item)

    def _pump(self) -> None:
        """Hand on all that is due, then decide what to wait for."""
        now = time.monotonic()
        while self._queue and not self._lane.toxics.stall and not self._writing and not self._closed:
            due, item = self._queue[0]
            if due > now:
                self._call_at(due, self._pump)
                break
            self._queue.popleft()
            if isinstance(item, End):
                self._deliver(item)
                continue
            sent = self._send(item)
            self._held -= sent
            if sent < len(item):
                self._queue.appendleft((due, memoryview(item)[sent:]))
                self._write(True)
        self._regulate()

    def _deliver(self, end: End) -> None:
        self.done = True
        if end is End.EOF and not self._sink_dead:
            try:
                self._sink.shutdown(socket.SHUT_WR)
            except OSError:
                self._sink_dead = True
        self._delivered(end)

    def _send(self, data: bytes | memoryview) -> int:
        """Return how many bytes are gone; a dead sink swallows all."""
        if self._sink_dead:
            return len(data)
        try:
            sent = self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._sink_dead = True
            self._sink_reset()
            return len(data)
        self._lane.passed(sent)
        return sent

    def _on_writable(self) -> None:
        self._write(False)
        self._pump()

    def _regulate(self) -> None:
        """Read exactly while there is room, and say when to look again if only time can make room."""
        room = not self._closed and not self._source_ended and not self._writing and self._held < self._lane.capacity
        if room and self._lane.busy():
            room = False
            self._call_at(self._lane.readable_at(), self._regulate)
        self._read(room)

    def _call_at(self, when: float, call: Callable[[], None]) -> None:
        # An alarm cannot be withdrawn: one that comes no later than `when` is enough, it will look again.
        if not time.monotonic() < self._alarms.get(call, 0.0) <= when:
            self._alarms[call] = when
            self._lane.alarm.at(when, call)

    def _read(self, wanted: bool) -> None:
        if wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._source, self._on_readable)
        else:
            self._loop.remove_reader(self._source)

    def _write(self, wanted: bool) -> None:
        if wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._sink, self._on_writable)
        else:
            self._loop.remove_writer(self._sink)
