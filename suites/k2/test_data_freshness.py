"""How fresh the API's data are, how fast it answers, and what it does when it is asked too much or has nothing new."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from fullspan.clients import AsyncK2Client, Trade
from fullspan.errors import Inconclusive
from fullspan.faults import Faults, Latency
from fullspan.invariants import Finding, freshness
from fullspan.ledger import Journey, Stage, reconcile
from fullspan.ledger.hops import ApiTail, HopRunner
from fullspan.ledger.record import Moment, Observation
from fullspan.pytest_plugin import Evidence
from fullspan.verdict import Verdict
from suites.k2.pipeline import SYMBOLS, Pipeline, findings
from suites.k2.records import observed, row_of

# What is proven of thousands of trades takes a busy machine long; nothing is measured by this limit.
pytestmark = [pytest.mark.e2e, pytest.mark.performance, pytest.mark.timeout(600)]

FRESH_NS = 2_000_000_000
SLA_NS = 30_000_000_000
PAGE = 1000
EVERY_S = 0.2
BUSY = 5.0
"""Processes that wait for each processor: more than the stack itself and its observers are."""
ANSWERS = 60
TODAY_MS = 388
HEALTHY_MS = 2000
ASKED = 600
LIMIT_A_SECOND = 100


class Newest:
    """The API's newest trades, asked for again and again; the table's, or those of table and live tail together."""

    def __init__(self, pipeline: Pipeline, runner: HopRunner, *, recent: bool) -> None:
        self.name = "api, recent" if recent else "api, table"
        self._pipeline = pipeline
        self._recent = recent
        self.hop = runner.start(ApiTail(self._ask, self._key, self._note, name=self.name, page=PAGE, every_s=EVERY_S))

    async def _ask(self) -> Sequence[Trade]:
        addresses = self._pipeline.addresses
        async with AsyncK2Client(addresses.api, addresses.key) as api:
            page = await (api.recent(symbol=SYMBOLS[0], limit=PAGE) if self._recent else api.trades(
                symbol=SYMBOLS[0], limit=PAGE
            ))  # fmt: skip
        return page.rows

    def _key(self, trade: Trade) -> int:
        return trade.source_sequence

    def _note(self, trade: Trade, moment: Moment, not_before_ns: int | None) -> Observation:
        return observed(self.name, row_of(trade), moment, not_before_ns)


def blame_a_busy_machine(what: str) -> None:
    """Say that a time tells nothing, when so much else wants the processors; return when it does not."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    if load > BUSY:
        raise Inconclusive(f"At present {what}, and {load:.0f} processes wait for each processor of this machine.")


@pytest.mark.demo
@pytest.mark.parametrize(
    "recent",
    [pytest.param(False, id="table"), pytest.param(True, id="recent", marks=pytest.mark.soak)],
)
def test_trades_are_in_the_api_within_two_seconds(pipeline: Pipeline, evidence: Evidence, recent: bool) -> None:
    """From the exchange's own time of the trade to the first answer that has it: p99 below 2 s, never above 30 s."""
    with HopRunner(pipeline.ledger) as runner:
        newest = Newest(pipeline, runner, recent=recent)
        came = partial(pipeline.ledger.observations, newest.name)
        pipeline.wait(lambda: len(came()) >= 400, 40, "400 trades came to the API", moving=lambda: len(came()))
    seen = pipeline.ledger.observations(newest.name)
    late_s = sorted((each.seen_wall_ns - each.event_ns) / 1e9 for each in seen)
    p50, p99 = late_s[len(late_s) // 2], late_s[int(len(late_s) * 0.99)]
    evidence.figures(f"exchange to {newest.name}", late_s, "s")
    examined = reconcile(
        pipeline.ledger, [Journey(each.key, [Stage(newest.name, [each.key])]) for each in seen], SLA_NS
    )
    evidence.finding(freshness.check(examined, {newest.name: 1}))
    good = p99 * 1e9 < FRESH_NS
    if not good:
        blame_a_busy_machine(f"p99 is {p99:.2f} s")
    summary = f"{len(seen):,} trades: p50 {p50:.2f} s, p99 {p99:.2f} s, at most {FRESH_NS / 1e9:g} s are allowed"
    evidence.finding(Finding("p99 of freshness", Verdict.PASS if good else Verdict.FAIL, summary, len(seen)))
    evidence.require()


def test_recent_trades_have_no_hole_and_no_double(pipeline: Pipeline, evidence: Evidence) -> None:
    """The live tail and the table are joined without a seam, whenever they are asked."""
    asked = rows = 0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        numbers = [trade.source_sequence for trade in pipeline.api.recent(symbol=SYMBOLS[0], limit=2 * PAGE).rows]
        assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)), "each is one below the one before"
        asked, rows = asked + 1, rows + len(numbers)
    summary = f"{asked} answers with {rows:,} rows are each a contiguous range of trade numbers, newest first"
    evidence.finding(Finding("no seam", Verdict.PASS, summary, rows))
    evidence.require()


