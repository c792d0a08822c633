"""How a stage of the double goes wrong, as real programs do: each behaviour sees one stream and passes it on, or not.

A behaviour returns what the stage sends on for each record that it gets, with the seconds that the stage first waits.
It also says what becomes of a call that brings a record, and whether what the stage shows is called old.
"""

import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

from fullspan.selftest.line import Line

__all__ = ["BEHAVIOURS", "HELD_S", "STALE_AFTER_S", "Behaviour", "Sent"]

HELD_S: Final = 6.0
"""How long what is late is held back, s: beyond the limit of lateness by more than a busy machine delays."""
STALE_AFTER_S: Final = 3.0
"""How old the newest record that a stage shows may be before it has to say so, s."""
OUTAGE_S: Final = 2.0  # what comes later than that comes from an outage
TAKEN_UNTOLD: Final = 5  # the call that is done, and whose answer is lost
LOST_UNTOLD: Final = 15  # the call that is lost itself
AT: Final = 20  # the record at which something happens once
BATCH: Final = 10

Sent: TypeAlias = Iterable[tuple[float, Line]]


class Behaviour:
    """A stage that does what it should: it sends on what it gets, at once."""

    def take(self, line: Line) -> Sent:
        """Return what is sent on for a record, each with the seconds to wait before it."""
        yield 0.0, line

    def close(self) -> Sent:
        """Return what is sent on before the mark of the stream's end."""
        return ()

    def takes(self, seq: int, again: bool) -> bool:
        """Tell whether a call brings its record in; one that was made before adds nothing to it."""
        return not again

    def answers(self, seq: int) -> bool:
        """Tell whether a call is answered; else its connection is closed, and whoever called knows nothing."""
        return True

    def is_called_stale(self, age_s: float) -> bool:
        """Tell whether what is shown is called old, when the newest record is that old, s."""
        return age_s > STALE_AFTER_S


class LosesOne(Behaviour):
    """Drops one record on the way."""

    def take(self, line: Line) -> Sent:
        if line.seq != AT:
            yield 0.0, line


class LosesHead(Behaviour):
    """Subscribes too late."""

    def take(self, line: Line) -> Sent:
        if line.seq >= 3:
            yield 0.0, line


class LosesTail(Behaviour):
    """Keeps a batch in memory, and never writes the last one, which is not full."""

    def __init__(self) -> None:
        self._batch: list[Line] = []

    def take(self, line: Line) -> Sent:
        self._batch.append(line)
        if len(self._batch) == BATCH - 3:
            sent, self._batch = self._batch, []
            yield from ((0.0, one) for one in sent)


class LosesAtBorder(Behaviour):
    """Is wrong by one at the border of each batch."""

    def take(self, line: Line) -> Sent:
        if line.seq % BATCH != BATCH - 1:
            yield 0.0, line


class LosesWhenBusy(Behaviour):
    """Has a queue of one, and throws away what comes while it is full."""

    def take(self, line: Line) -> Sent:
        if not (AT <= line.seq < AT + 15 and line.seq % 2):
            yield 0.0, line


class Filters(Behaviour):
    """Takes a value of less than nothing for no value."""

    def take(self, line: Line) -> Sent:
        if line.value >= 0:
            yield 0.0, line


class LosesAll(Behaviour):
    """Passes on nothing, and says nothing."""

    def take(self, line: Line) -> Sent:
        return ()


class Stops(Behaviour):
    """Freezes at some record for good."""

    def take(self, line: Line) -> Sent:
        if line.seq < AT:
            yield 0.0, line


class SendsTwice(Behaviour):
    """Sends again what was acknowledged, because the acknowledgement was lost."""

    def take(self, line: Line) -> Sent:
        yield 0.0, line
        if line.seq == AT:
            yield 0.0, line


