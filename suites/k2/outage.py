"""An outage: something is broken for a while, the API is asked all the time whether it is ready, and all comes back.

What recovered when is kept as a recovery profile: when the topic and the API had all that was traded until the end of
the outage, when the API first said that something is wrong, and when it was ready again.
"""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx

from fullspan.clients.call import http_options
from fullspan.invariants import Finding
from fullspan.recovery import Phase, RecoveryProfile
from fullspan.verdict import Verdict
from suites.k2.pipeline import Pipeline
from suites.k2.records import key_of

ASK_S = 0.1
ANSWER_S = 5.0
READY_WITHIN_S = 300.0
COMPLETE_WITHIN_S = 60.0
READY, NOT_READY = 200, 503


class Readiness:
    """Asks the API again and again whether it is ready; no answer is none of the two."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(**http_options(address, ANSWER_S, {}))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="readiness", daemon=True)
        self.told: list[tuple[int, int]] = []
        """When it told something else than before, CLOCK_MONOTONIC in ns, and what: a status of HTTP."""

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()
        self._http.close()

    def _ask(self) -> None:
        while not self._stop.wait(ASK_S):
            try:
                status = self._http.get("/health/ready").status_code
            except httpx.HTTPError:
                continue
            if not self.told or self.told[-1][1] != status:
                self.told.append((time.monotonic_ns(), status))

    def since(self, status: int, moment_ns: int) -> int | None:
        """Return when it first told a status at or after a moment, CLOCK_MONOTONIC in ns; None when it did not."""
        before = [told for at, told in self.told if at <= moment_ns]
        if before and before[-1] == status:
            return moment_ns
        return next((at for at, told in self.told if at > moment_ns and told == status), None)


class Outage:
    """Something is broken while its block runs; give it to `prove` afterwards."""

    def __init__(self, pipeline: Pipeline, kind: str, target: str, *, stale: bool = True) -> None:
        self._pipeline = pipeline
        self._kind, self._target = kind, target
        self._stale = stale
        self._readiness = Readiness(pipeline.addresses.api)
        self._began_ns = self._ended_ns = 0
        self._due: Mapping[str, int] = {}

    def __enter__(self) -> Self:
        self._pipeline.closing.callback(self._readiness.close)
        self._readiness.start()
        self._pipeline.wait(
            lambda: self._readiness.since(READY, time.monotonic_ns()) is not None, READY_WITHIN_S, "the API is ready"
        )
        self._began_ns = time.monotonic_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended_ns = time.monotonic_ns()
        if error is None:
            self._due = self._pipeline.exchange.last()

    def last(self, seconds: float) -> None:
        """Let it go on until it has lasted so long, and until the API says that it is not ready if it must."""
        time.sleep(max(0.0, seconds - (time.monotonic_ns() - self._began_ns) / 1e9))  # the fault's length
        if self._stale:
            self._pipeline.wait(self.is_told, READY_WITHIN_S, "the API says that it is not ready")

    def is_told(self) -> bool:
        """Tell whether the API has said since the beginning that it is not ready."""
        return self._readiness.since(NOT_READY, self._began_ns) is not None

    def over(self) -> tuple[RecoveryProfile, Finding]:
        """Wait until the API is ready and has what was due; return how long that took, and what readiness showed."""
        complete_ns = self._complete()
        self._pipeline.wait(
            lambda: self._readiness.since(READY, self._ended_ns) is not None, READY_WITHIN_S, "the API is ready"
        )
        told_ns = self._readiness.since(NOT_READY, self._began_ns)
        told_ns = told_ns if told_ns is not None and told_ns <= self._ended_ns else None
        ready_ns = self._readiness.since(READY, self._ended_ns)
        layers: dict[str, dict[Phase, int | None]] = {
            "kafka": {Phase.COMPLETE: self._in_kafka()},
            "api": {Phase.DETECTED: told_ns, Phase.FRESH: ready_ns, Phase.COMPLETE: complete_ns},
        }
        if not self._stale:
            del layers["api"][Phase.DETECTED]
        profile = RecoveryProfile(self._kind, self._target, self._began_ns, self._ended_ns, time.monotonic_ns(), layers)
        return profile, self._judged(profile, told_ns)

    def _complete(self) -> int | None:
        """Wait until the API has the last trades that were due, and return when that was; None when it never was."""
        deadline = time.monotonic() + COMPLETE_WITHIN_S
        while not all(self._pipeline.has(symbol, number) for symbol, number in self._due.items()):
            if time.monotonic() > deadline:
                return None
            time.sleep(ASK_S)
        return time.monotonic_ns()

    def _in_kafka(self) -> int | None:
        """Wait until all that was due was seen in Kafka, and return when the last of it was; None when it never was.

        The observer has lost the broker as well, and may need longer than the writer to find it again.
        """
        due = [
            key_of(symbol, number)
            for symbol, last in self._due.items()
            for number in range(self._pipeline.since[symbol] + 1, last + 1)
        ]
        deadline = time.monotonic() + COMPLETE_WITHIN_S
        while True:
            first: dict[str, int] = {}
            for seen in self._pipeline.ledger.observations("kafka"):
                first.setdefault(seen.key, seen.seen_ns)
            if all(key in first for key in due):
                return max([self._ended_ns, *(first[key] for key in due)])
            if time.monotonic() > deadline:
                return None
            time.sleep(5 * ASK_S)

    def _judged(self, profile: RecoveryProfile, told_ns: int | None) -> Finding:
        back_s = profile.seconds("api", Phase.FRESH)
        if not self._stale:
            return Finding("readiness", Verdict.PASS, f"200 again {back_s:.2f} s after the end", 1)
        said = "never" if told_ns is None else f"{(told_ns - self._began_ns) / 1e9:.2f} s after the beginning"
        verdict = Verdict.FAIL if told_ns is None else Verdict.PASS
        return Finding("readiness", verdict, f"503 {said}, 200 again {back_s:.2f} s after the end", 2)
