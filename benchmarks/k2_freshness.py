"""How old a trade is when the query API has it, how fast the writer makes up what it missed, and what it all takes.

Claim: from the exchange to the API p99 under 2 s, at 50 and at 5,000 trades a second. The whole stack runs (exchange,
feed, Kafka, writer, API); the clock runs from the exchange's own time of a trade, on this machine's clock, to the first
answer of `/v1/trades` that has it, asked for every 50 ms. Beside it, as the limit that nothing behind Kafka can beat: a
bare consumer of the same topic. For the catch-up the writer is killed while trades come in, and started again: rows it
stores a second until nothing is left, beside the bare consumer that reads the same records. `/v1/trades/recent`, which
joins the tail and the table, is asked while trades come in, beside `/v1/trades`, which reads the table alone. At last,
at the higher rate, the components are watched for ten minutes: claim: feed, writer and API each grow by less than 1 MB
a minute over the last half.
"""

import argparse
import statistics
import time
from urllib.parse import urlsplit

from _figures import options, percentile, print_claim, read, show
from _meter import MB, Meter
from _stack import add_option, the_stack
from confluent_kafka import Consumer, TopicPartition

from fullspan.clients import K2Client
from fullspan.ledger import Ledger
from fullspan.ledger.hops import HopRunner, KafkaTopic
from fullspan.stack import Stack
from suites.k2.pipeline import SYMBOLS, TRADES_TOPIC, Addresses, Pipeline
from suites.k2.records import kafka_seen

RATES = {"50 trades a second": None, "5,000 trades a second": "burst"}
"""Profiles of the stack by what they send."""
POLL_S = 0.05
FRESH_S = 2.0
AWAY_S = 20.0
QUICK_S = 1.0
MINUTES, QUICK_MINUTES = 10.0, 0.05
PAUSE_S = 0.02
RECENT_MS = 50.0
OURS = ("binance-stream", "consumer-crypto", "k2-query-api")
MB_PER_MIN = 1.0


def api_ages_s(api: K2Client, n: int) -> list[float]:
    """Ask for the newest trade until n different ones were seen; return how old each was when its answer came."""
    ages: list[float] = []
    newest = -1
    deadline = time.monotonic() + 60 + n
    while len(ages) < n:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(ages)} of {n} newest trades came")
        rows = api.trades(symbol=SYMBOLS[0], limit=1).rows
        if rows and rows[0].source_sequence > newest:
            newest = rows[0].source_sequence
            ages.append(time.time() - rows[0].timestamp.timestamp())
        time.sleep(POLL_S)
    return ages


def measure(stack: Stack, n: int) -> tuple[list[float], list[float]]:
    """Return the ages of trades at the API and at a bare consumer of Kafka, s, seen at the same time."""
    addresses = Addresses.of(stack)
    ledger = Ledger()
    with HopRunner(ledger) as runner, K2Client(addresses.api, addresses.key) as api:
        runner.start(KafkaTopic(addresses.broker, TRADES_TOPIC, kafka_seen), 30)
        api_ages_s(api, 1)
        at_api = api_ages_s(api, n)
    at_kafka = [(seen.seen_wall_ns - seen.event_ns) / 1e9 for seen in ledger.observations("kafka")]
    return at_api, at_kafka


def recent(stack: Stack, n: int, *, quick: bool) -> None:
    """Print how long the newest trades take, from tail and table and from the table alone, asked in turn."""
    addresses = Addresses.of(stack)
    joined: list[float] = []
    table: list[float] = []
    with K2Client(addresses.api, addresses.key) as api:
        for _ in range(n):
            for ask, found in ((api.recent, joined), (api.trades, table)):
                began_s = time.perf_counter()
                ask(limit=100)
                found.append((time.perf_counter() - began_s) * 1000)
                time.sleep(PAUSE_S)  # within the API's limit of requests
    ours = show("tail and table, limit 100", joined, "ms")
    print(f"  ratio to the table alone {ours / show('table alone, limit 100', table, 'ms'):.2f}")
    print_claim(f"p99 of tail and table under {RECENT_MS:g} ms", percentile(joined, 99) < RECENT_MS, quick=quick)


