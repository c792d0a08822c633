"""All defects that are planted into the double, each with the one diagnosis that is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fullspan.faults import Bandwidth, Blackhole, Hang, Kill, Latency, Reset, Restart, Stall, Stop
from fullspan.faults.base import Fault
from fullspan.invariants.streaming import (
    BoundedRecovery,
    Checker,
    Conservation,
    GapFree,
    MonotonicWatermark,
    NoInvention,
    ShownStale,
)
from fullspan.ledger import Kind
from fullspan.selftest.defect import Defect, Diagnosis
from fullspan.selftest.tap import AMOUNT, WATERMARK
from fullspan.verdict import Verdict

__all__ = [
    "CALLED",
    "CALLER",
    "FAULTS",
    "IDLE",
    "IDLE_FAULT",
    "LOOKED_TOO_LATE",
    "NOT_RECOVERED",
    "OUTAGE",
    "PLANTED",
    "STAGES",
    "STREAMED",
    "UNSURE",
    "VIEWS",
    "PlantedFault",
    "Streamed",
    "broken",
]

SYSTEM: Final = "double"
STAGES: Final = ("source", "relay", "store", "screen")
CALLER: Final = "caller"
LATENCY_MS: Final = 6_000.0


def broken(hop: str, *kinds: str) -> Diagnosis:
    """Return the diagnosis that records went wrong in these ways, first at this hop."""
    return Diagnosis(Verdict.FAIL, frozenset(kinds), hop)


UNSURE: Final = Diagnosis(Verdict.INCONCLUSIVE)
IDLE: Final = Defect("idle", SYSTEM, "source", "nothing was in flight while everybody looked", UNSURE)
LOOKED_TOO_LATE: Final = Defect(
    "looked-too-late", SYSTEM, "screen", "the screen was looked at before and long after, not in time", UNSURE
)
IDLE_FAULT: Final = Defect("idle-fault", SYSTEM, "unused", "a fault is put on a link that nothing uses", UNSURE)


def _planted(hop: str, name: str, behaviour: str, story: str, *kinds: Kind) -> tuple[Defect, str]:
    # A record that comes just in time at one hop may be just too late at the next one.
    return Defect(name, SYSTEM, hop, story, broken(hop, *kinds), spreads=Kind.LATE in kinds), behaviour


MISSING, DUPLICATE, ORDER = Kind.MISSING, Kind.DUPLICATE, Kind.ORDER
SWAPPED, ALTERED, LATE = Kind.SWAPPED, Kind.ALTERED, Kind.LATE

PLANTED: Final = (
    _planted("source", "never-sent", "LosesOne", "one record is never sent", MISSING),
    _planted("source", "sent-twice", "SendsTwice", "one record is sent twice", DUPLICATE),
    _planted("source", "sent-out-of-order", "Reverses", "what waits is read from the wrong end", ORDER),
    _planted("source", "sent-damaged", "FlipsBit", "one bit is turned over before it is sent", ALTERED),
    _planted("source", "sent-late", "Lags", "it stands still for seconds and then goes on", LATE),
    _planted("relay", "one-lost", "LosesOne", "one record is dropped", MISSING),
    _planted("relay", "head-lost", "LosesHead", "it subscribes too late", MISSING),
    _planted("relay", "tail-lost", "LosesTail", "the last batch, which is not full, is never written", MISSING),
    _planted("relay", "silent", "LosesAll", "it passes nothing on, and says nothing", MISSING),
    _planted("relay", "overflow", "LosesWhenBusy", "a full queue throws away what comes", MISSING),
    _planted("relay", "redelivered", "SendsTwice", "a lost acknowledgement: one record is sent again", DUPLICATE),
    _planted("relay", "replayed", "ReplaysBatch", "after a restart it begins at an old checkpoint", DUPLICATE),
    _planted("relay", "overtaken", "Turns", "two workers: a record comes after its successor", ORDER),
    _planted("relay", "swapped", "Swaps", "two records of a message exchange their contents", SWAPPED),
    _planted("relay", "clipped", "Clips", "values are clipped at nine tenths", ALTERED),
    _planted("relay", "slow", "FallsBehind", "it needs longer for each than there is between two", LATE),
    _planted("relay", "lost-and-doubled", "LosesAndDoubles", "one is lost, another doubled: the count is right",
             MISSING, DUPLICATE),
    _planted("store", "border-lost", "LosesAtBorder", "wrong by one at the border of each batch", MISSING),
    _planted("store", "negative-lost", "Filters", "less than nothing is taken for nothing", MISSING),
    _planted("store", "written-twice", "SendsAllTwice", "it has subscribed twice", DUPLICATE),
    _planted("store", "sorted-as-text", "SortsAsText", "numbers are sorted as text: 10 before 8", ORDER),
    _planted("store", "rounded", "Rounds", "two digits after the point are kept", ALTERED),
    _planted("store", "quantised", "Quantises", "values are kept as bytes", ALTERED),
    _planted("store", "drifting", "Drifts", "its own rounding error adds up, at first below what is allowed", ALTERED),
    _planted("store", "text-cut", "CutsText", "a column is too short for the text", ALTERED),
    _planted("store", "wrong-characters", "WrongCharacters", "UTF-8 is read as Latin-1", ALTERED),
    _planted("store", "renumbered", "Renumbers", "after a restart it counts from zero: names are used again",
             MISSING, DUPLICATE, SWAPPED),
    _planted("store", "batched", "WaitsForFull", "nothing is written before the buffer is full", LATE),
    _planted("screen", "frozen", "Stops", "it freezes and shows nothing more", MISSING),
    _planted("screen", "stale", "ShowsTheOneBefore", "each shows the content of the one before", SWAPPED),
    _planted("screen", "wrong-place", "MixesStreams", "a table has moved on by one place", SWAPPED, ALTERED),
    _planted("screen", "wrong-unit", "Scales", "millivolts are shown where volts are agreed", ALTERED),
    _planted("screen", "wrong-sign", "TurnsSign", "a difference is taken the wrong way round", ALTERED),
    _planted("screen", "no-number", "LosesNumber", "what is no number stands where one cannot be read", ALTERED),
    _planted("screen", "capitals", "UpperCase", "small letters are not told from capitals", ALTERED),
    _planted("screen", "empty-field", "EmptiesText", "a field has another name in the new version", ALTERED),
)  # fmt: skip
"""Each defect with the name of the behaviour that is it."""


def _streamed(hop: str, name: str, behaviour: str, story: str, make: Callable[[], Checker]) -> "Streamed":
    return Streamed(Defect(name, SYSTEM, hop, story, broken(hop, make().name)), behaviour, make)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A defect that a streaming checker must find, which knows nothing of what the records must be."""

    defect: Defect
    behaviour: str
    make: Callable[[], Checker]