def test_throughput_is_more_than_ten_a_second(pipeline: Pipeline, evidence: Evidence) -> None:
    name = "k2_writer_rows_total"

    def stored() -> float:
        return pipeline.metrics("writer.metrics").value(name, table="trades")

    first, began = stored(), time.monotonic()
    pipeline.wait(lambda: stored() >= first + 500, 30, "500 rows were stored", moving=stored)
    rows = stored() - first
    rate = rows / (time.monotonic() - began)
    evidence.figure("rows stored a second", round(rate))
    assert rate > 10
    evidence.finding(Finding("throughput", Verdict.PASS, f"{rate:.0f} rows a second were stored", int(rows)))
    evidence.require()


def test_the_api_answers_soon(pipeline: Pipeline, evidence: Evidence) -> None:
    """A hundred newest trades; the figure is for the eye, the limit is what users are promised today."""
    took_ms = []
    for _ in range(ANSWERS):
        began = time.perf_counter()
        assert len(pipeline.api.trades(symbol=SYMBOLS[0], limit=100).rows) == 100
        took_ms.append((time.perf_counter() - began) * 1000)
    evidence.figures("GET /v1/trades?limit=100", took_ms, "ms")
    median = sorted(took_ms)[len(took_ms) // 2]
    if median >= TODAY_MS:
        blame_a_busy_machine(f"the median is {median:.0f} ms")
    assert median < TODAY_MS, "the median that users have today"
    evidence.finding(Finding("answers", Verdict.PASS, f"median {median:.1f} ms of {ANSWERS}", ANSWERS))
    evidence.require()


@pytest.mark.soak
def test_health_answers_while_it_is_asked_much(pipeline: Pipeline, evidence: Evidence) -> None:
    worst_ms = 0.0
    with ThreadPoolExecutor(4) as workers:
        asked = [workers.submit(pipeline.api.trades, symbol=SYMBOLS[0], limit=10_000) for _ in range(8)]
        while not all(future.done() for future in asked):
            began = time.perf_counter()
            assert pipeline.api.health().status
            worst_ms = max(worst_ms, (time.perf_counter() - began) * 1000)
        rows = [len(future.result().rows) for future in asked]
    assert min(rows) > 0
    evidence.figure("slowest answer of /health meanwhile", round(worst_ms, 1), "ms")
    if worst_ms >= HEALTHY_MS:
        blame_a_busy_machine(f"the slowest answer of /health took {worst_ms:.0f} ms")
    assert worst_ms < HEALTHY_MS, "whoever watches it takes it for dead"
    evidence.finding(Finding("health under load", Verdict.PASS, f"slowest answer {worst_ms:.0f} ms", len(rows)))
    evidence.require()


@pytest.mark.soak
def test_a_bad_link_makes_data_late_and_loses_none(pipeline: Pipeline, faults: Faults, evidence: Evidence) -> None:
    """The exchange is 300 ms further away: all of its trades are there all the same."""
    pipeline.watch()
    with faults.active(Latency("feed-exchange", ms=300)):
        window = pipeline.window(3.0, 500)
    pipeline.stored(window)
    pipeline.look(window)
    examined = pipeline.examine(window)
    evidence.reconciliation(examined)
    for finding in findings(examined, 500):
        evidence.finding(finding)
    evidence.require()


def test_too_many_requests_are_refused_with_the_time_to_wait(pipeline: Pipeline, evidence: Evidence) -> None:
    """Beyond the limit of a key each answer is 429 and says when to come again; who waits is served."""
    statuses: dict[int, int] = {}
    waits = set()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as workers:
        answers = workers.map(
            lambda _: pipeline.api.raw("GET", "/v1/symbols", headers={"X-API-Key": pipeline.addresses.key}),
            range(ASKED),
        )
        for answer in answers:
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 429:
                waits.add(int(answer.headers["Retry-After"]))
    rate = ASKED / (time.monotonic() - began)
    if 429 not in statuses and rate < 2 * LIMIT_A_SECOND:
        raise Inconclusive(f"This machine asks {rate:.0f} times a second, too slowly to meet the limit.")
    assert set(statuses) == {200, 429}, statuses
    assert all(1 <= wait <= 60 for wait in waits)
    time.sleep(max(waits))  # what the answer asks for
    assert pipeline.api.raw("GET", "/v1/symbols").status_code == 200
    summary = f"{statuses[200]} served, {statuses[429]} refused with Retry-After {sorted(waits)} s"
    evidence.finding(Finding("rate limit", Verdict.PASS, summary, sum(statuses.values())))
    evidence.require()


def test_times_outside_of_what_was_traded_have_no_rows(pipeline: Pipeline) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    page = pipeline.api.trades(symbol=SYMBOLS[0], start=long_ago, end=long_ago + timedelta(days=1))
    assert page.rows == ()
