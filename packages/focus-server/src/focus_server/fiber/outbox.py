"""What was published but not confirmed: a ring of files, so that it is sent again in order before anything new.

Messages leave the outbox in the order in which they came. A message that was taken stays until it is confirmed; after a
lost connection, and after the death of this process, all that were not confirmed are handed out again, oldest first.
The ring holds 60 s of blocks. Beyond that the oldest second is given up and counted.
"""

from collections import deque
from pathlib import Path
from typing import Final, Self

from focus_server.errors import FocusError
from focus_server.fiber.blocks import Message
from focus_server.fiber.segment import SUFFIX, DamagedRecordError, Entry, Segment

KEPT_S: Final = 60
SEGMENT_NS: Final = 1_000_000_000


class Outbox:
    """The messages that wait for their confirmation; `dropped` counts those that were given up since the start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: deque[Segment] = deque()
        self._unsent: deque[Entry] = deque()
        self._in_flight: dict[Entry, None] = {}
        self._current_begin_ns: int | None = None
        self._next_number = 0
        self.dropped = 0
        self.in_flight_bytes = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._recover()
        except OSError as error:
            raise FocusError(f"The outbox {folder} cannot be used: {error.strerror or error}.") from error

    def _recover(self) -> None:
        """Take up what a former process left; its files that hold nothing unconfirmed are deleted."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            self._next_number = int(path.stem) + 1
            segment = Segment(path)
            self._unsent.extend(segment.scan())
            if segment.waiting:
                self._segments.append(segment)
            else:
                segment.remove()

    @property
    def waiting(self) -> int:
        """Number of messages that are not confirmed."""
        return len(self._unsent) + len(self._in_flight)

    @property
    def unsent(self) -> int:
        """Number of messages that `take` would hand out now."""
        return len(self._unsent)

    @property
    def in_flight(self) -> int:
        """Number of messages that were taken and not yet confirmed."""
        return len(self._in_flight)

    @property
    def oldest_due_ns(self) -> int | None:
        """When the oldest message that is not confirmed was due, ns since 1970."""
        oldest = next(iter(self._in_flight), None) or next(iter(self._unsent), None)
        return None if oldest is None else oldest.due_ns

    def append(self, message: Message, due_ns: int) -> None:
        """Keep a message on the disk, behind all others; it was due at `due_ns`."""
        if not self._current_fits(due_ns):
            self._begin_segment(due_ns)
        self._unsent.append(self._segments[-1].append(message, due_ns))

    def _current_fits(self, due_ns: int) -> bool:
        begin_ns = self._current_begin_ns
        return begin_ns is not None and 0 <= due_ns - begin_ns < SEGMENT_NS

    def _begin_segment(self, due_ns: int) -> None:
        finished = None if self._current_begin_ns is None else self._segments[-1]
        self._segments.append(Segment(self._folder / f"{self._next_number:016d}{SUFFIX}"))
        self._next_number += 1
        self._current_begin_ns = due_ns
        if finished is not None and not finished.waiting:
            self._discard(finished)
        while len(self._segments) > KEPT_S + 1:
            self._give_up(self._segments[0])

    def take(self) -> tuple[Entry, Message] | None:
        """Hand out the next message in order; None when there is none. What the disk damaged is given up."""
        while self._unsent:
            entry = self._unsent.popleft()
            try:
                message = entry.segment.read(entry)
            except DamagedRecordError:
                self.dropped += 1
                self._settle(entry)
                continue
            self._in_flight[entry] = None
            self.in_flight_bytes += entry.body_bytes
            return entry, message
        return None

    def confirm(self, entry: Entry) -> None:
        """Forget a message that was taken; one that was given up meanwhile is ignored."""
        if entry in self._in_flight:
            del self._in_flight[entry]
            self.in_flight_bytes -= entry.body_bytes
            self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        segment = entry.segment
        segment.confirm(entry)
        is_current = self._current_begin_ns is not None and segment is self._segments[-1]
        if not segment.waiting and not is_current:
            self._discard(segment)

    def rewind(self) -> int:
        """Queue all messages in flight again, in their old order; return how many there were."""
        again = list(self._in_flight)
        self._unsent.extendleft(reversed(again))
        self._in_flight.clear()
        self.in_flight_bytes = 0
        return len(again)

    def _give_up(self, segment: Segment) -> None:
        for entry in [entry for entry in self._in_flight if entry.segment is segment]:
            del self._in_flight[entry]
            self.in_flight_bytes -= entry.body_bytes
        while self._unsent and self._unsent[0].segment is segment:
            self._unsent.popleft()
        self.dropped += segment.waiting
        self._discard(segment)

    def _discard(self, segment: Segment) -> None:
        self._segments.remove(segment)
        segment.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; what was not confirmed stays in them for the next run."""
        while self._segments:
            segment = self._segments.pop()
            if segment.waiting:
                segment.close()
            else:
                segment.remove()
