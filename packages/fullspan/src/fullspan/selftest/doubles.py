"""The double brought up as a stack, with an observer at each of its stages, and rounds of streams through it."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from os import getpid
from pathlib import Path
from typing import Final

import anyio

from fullspan.errors import StackError
from fullspan.faults import Faults, Latency, Stall
from fullspan.invariants import Finding
from fullspan.invariants.streaming import BoundedRecovery, ShownStale, sweep
from fullspan.ledger import Journey, Kind, Ledger, Moment, Outcome, Stage, reconcile
from fullspan.ledger.hops import HopRunner
from fullspan.selftest.behaviours import STALE_AFTER_S
from fullspan.selftest.catalogue import (
    CALLED,
    CALLER,
    IDLE,
    IDLE_FAULT,
    LOOKED_TOO_LATE,
    NOT_RECOVERED,
    OUTAGE,
    PLANTED,
    STAGES,
    STREAMED,
    VIEWS,
    PlantedFault,
    Streamed,
)
from fullspan.selftest.defect import NO_ALARM, Defect, Diagnosis, Result
from fullspan.selftest.diagnosis import diagnose, diagnosis_of
from fullspan.selftest.line import Line
from fullspan.selftest.tap import LineTap, call, observation_of, tell
from fullspan.selftest.views import Views
from fullspan.settings import Settings
from fullspan.stack import Stack, open_stack
from fullspan.stack.load import project_here
from fullspan.timeline import Event, Timeline
from fullspan.verdict import Verdict

__all__ = ["Doubles", "doubles_up"]

COUNT: Final = 60
AT_ONCE: Final = 16
"""Streams with 40 records a second each that a busy machine passes on in time."""
INTERVAL_S: Final = 0.025
LATE_AFTER_NS: Final = 4_000_000_000
TOLERANCE: Final = 1e-6  # V
ENDED_WITHIN_S: Final = 90.0
AGAIN_S: Final = 2.0
POLL_S: Final = 0.02
FIRST_S: Final = 0.3  # records pass before a fault, and after it
CALLS: Final = 30
WITHIN_NS: Final = 3_000_000_000
STALE_AFTER_NS: Final = round(STALE_AFTER_S * 1e9)
GRACE_NS: Final = 1_000_000_000
CLEAN: Final = Defect("clean", "double", "nowhere", "nothing is planted", NO_ALARM)


@dataclass(slots=True)
class Doubles:
    """The double while it is up; each round sends streams of 60 records through it and says what was found of each.

    Raises StackError when the double itself does not do what it must: then nothing is known of what it was to show.
    """

    stack: Stack
    folder: Path
    runner: HopRunner
    taps: Mapping[str, LineTap]
    streams: int = 0

    def planted(self, chosen: Sequence[tuple[Defect, str]] = PLANTED, clean: int = 0) -> list[Result]:
        """Plant each defect into a stream of its own, some at the same time, then streams without any.

        What is late, and must be waited for, comes last, beside those without a defect.
        """
        streams = {self._name(): (defect, behaviour) for defect, behaviour in chosen}
        named = {stream: defect for stream, (defect, _) in streams.items()} | {
            self._name(): CLEAN for _ in range(clean)
        }
        self._tell([(defect.where, f"PLANT {stream} {behaviour}") for stream, (defect, behaviour) in streams.items()])
        order = sorted(named, key=lambda stream: _is_waited_for(named[stream]))
        ledgers: dict[str, Ledger] = {}
        for first in range(0, len(order), AT_ONCE):
            ledgers |= self._send(order[first : first + AT_ONCE])
        return [_result(defect, ledgers[stream], stream, COUNT) for stream, defect in named.items()]

    def streamed(self, chosen: Sequence[Streamed] = STREAMED) -> list[Result]:
        """Let streaming checkers look: each at a stream with its defect, and all at one without."""
        streams = {self._name(): one for one in chosen}
        without = self._name()
        self._tell([(one.defect.where, f"PLANT {stream} {one.behaviour}") for stream, one in streams.items()])
        ledgers = self._send([*streams, without])
        findings = [(one.defect, sweep([one.make()], ledgers[stream])[0]) for stream, one in streams.items()]
        return _judged(findings, sweep([one.make() for one in chosen], ledgers[without]))

    def called(self, chosen: Sequence[tuple[Defect, str]] = CALLED) -> list[Result]:
        """Send records by calls, of which some are never answered: each with its defect, and one stream without.

        What was not answered is called once more: neither the first time nor the second tells what became of it.
        """
        self.runner.ledger = Ledger()
        streams = {self._name(): one for one in (*chosen, (CLEAN, "LosesAnswers"))}
        self._tell([("source", f"PLANT {stream} {behaviour}") for stream, (_, behaviour) in streams.items()])
        callers = {stream: Ledger() for stream in streams}
        anyio.run(self._call_all, callers)
        self._tell([("source", f"END {stream} {CALLS}") for stream in streams])
        self._wait(lambda: self._over(streams), f"the end of {len(streams)} streams")
        seen = self._seen(streams)
        for stream, ledger in seen.items():
            ledger.observe_all(callers[stream].observations(CALLER))
        return [
            _result(defect, seen[stream], stream, CALLS, (CALLER, *STAGES)) for stream, (defect, _) in streams.items()
        ]

    async def _call_all(self, callers: Mapping[str, Ledger]) -> None:
        address = self.stack.endpoint("source")
        for stream, ledger in callers.items():
            for seq in range(CALLS):
                line = Line.right(stream, seq, time.time_ns())
                order = f"PUT {stream} {seq} {line.due_ns}"
                answered = await call(address, order) or await call(address, order)
                outcome = Outcome.SEEN if answered else Outcome.UNKNOWN
                ledger.observe(replace(observation_of(CALLER, line, Moment.now()), outcome=outcome))

    def recovered(self) -> list[Result]:
        """Hold a link back until all that is shown is old, and look on after it.

        Everything must recover, and a view must say that it is old when it is: in a stream each that does not, and in
        one that does.
        """
        self.runner.ledger = Ledger()
        planted = {self._name(): one for one in (NOT_RECOVERED, *VIEWS)}
        streams = [*planted, without := self._name()]
        self._tell([(defect.where, f"PLANT {stream} {kind}") for stream, (defect, kind) in planted.items()])
        views = Views(self.stack.endpoint("source"), self.stack.endpoint("screen"), streams, GRACE_NS)
        with Faults(self.stack, Timeline(self.folder / "timeline.jsonl")) as faults:
            self._wait(lambda: views.go_on(fresh_ns=STALE_AFTER_NS - GRACE_NS), "fresh records at the screen")
            with faults.active(Stall(OUTAGE)):
                views.mark()
                old_ns = STALE_AFTER_NS + GRACE_NS
                # Records of the outage itself must grow old in it too: what comes in time has nothing to recover from.
                self._wait(lambda: views.go_on(stale_ns=old_ns) and views.made_for(old_ns), "old records at the screen")
            evidence = faults.evidence[-1]
            due_ns = evidence.healed_mono_ns + WITHIN_NS
            self._wait(lambda: views.go_on() and self._seen_since(due_ns, streams), "records after the outage")
        self._tell([("source", f"END {stream} {views.count}") for stream in streams])
        if evidence.verdict is not Verdict.PASS:
            useless = Diagnosis(evidence.verdict)
            return [Result(defect, useless, evidence.reason) for defect, _ in planted.values()]
        seen = self._seen(streams)
        recovery = {
            stream: sweep([BoundedRecovery(STAGES, [evidence], WITHIN_NS, LATE_AFTER_NS)], seen[stream])
            for stream in streams
        }
        shown = {
            stream: sweep([ShownStale(["screen"], STALE_AFTER_NS, GRACE_NS)], views.looks[stream]) for stream in streams
        }
        findings = [
            (defect, (recovery if defect is NOT_RECOVERED[0] else shown)[stream][0])
            for stream, (defect, _) in planted.items()
        ]
        return _judged(findings, [*recovery[without], *shown[without]])

    def _seen_since(self, since_ns: int, streams: Iterable[str]) -> bool:
        """Tell whether every stage has sent a record of every stream since a moment, CLOCK_MONOTONIC, ns."""
        return all(
            {seen.stream for seen in self.runner.ledger.observations(hop) if seen.seen_ns >= since_ns}.issuperset(
                streams
            )
            for hop in STAGES
        )

    def fault(self, planted: PlantedFault) -> Result:
        """Have a fault on while a stream passes."""
        self.runner.ledger = Ledger()
        stream, source = self._name(), self.taps["source"]
        count = round((planted.seconds + 4 * FIRST_S) / INTERVAL_S)
        self._tell([("source", f"START {stream} {count} {INTERVAL_S}")])
        with Faults(self.stack, Timeline(self.folder / "timeline.jsonl")) as faults:
            self._wait(lambda: source.seen[stream] * INTERVAL_S > FIRST_S, f"records of {stream} at the source")
            with faults.active(planted.make()):
                self._comes(lambda: False, planted.seconds)  # the length of the fault: nothing is waited for
            self._wait(lambda: stream in source.ended, f"the end of {stream} at the source")
            self._pass_through()
            evidence = faults.evidence[-1]
        if evidence.verdict is not Verdict.PASS:
            return Result(planted.defect, Diagnosis(evidence.verdict), evidence.reason)
        return _result(planted.defect, self._seen([stream])[stream], stream, count)

    def unsure(self) -> list[Result]:
        """Bring about what nobody can tell: nothing in flight, a look that came too late, a fault that does nothing."""
        return [_result(IDLE, Ledger(), self._name(), 0), self._looked_too_late(), self._idle_fault()]

    def _looked_too_late(self) -> Result:
        stream, before = self._name(), Moment.now()
        seen = self._send([stream])[stream]
        over_ns = seen.observations("source")[-1].event_ns + LATE_AFTER_NS
        self._wait(lambda: time.time_ns() > over_ns, "the limit of lateness")
        shown = anyio.run(tell, self.stack.endpoint("screen"), f"SHOWN {stream}")
        now, ledger = Moment.now(), Ledger()
        for hop in STAGES[:-1]:
            ledger.observe_all(seen.observations(hop))
        for line in map(Line.from_json, shown):
            if not line.end:
                ledger.observe(observation_of("screen", line, now, not_before_ns=before.wall_ns))
        return _result(LOOKED_TOO_LATE, ledger, stream, COUNT)

    def _idle_fault(self) -> Result:
        self.stack.via(IDLE_FAULT.where, "127.0.0.1", self.taps["source"].port)
        with Faults(self.stack, Timeline(self.folder / "timeline.jsonl")) as faults:
            with faults.active(Latency(IDLE_FAULT.where, 200)):
                self._send([self._name()])
            evidence = faults.evidence[-1]
        return Result(IDLE_FAULT, Diagnosis(evidence.verdict), evidence.reason)

    def _name(self) -> str:
        self.streams += 1
        return f"s{self.streams:05}"

    def _tell(self, orders: Sequence[tuple[str, str]]) -> None:
        async def all_of_them() -> None:
            for stage, order in orders:
                await tell(self.stack.endpoint(stage), order)

        anyio.run(all_of_them)

    def _send(self, streams: Sequence[str]) -> Mapping[str, Ledger]:
        """Send streams through all stages, and return what was seen of each."""
        self.runner.ledger = Ledger()
        self._tell([("source", f"START {stream} {COUNT} {INTERVAL_S}") for stream in streams])
        self._wait(lambda: self._over(streams), f"the end of {len(streams)} streams")
        return self._seen(streams)

    def _pass_through(self) -> None:
        """Send short streams until one has passed all stages: what came before it has then passed, or never will."""
        for _ in range(round(ENDED_WITHIN_S / AGAIN_S)):
            probe = [self._name()]
            self._tell([("source", f"START {probe[0]} 1 {INTERVAL_S}")])
            if self._comes(lambda probe=probe: self._over(probe), AGAIN_S):  # type: ignore[misc]
                return
        raise StackError(f"The double did not recover within {ENDED_WITHIN_S:g} s.", f"See {self.folder}.")

    def _over(self, streams: Iterable[str]) -> bool:
        return all(tap.ended.issuperset(streams) for tap in self.taps.values())

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        """Wait for a condition; StackError when it does not come."""
        if not self._comes(done, ENDED_WITHIN_S):
            raise StackError(f"The double gave no sign of {what} within {ENDED_WITHIN_S:g} s.", f"See {self.folder}.")

    def _comes(self, done: Callable[[], bool], within_s: float) -> bool:
        """Tell whether a condition comes within some seconds; StackError when an observer looks no longer."""
        deadline = time.monotonic() + within_s
        while not done():
            if time.monotonic() > deadline:
                return False
            for tap in self.taps.values():
                if tap.failed is not None:
                    raise StackError(f"The observer of {tap.name} has failed: {tap.failed}.")
            time.sleep(POLL_S)
        return True

    def _seen(self, streams: Iterable[str]) -> Mapping[str, Ledger]:
        """Return what was seen of each stream in this round."""
        ledgers = {stream: Ledger() for stream in streams}
        for hop in STAGES:
            for seen in self.runner.ledger.observations(hop):
                if seen.stream in ledgers:
                    ledgers[seen.stream].observe(seen)
        return ledgers


def _is_waited_for(defect: Defect) -> bool:
    return Kind.LATE in defect.expected.kinds or defect is CLEAN


def _judged(findings: Iterable[tuple[Defect, Finding]], clean: Iterable[Finding]) -> list[Result]:
    """Return the results of findings about planted defects, and of several about one stream without any."""
    # All of these looked at one and the same stream: that is one run without a defect, not several.
    worst = min(clean, key=lambda finding: (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS).index(finding.verdict))
    return [
        Result(defect, diagnosis_of(finding), f"{finding.name}: {finding.summary}")
        for defect, finding in [*findings, (CLEAN, worst)]
    ]


def _result(defect: Defect, ledger: Ledger, stream: str, count: int, stages: Sequence[str] = STAGES) -> Result:
    """Compare what was seen of a stream with what must be: every record at every stage, with its content, in time."""
    journeys = [
        Journey(line.key, [Stage(hop, [line.key], line.digest, TOLERANCE) for hop in stages])
        for line in (Line.right(stream, seq, 0) for seq in range(count))
    ]
    found, said = diagnose(reconcile(ledger, journeys, LATE_AFTER_NS), 1, stages)
    return Result(defect, found, said)


@contextmanager
def doubles_up(on_event: Callable[[Event], object] = lambda _event: None) -> Iterator[Doubles]:
    """Bring the double up below the project's `var/`, and take it down; nothing of it stays."""
    folder = Settings.load().var_of(project_here()) / "selftest" / f"{getpid()}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    try:
        # What a ledger loads when it first writes takes seconds on a busy machine: not while observers look.
        warm = Ledger()
        warm.observe(observation_of("source", Line.right("warm", 0, 1), Moment.now()))
        warm.dump(folder / "warm")
        file = folder / "double.yaml"
        text = files(__package__).joinpath("double.yaml").read_text(encoding="utf-8")
        file.write_text(text.replace("name: selftest", f"name: selftest-{folder.name}"), encoding="utf-8")
        with open_stack(str(file), on_event=on_event) as stack, HopRunner(Ledger()) as runner:
            taps = {stage: runner.start(LineTap(stage, stack.endpoint(stage))) for stage in STAGES}
            yield Doubles(stack, folder, runner, taps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
