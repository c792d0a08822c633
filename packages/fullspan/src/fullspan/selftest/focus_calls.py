"""Calls to Focus whose outcome is not always known: jobs, asked for over a wire that loses answers, and worse."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fullspan.clients import FocusClient, JobSummary, OutcomeUnknown
from fullspan.ledger import Journey, Kind, Ledger, Moment, Observation, Outcome, Stage, reconcile
from fullspan.selftest.catalogue import UNSURE, broken
from fullspan.selftest.defect import NO_ALARM, Defect, Result
from fullspan.selftest.diagnosis import diagnose

__all__ = ["CALLED", "CLEAN_CALLS", "CallWire", "Called", "ask_for_jobs"]

HOPS: Final = ("caller", "job")
COUNT: Final = 8
NFFT: Final = 256
TAKEN_UNTOLD: Final = 1  # the call that is done, and whose answer is lost
LOST_UNTOLD: Final = 3  # the call that is lost itself
AT: Final = 6  # the call at which something goes wrong once
LATE_AFTER_NS: Final = 60_000_000_000
"""When a job is made is not what is asked here; a busy machine takes its time."""
KEY: Final = re.compile(rb"(?i)(idempotency-key: [0-9a-f]+-)(\d\d)")
GARBLED: Final = b"garbled\r\n\r\n"


class LosesAnswers:
    """Loses the answers of two calls: one was done, one was not. That is no defect; who called has to live with it.

    One call passes at a time, and may be sent again.
    """

    def __init__(self) -> None:
        self.seq = -1

    def up(self, data: bytes) -> bytes:
        """Return what is sent on of a request; its head tells by its key which call it is."""
        head = KEY.search(data)
        self.seq = int(head[2]) if head else self.seq
        return misled(data) if self.is_lost(self.seq) else data

    def down(self, data: bytes) -> bytes:
        """Return what is sent on of an answer."""
        return GARBLED if self.is_unanswered(self.seq) else data

    def is_lost(self, seq: int) -> bool:
        """Tell whether a call does not get to where it makes a job."""
        return seq == LOST_UNTOLD

    def is_unanswered(self, seq: int) -> bool:
        """Tell whether a call is never answered."""
        return seq in (TAKEN_UNTOLD, LOST_UNTOLD)


class AnswersForOthers(LosesAnswers):
    """Beside those it answers a call with what it has kept of the one before, and the call itself is not done."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: defaultdict[int, bytes] = defaultdict(bytes)

    def down(self, data: bytes) -> bytes:
        if self.seq == AT:
            return self._kept.pop(AT - 1, b"")  # all at once; what else comes of the refusal is left out
        self._kept[self.seq] += data
        return super().down(data)

    def is_lost(self, seq: int) -> bool:
        return seq == AT or super().is_lost(seq)


class ForgetsKeys(LosesAnswers):
    """Gives each request a key of its own, so that one which is sent again is another one."""

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0

    def up(self, data: bytes) -> bytes:
        sent = super().up(data)
        self._sent += 1
        return KEY.sub(rb"\g<1>%02d" % (self._sent % 100), sent)


class NeverAnswers(LosesAnswers):
    """Brings nothing there and nothing back."""

    def is_lost(self, seq: int) -> bool:
        return True

    def is_unanswered(self, seq: int) -> bool:
        return True


def misled(request: bytes) -> bytes:
    """Return a request that the server refuses: to a path that it does not have, of the same length."""
    return request.replace(b"POST /configure ", b"POST /nowhere__ ", 1)


class CallWire:
    """A wire whose way to treat calls can be changed while connections are open; by itself it lets them pass."""

    def __init__(self) -> None:
        self.way: LosesAnswers | None = None

    def up(self, data: bytes) -> bytes:
        """Treat what comes from the caller."""
        return data if self.way is None else self.way.up(data)

    def down(self, data: bytes) -> bytes:
        """Treat what comes from the server."""
        return data if self.way is None else self.way.down(data)


@dataclass(frozen=True, slots=True)
class Called:
    """A defect of the calls to Focus, and the wire that is it."""

    defect: Defect
    way: type[LosesAnswers] = LosesAnswers


def _called(name: str, story: str, way: type[LosesAnswers], kind: Kind | None) -> Called:
    expected = UNSURE if kind is None else broken("job", kind)
    return Called(Defect(name, "Focus", "request", story, expected), way)


CALLED: Final = (
    _called("answered-and-lost", "calls of unknown outcome hide one that was answered by a cache, and lost",
            AnswersForOthers, Kind.MISSING),
    _called("done-twice", "a call without an answer is repeated, and makes a second job", ForgetsKeys, Kind.DUPLICATE),
    _called("all-unknown", "no call is answered, and nothing comes of any", NeverAnswers, None),
)  # fmt: skip
CLEAN_CALLS: Final = Called(Defect("clean", "Focus", "nowhere", "nothing is planted", NO_ALARM))


def ask_for_jobs(client: FocusClient, over_wire: str, wire: CallWire, token: str, called: Called) -> Result:
    """Ask for jobs over the wire, each for another channel, and compare what was answered with the jobs there are.

    `client` knows another way to the server; `token` is a hexadecimal number that no other round has.
    """
    ledger = Ledger()
    before = {job.job_id for job in client.jobs()}
    wire.way = called.way()
    try:
        with FocusClient(over_wire, retries=1) as caller:
            for seq in range(COUNT):
                ledger.observe(_asked(caller, token, seq))
    finally:
        wire.way = None
        made = [job for job in client.jobs() if job.job_id not in before]
        for job in made:
            client.cancel(job.job_id)
    ledger.observe_all(_found(made, token))
    keys = [f"{token}/{seq}" for seq in range(COUNT)]
    journeys = [Journey(key, [Stage(hop, [key], _content(1, NFFT)) for hop in HOPS]) for key in keys]
    found, said = diagnose(reconcile(ledger, journeys, LATE_AFTER_NS), 1, HOPS)
    return Result(called.defect, found, said)


def _asked(caller: FocusClient, token: str, seq: int) -> Observation:
    """Make one call, and say what its caller knows of it."""
    now, outcome = Moment.now(), Outcome.SEEN
    try:
        caller.configure(seq + 1, key=f"{token}-{seq:02}", nfft=NFFT, height=100)
    except OutcomeUnknown:
        outcome = Outcome.UNKNOWN
    return Observation(
        "caller", f"{token}/{seq}", seq, now.wall_ns, now.mono_ns, now.wall_ns, _content(1, NFFT), outcome=outcome
    )


def _found(jobs: Sequence[JobSummary], token: str) -> list[Observation]:
    """Return the jobs that there are in the order in which they were made."""
    now = Moment.now()
    return [
        Observation(
            "job", f"{token}/{job.channels[0] - 1}", job.channels[0] - 1, now.wall_ns, now.mono_ns, now.wall_ns,
            _content(job.view_type, job.nfft),
        )
        for job in sorted(jobs, key=lambda job: job.created)
    ]  # fmt: skip


def _content(view: int, nfft: int | None) -> str:
    return f"view {view}, NFFT {nfft}"