class ReplaysBatch(Behaviour):
    """Begins again at its last checkpoint after a restart, though what came since had been sent."""

    def __init__(self) -> None:
        self._batch: list[Line] = []

    def take(self, line: Line) -> Sent:
        self._batch = [*self._batch, line][-BATCH:]
        yield 0.0, line
        if line.seq == AT:
            yield from ((0.0, one) for one in self._batch)


class SendsAllTwice(Behaviour):
    """Has subscribed twice."""

    def take(self, line: Line) -> Sent:
        yield 0.0, line
        yield 0.0, line


class Turns(Behaviour):
    """Two workers that overtake each other: a record comes after its successor."""

    def __init__(self) -> None:
        self._kept: Line | None = None

    def take(self, line: Line) -> Sent:
        if line.seq == AT:
            self._kept = line
            return
        yield 0.0, line
        if self._kept is not None:
            yield 0.0, self._kept
            self._kept = None


class SortsAsText(Behaviour):
    """Sorts each batch by its number as text: 10 before 8."""

    def __init__(self) -> None:
        self._batch: list[Line] = []

    def take(self, line: Line) -> Sent:
        self._batch.append(line)
        if len(self._batch) == BATCH + 2:
            yield from self.close()

    def close(self) -> Iterator[tuple[float, Line]]:
        sent, self._batch = sorted(self._batch, key=lambda one: str(one.seq)), []
        yield from ((0.0, one) for one in sent)


class Reverses(Behaviour):
    """Reads what waits from the wrong end."""

    def __init__(self) -> None:
        self._waiting: list[Line] = []

    def take(self, line: Line) -> Sent:
        if AT <= line.seq < AT + 5:
            self._waiting.append(line)
            return
        yield from ((0.0, one) for one in reversed(self._waiting))
        self._waiting = []
        yield 0.0, line


class Swaps(Behaviour):
    """Two records in one message, with their contents exchanged."""

    def __init__(self) -> None:
        self._first: Line | None = None

    def take(self, line: Line) -> Sent:
        if line.seq == AT:
            self._first = line
        elif self._first is not None:
            yield 0.0, self._first.with_content_of(line)
            yield 0.0, line.with_content_of(self._first)
            self._first = None
        else:
            yield 0.0, line


class ShowsTheOneBefore(Behaviour):
    """Takes the content from a cache that is one record behind."""

    def __init__(self) -> None:
        self._before: Line | None = None

    def take(self, line: Line) -> Sent:
        yield 0.0, line if self._before is None else line.with_content_of(self._before)
        self._before = line


class MixesStreams(Behaviour):
    """Looks a name up in a table that has moved on by one place."""

    def take(self, line: Line) -> Sent:
        yield 0.0, line.with_content_of(Line.right(line.stream, line.seq + 1, line.due_ns))


class FlipsBit(Behaviour):
    """Turns one bit of one record over."""

    def take(self, line: Line) -> Sent:
        bits = int.from_bytes(struct.pack("<d", line.value), "little") ^ 1 << 51
        flipped = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
        yield 0.0, replace(line, value=flipped) if line.seq == AT else line


class Rounds(Behaviour):
    """Stores with two digits after the point."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=round(line.value, 2))


class Quantises(Behaviour):
    """Stores as a byte."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=round(line.value * 127) / 127)


class Scales(Behaviour):
    """Sends millivolts where volts are agreed."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=1000 * line.value)


class TurnsSign(Behaviour):
    """Takes the difference the wrong way round."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=-line.value)


class Clips(Behaviour):
    """Clips at nine tenths of what can come."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=max(-0.9, min(0.9, line.value)))


class LosesNumber(Behaviour):
    """Writes what is no number where it cannot read one."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=float("nan")) if line.seq == AT else line


class Drifts(Behaviour):
    """Adds its own rounding error to each record: nothing at first, too much in the end."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, value=line.value + line.seq * 1e-7)


class CutsText(Behaviour):
    """A column of twelve characters."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, text=line.text[:12])


class WrongCharacters(Behaviour):
    """Reads UTF-8 as Latin-1."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, text=line.text.encode().decode("latin-1"))


class UpperCase(Behaviour):
    """Has a column that does not tell small letters from capitals."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, text=line.text.upper())