STREAMED: Final = (
    _streamed("relay", "invented", "Invents", "a record is sent that nobody has made", lambda: NoInvention(STAGES)),
    _streamed("relay", "watermark-back", "Turns", "the time up to which all is there goes back",
              lambda: MonotonicWatermark(STAGES, WATERMARK)),
    _streamed("store", "sum-changed", "Scales", "what is added up is not what was sent",
              lambda: Conservation(STAGES, AMOUNT)),
    _streamed("screen", "hole", "LosesOne", "a number is left out between two others", lambda: GapFree(STAGES)),
)  # fmt: skip


OUTAGE: Final = "relay-store"
"""The link that is held back while views are looked at, and from which everything must recover."""
NOT_RECOVERED: Final = (
    Defect("never-recovered", SYSTEM, "store", "an outage is over, and it stays seconds behind for good",
           broken("store", BoundedRecovery.name)),
    "StaysBehind",
)  # fmt: skip
VIEWS: Final = tuple(
    (Defect(name, SYSTEM, "screen", story, broken("screen", ShownStale.name)), behaviour)
    for name, behaviour, story in (
        ("stale-hidden", "CallsOldFresh", "nothing new comes, and it shows the old as if it were live"),
        ("fresh-denied", "CallsFreshOld", "it says that it shows something old while all of it is new"),
    )
)
"""Defects of what a view says of itself."""
CALLED: Final = (
    _planted("source", "answered-and-lost", "LosesAnswered",
             "calls of unknown outcome hide one that was answered, and lost", MISSING),
    _planted("source", "done-twice", "DoesTwice", "a call without an answer is repeated, and done twice", DUPLICATE),
    (Defect("all-unknown", SYSTEM, "source", "no call is answered, and nothing comes of any", UNSURE), "NeverAnswers"),
)  # fmt: skip
"""Defects of calls whose outcome is not always known; two of every stream's are unknown, which is no defect."""


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """A defect that is a fault of a process or a link, on for some seconds while records pass."""

    defect: Defect
    make: Callable[[], Fault]
    seconds: float


def _fault(
    name: str, story: str, hop: str, kind: Kind, make: Callable[[], Fault], seconds: float = 1.0
) -> PlantedFault:
    target = make().target
    return PlantedFault(Defect(name, SYSTEM, target, story, broken(hop, kind), spreads=True), make, seconds)


FAULTS: Final[Mapping[str, PlantedFault]] = MappingProxyType({
    planted.defect.name: planted
    for planted in (
        _fault("killed", "the process is killed, and started again", "relay", MISSING, lambda: Kill("relay")),
        _fault("link-slow", "a link takes six seconds longer", "store", LATE,
               lambda: Latency("relay-store", LATENCY_MS), 6.2),
        _fault("hung", "the process stands still for six seconds", "store", LATE, lambda: Hang("store"), 6.2),
        _fault("stopped", "the process is stopped, and started again", "store", MISSING, lambda: Stop("store")),
        _fault("restarted", "the process is restarted", "screen", MISSING, lambda: Restart("screen")),
        _fault("link-swallows", "a link swallows what passes", "relay", MISSING, lambda: Blackhole("source-relay")),
        _fault("link-held", "a link holds back what passes for six seconds", "screen", LATE,
               lambda: Stall("store-screen"), 6.2),
        _fault("link-reset", "a link resets its connections", "store", MISSING, lambda: Reset("relay-store")),
        _fault("link-narrow", "a link lets two hundred bytes a second pass", "screen", LATE,
               lambda: Bandwidth("store-screen", 200), 6.2),
    )
})  # fmt: skip
"""Defects of processes and links by name; those first that show most in the least time."""
