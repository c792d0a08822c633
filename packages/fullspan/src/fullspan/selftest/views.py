"""Views of the double: records are made one by one, and after each the screen is asked what it shows and calls it."""

from collections.abc import Sequence
from typing import Final

import anyio

from fullspan.ledger import Ledger, Moment
from fullspan.selftest.line import Line
from fullspan.selftest.tap import observation_of, tell

__all__ = ["Views"]

INTERVAL_S: Final = 0.1


class Views:
    """Some streams that go on as long as somebody looks; `looks` holds what the screen showed of each, look by look.

    A look that took longer than `grace_ns` is not kept: nobody can say at which moment within it the screen answered.
    """

    def __init__(self, source: str, screen: str, streams: Sequence[str], grace_ns: int) -> None:
        self._source, self._screen, self._grace_ns = source, screen, grace_ns
        self.looks = {stream: Ledger() for stream in streams}
        self.count = 0
        self._marked_ns: int | None = None
        self._age_ns: dict[str, int] = {}

    def mark(self) -> None:
        """Begin to count how long ago the next records were made."""
        self._marked_ns = None

    def made_for(self, ns: int) -> bool:
        """Tell whether the first records since the mark were made longer ago than that."""
        return self._marked_ns is not None and Moment.now().wall_ns - self._marked_ns > ns

    def go_on(self, fresh_ns: int | None = None, stale_ns: int | None = None) -> bool:
        """Make one more record of each stream and look at each.

        Tells whether what was shown of all of them was younger than `fresh_ns`, and older than `stale_ns`, ns.
        """
        anyio.run(self._go_on)
        ages = [self._age_ns.get(stream) for stream in self.looks]
        return all(
            age is not None and (fresh_ns is None or age < fresh_ns) and (stale_ns is None or age > stale_ns)
            for age in ages
        )

    async def _go_on(self) -> None:
        now = Moment.now()
        self._marked_ns = self._marked_ns or now.wall_ns
        self._age_ns.clear()
        for stream, looks in self.looks.items():
            await tell(self._source, f"PUT {stream} {self.count} {now.wall_ns}")
            asked = Moment.now()
            answer = await tell(self._screen, f"LOOK {stream}")
            seen = Moment.now()
            if answer and seen.mono_ns - asked.mono_ns <= self._grace_ns:
                line, stale = Line.from_json(answer[0]), answer[1] == b"STALE\n"
                looks.observe(observation_of("screen", line, seen, stale=stale))
                self._age_ns[stream] = seen.wall_ns - line.due_ns
        self.count += 1
        await anyio.sleep(INTERVAL_S)  # the pace of the streams, not a wait for something