def memory(stack: Stack, minutes: float, *, quick: bool) -> None:
    """Print what each component takes while trades come in, and how its memory grows over the last half."""
    meter = Meter(stack)
    samples = 4 if quick else int(minutes * 60)
    for number in range(samples):
        time.sleep(minutes * 60 / samples)
        meter.sample()
        if number % 60 == 59:
            print(f"  {(number + 1) // 60} of {minutes:g} min watched", flush=True)
    meter.end()
    for name, used in meter.cores.items():
        sizes = [size / MB for _, size in meter.memory[name]]
        slope = meter.slope_mb_per_min([name])
        print(f"{name}: {used:.2f} core, {sizes[0]:.0f} MB at first, {sizes[-1]:.0f} at last, {slope:+.2f} MB/min")
        if name in OURS:
            print_claim(f"{name} grows under {MB_PER_MIN:g} MB/min", slope < MB_PER_MIN, quick=quick)


def catch_up(stack: Stack, away_s: float) -> tuple[int, float, float]:
    """Kill the writer for a time; return its rows, its rows a second, and those of a bare consumer."""
    with HopRunner(Ledger()) as runner:
        pipeline = Pipeline(stack, runner)
        before = pipeline.exchange.last()
        writer = stack.component("consumer-crypto")
        writer.kill()
        time.sleep(away_s)  # how long it is away
        target = pipeline.exchange.last()
        writer.start()
        began = time.monotonic()
        while not all(pipeline.has(symbol, last) for symbol, last in target.items()):
            time.sleep(POLL_S)
            if time.monotonic() - began > 60 + 3 * away_s:
                raise TimeoutError("the writer did not make up what it missed")
        took_s = time.monotonic() - began
        pipeline.close()
    rows = sum(target[symbol] - before[symbol] for symbol in before)
    return rows, rows / took_s, bare_rate(stack, rows)


def bare_rate(stack: Stack, rows: int) -> float:
    """Return how many records a second a consumer takes that does nothing with them."""
    consumer = Consumer({
        "bootstrap.servers": urlsplit(stack.endpoint("kafka.broker")).netloc, "group.id": "bare",
        "enable.auto.commit": False,
    })  # fmt: skip
    partitions = consumer.list_topics(TRADES_TOPIC, timeout=10).topics[TRADES_TOPIC].partitions
    consumer.assign([TopicPartition(TRADES_TOPIC, partition, 0) for partition in partitions])
    taken, began = 0, time.monotonic()
    while taken < rows:
        taken += len(consumer.consume(10_000, 1.0))
        if time.monotonic() - began > 60:
            raise TimeoutError("the bare consumer did not get as many records")
    rate = taken / (time.monotonic() - began)
    consumer.close()
    return rate


def report(name: str, at_api: list[float], at_kafka: list[float], given: argparse.Namespace) -> None:
    """Print the ages at both places, their ratio, and the claim."""
    for place, ages in (("API", at_api), ("bare consumer of Kafka", at_kafka)):
        print(
            f"{name}, age at the {place}: median {statistics.median(ages):.3f} s, p95 {percentile(ages, 95):.3f}, "
            f"p99 {percentile(ages, 99):.3f}, n {len(ages)}"
        )
    print(f"  raw at the API: {' '.join(f'{age:.3f}' for age in at_api)}")
    print(f"  ratio API / bare consumer: {statistics.median(at_api) / statistics.median(at_kafka):.1f}")
    print_claim(f"p99 at the API under {FRESH_S:g} s", percentile(at_api, 99) < FRESH_S, quick=given.quick)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 100, "newest trades seen at the API")
    add_option(parser)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long memory is watched (default 10)")
    given = read(parser)
    rates = dict(list(RATES.items())[:1]) if given.quick or given.stack else RATES
    for name, profile in rates.items():
        with the_stack(given.stack, profile, of="k2") as stack:
            report(name, *measure(stack, given.n), given)
            recent(stack, given.n, quick=given.quick)
            rows, rate, bare = catch_up(stack, QUICK_S if given.quick else AWAY_S)
            print(
                f"{name}, catch-up: {rows} rows, {rate:.0f} a second; bare consumer {bare:.0f}, ratio {bare / rate:.1f}"
            )
            if given.quick or profile is not None:
                memory(stack, QUICK_MINUTES if given.quick else given.minutes, quick=given.quick)


if __name__ == "__main__":
    main()