class EmptiesText(Behaviour):
    """Writes nothing where a field has another name in the new version."""

    def take(self, line: Line) -> Sent:
        yield 0.0, replace(line, text="") if line.seq >= AT else line


class Lags(Behaviour):
    """Stands still for seconds, then goes on; nothing is lost."""

    def take(self, line: Line) -> Sent:
        yield HELD_S if line.seq == AT else 0.0, line


class FallsBehind(Behaviour):
    """Needs longer for each record than there is between two."""

    def take(self, line: Line) -> Sent:
        yield 1.6 * HELD_S / 60, line


class WaitsForFull(Behaviour):
    """Sends only when its buffer is full; the rest at the end."""

    def __init__(self) -> None:
        self._batch: list[Line] = []

    def take(self, line: Line) -> Sent:
        self._batch.append(line)
        return ()

    def close(self) -> Iterator[tuple[float, Line]]:
        yield from ((0.0 if place else HELD_S, one) for place, one in enumerate(self._batch))


class Renumbers(Behaviour):
    """Counts anew from zero after a restart: records come under names that are taken."""

    def take(self, line: Line) -> Sent:
        yield 0.0, line if line.seq < AT else replace(line, seq=line.seq - AT)


class Invents(Behaviour):
    """Sends a record of its own making: a default where it found nothing."""

    def take(self, line: Line) -> Sent:
        yield 0.0, line
        if line.seq == AT:
            yield 0.0, replace(line, seq=line.seq + 1000)


class LosesAndDoubles(Behaviour):
    """Two defects that hide each other from who only counts: one record lost, another doubled."""

    def take(self, line: Line) -> Sent:
        if line.seq == AT:
            return
        yield 0.0, line
        if line.seq == AT + 5:
            yield 0.0, line


class StaysBehind(Behaviour):
    """Never works off what an outage has left: from then on everything comes seconds late, also after the heal."""

    def __init__(self) -> None:
        self._behind = False

    def take(self, line: Line) -> Sent:
        age_s = (time.time_ns() - line.due_ns) / 1e9
        self._behind = self._behind or age_s > OUTAGE_S
        yield max(0.0, HELD_S - age_s) if self._behind else 0.0, line


class CallsOldFresh(Behaviour):
    """Shows an old picture as if it were live."""

    def is_called_stale(self, age_s: float) -> bool:
        return False


class CallsFreshOld(Behaviour):
    """Says that its picture is old, whatever it shows."""

    def is_called_stale(self, age_s: float) -> bool:
        return True


class LosesAnswers(Behaviour):
    """Answers of two calls are lost: one was done, one was not. That is no defect; who called has to live with it."""

    def takes(self, seq: int, again: bool) -> bool:
        return not again and seq != LOST_UNTOLD

    def answers(self, seq: int) -> bool:
        return seq not in (TAKEN_UNTOLD, LOST_UNTOLD)


class LosesAnswered(LosesAnswers):
    """Beside those it loses a record that it has said it took."""

    def takes(self, seq: int, again: bool) -> bool:
        return super().takes(seq, again) and seq != AT


class DoesTwice(LosesAnswers):
    """Does again what is asked again because the answer was lost."""

    def takes(self, seq: int, again: bool) -> bool:
        return seq != LOST_UNTOLD


class NeverAnswers(Behaviour):
    """Takes nothing and answers nobody."""

    def takes(self, seq: int, again: bool) -> bool:
        return False

    def answers(self, seq: int) -> bool:
        return False


def _all_of(kind: type[Behaviour]) -> Iterator[type[Behaviour]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _all_of(narrower)


_ALL: Final[tuple[type[Behaviour], ...]] = tuple(_all_of(Behaviour))
BEHAVIOURS: Final[Mapping[str, type[Behaviour]]] = MappingProxyType({found.__name__: found for found in _ALL})
"""All behaviours by name; `Behaviour` is the right one."""
