"""Defects to plant into programs of the pipeline: each is what somebody could get wrong, and one fault that reveals it.

A component runs `python -m k2` in its own folder, where Python looks first. So a file `k2.py` there, which has the
defect and then starts the real program, is that program with the defect; without the file it is the real one again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from fullspan.stack import Stack
from fullspan.stack.handle import ComponentHandle

FEED, WRITER, API = "binance-stream", "consumer-crypto", "k2-query-api"
READY = "ready"

PROGRAM = """\
import runpy
import sys

sys.path.pop(0)  # this folder, so that the real program is found from here on

{source}

runpy.run_module("k2", run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong, and what makes it so, by component: Python that changes the program before it starts."""

    what: str
    sources: Mapping[str, str]


GOES_ON_FROM_KAFKA = Defect(
    "the writer goes on from the end of the topic, not from where its table ends",
    {
        WRITER: """
        from confluent_kafka import TopicPartition
        from k2.lake.source import Source

        def place(self, number, _):
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, number), timeout=10)
            return TopicPartition(self.topic, number, high)

        Source._place = place
        """
    },
)
COMMITS_AGAIN = Defect(
    "the writer commits its batch again when somebody else has gone on meanwhile",
    {
        WRITER: """
        from k2.errors import NotCommitted
        from k2.lake.table import LakeTable

        once = LakeTable.append

        def append(self, rows, start, end, seen):
            try:
                once(self, rows, start, end, seen)
            except NotCommitted:
                self.reload()
                once(self, rows, self.offsets(), end, seen)

        LakeTable.append = append
        """
    },
)
DROPS_FAILED_BATCHES = Defect(
    "the writer goes on to the next batch when a commit failed",
    {
        # Whatever fails makes it begin again, from where it has read to in place of where its table ends.
        WRITER: """
        from k2.lake.source import Source

        begin, look = Source.start, Source.read
        reached = {}

        def start(self, offsets):
            begin(self, offsets.after(reached.setdefault(self.topic, {})))

        def read(self, most, timeout_s):
            found = look(self, most, timeout_s)
            reached[self.topic].update(found.next_offsets)
            return found

        Source.start, Source.read = start, read
        """
    },
)
FORGETS_NUMBERS = Defect(
    "the feed forgets which numbers it had when it ends",
    {
        FEED: """
        from k2.feed.feed import Feed

        Feed._restore = lambda self: 0
        """
    },
)
KEEPS_AN_OLD_VIEW = Defect(
    "the API answers from its tables as they were when it started",
    {
        API: """
        from k2.api.service import Service

        begin = Service.start
        first = {}

        def start(self):
            self.views.look()
            first.update({view.form.name: view for view in self.views.all()})
            begin(self)

        Service.start = start
        Service.view = lambda self, name: first[name]
        """
    },
)
SENDS_AT_ONCE_OR_NEVER = Defect(
    "the feed forgets what the broker does not confirm within two seconds",
    {
        FEED: """
        import time
        from k2.bus.producer import Producer

        once = Producer.turn

        def turn(self):
            if any(time.monotonic() - sent.since > 2 for sent in self._way):
                for sent in self._way:
                    sent.done = True
                self._client.purge()
            once(self)

        Producer.turn = turn
        """
    },
)
HIDES_BROKEN_FRAMES = Defect(
    "the feed throws away frames that it cannot read",
    {
        FEED: """
        from k2.feed.feed import Feed

        Feed._lay_aside = lambda self, raw, received, error: None
        """
    },
)
COUNTS_NOTHING = Defect(
    "neither the feed nor the writer looks whether a trade has come before",
    {
        FEED: """
        from k2.feed.sequence import Arrival, Sequence

        once = Sequence.arrive

        def arrive(self, number, now):
            found = once(self, number, now)
            return Arrival.LATE if found is Arrival.AGAIN else found

        Sequence.arrive = arrive
        """,
        WRITER: """
        from k2.lake.seen import Seen

        once = Seen.add
        Seen.add = lambda self, rows: (rows, once(self, rows)[1])
        """,
    },
)
DROPS_LATE_FRAMES = Defect(
    "the feed drops a trade that comes after a later one",
    {
        FEED: """
        from k2.feed.sequence import Arrival, Sequence

        once = Sequence.arrive

        def arrive(self, number, now):
            found = once(self, number, now)
            return Arrival.AGAIN if found is Arrival.LATE else found

        Sequence.arrive = arrive
        """
    },
)
ASKS_FOR_NOTHING = Defect(
    "the feed does not ask for trades that are missing",
    {
        FEED: """
        from k2.feed.feed import Feed

        async def fill(self, symbol, hole, backfill):
            return

        Feed._fill = fill
        """
    },
)
TELLS_OTHER_BOUNDS = Defect(
    "the feed tells a gap one number too short",
    {
        FEED: """
        from k2.feed import feed

        once = feed.Gap
        feed.Gap = lambda exchange, symbol, first, last, *rest: once(exchange, symbol, first + 1, last, *rest)
        """
    },
)
WAITS_FOR_EVER = Defect(
    "the feed has no watchdog: it waits for the next frame as long as it takes",
    {
        FEED: """
        from k2.feed.wire import Wire

        once = Wire.__init__

        def init(self, url, streams, silence_s, on_frame):
            once(self, url, streams, 3600.0, on_frame)

        Wire.__init__ = init
        """
    },
)
COMES_BACK_AT_ONCE = Defect(
    "the feed connects again at once after a clean close",
    {
        FEED: """
        from k2.feed.keeper import Keeper

        Keeper.backoff = lambda self, failed: 0.0
        """
    },
)
TAKES_ITS_OWN_TIME = Defect(
    "the feed takes its own time for the exchange's",
    {
        FEED: """
        from dataclasses import replace
        from k2.feed import frames

        once = frames.read_trade

        def read_trade(data, received, sequence):
            trade = once(data, received, sequence)
            return replace(trade, timestamp=received)

        frames.read_trade = read_trade
        """
    },
)
ONE_DAY_A_COMMIT = Defect(
    "the writer keeps the rows of one day when a batch has those of two",
    {
        WRITER: """
        import pyarrow as pa
        import pyarrow.compute as pc
        from k2.lake.table import LakeTable

        once = LakeTable._write

        def write(self, rows, transaction):
            if rows.num_rows and "timestamp" in rows.column_names:
                days = pc.floor_temporal(rows.column("timestamp"), unit="day")
                rows = rows.filter(pc.equal(days, pc.max(days)))
            return once(self, rows, transaction)

        LakeTable._write = write
        """
    },
)
READS_A_HUNDRED = Defect(
    "the writer takes a hundred records of each look at Kafka, and goes on after all of them",
    {
        WRITER: """
        from dataclasses import replace
        from k2.lake.source import Source

        once = Source.read

        def read(self, most, timeout_s):
            found = once(self, most, timeout_s)
            return replace(found, messages=found.messages[:100])

        Source.read = read
        """
    },
)


@contextmanager
def planted(stack: Stack, defect: Defect) -> Iterator[None]:
    """Have the programs run with a defect while the block runs; afterwards they are the real ones again."""
    files = {name: Path(stack.components[name].dir) / "k2.py" for name in defect.sources}
    try:
        for name, source in defect.sources.items():
            files[name].write_text(PROGRAM.format(source=dedent(source).strip()), encoding="utf-8")
            start_again(stack.component(name))
        yield
    finally:
        for name, file in files.items():
            file.unlink(missing_ok=True)
            start_again(stack.component(name))


def start_again(component: ComponentHandle) -> None:
    """Start a component anew, in whatever state it is."""
    if str(component.state.state) in (READY, "hung"):
        component.kill()
    component.start()
