"""The pipeline under observation: its addresses, a hop at each link, and windows of trades to prove something about."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from fullspan.clients import ClientError, K2Client, Metrics, Trade
from fullspan.clients.call import http_options
from fullspan.invariants import Finding, integrity, no_duplicate, no_loss, order
from fullspan.ledger import Journey, Ledger, Moment, Observation, Reconciliation, Stage, reconcile
from fullspan.ledger.hops import ApiRows, ExchangeFrames, HopRunner, IcebergRows, KafkaRecord, KafkaTopic
from fullspan.stack import Stack
from suites.k2.exchange import Exchange
from suites.k2.records import COLUMNS, answers_seen, content, frames_seen, kafka_seen, key_of, rows_seen

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADES_TOPIC = "market.crypto.trades.binance"
TRADES_TABLE = "market_data.trades"
CATALOG = "k2"
HOPS = ("exchange", "kafka", "iceberg", "api")
LAKE = ("iceberg", "api")
"""Where a trade is exactly once; in Kafka it may stand twice after the feed was killed."""
STORED_WITHIN_S = 60.0
EDGE = timedelta(milliseconds=1)
A_LITTLE_LATER = timedelta(seconds=1)
POLL_S = 0.1
TRIES = 10


ReadsKafka: TypeAlias = Callable[[Sequence[KafkaRecord], Moment], Iterable[Observation]]


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive trades: first and last number of each symbol, both included."""

    numbers: Mapping[str, tuple[int, int]]

    @property
    def keys(self) -> list[str]:
        """The keys of all trades."""
        spans = self.numbers.items()
        return [key_of(symbol, number) for symbol, (first, last) in spans for number in range(first, last + 1)]

    @property
    def where(self) -> str:
        """The condition that a row of the table is one of them."""
        return " or ".join(
            f"(symbol == '{symbol}' and source_sequence >= {first} and source_sequence <= {last})"
            for symbol, (first, last) in self.numbers.items()
        )

    def without(self, trades: Iterable[Trade]) -> "Window":
        """Return what lies between the first and the last one of each symbol that is not among some trades."""
        there = {(trade.symbol, trade.source_sequence) for trade in trades}
        left = {
            symbol: [number for number in range(first, last + 1) if (symbol, number) not in there]
            for symbol, (first, last) in self.numbers.items()
        }
        return Window({symbol: (numbers[0], numbers[-1]) for symbol, numbers in left.items() if numbers})

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.numbers.values())


class Patience:
    """How long nothing may change of what is waited for: a busy machine is waited for while anything comes at all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._state: object = None
        self._since = time.monotonic()

    def over(self, state: object) -> bool:
        """Tell whether this state is that of so long ago."""
        if state != self._state:
            self._state, self._since = state, time.monotonic()
        return time.monotonic() - self._since > self._seconds


@dataclass(slots=True)
class Addresses:
    """Where everything is, and the key of the API."""

    api: str
    key: str
    broker: str
    exchange: str
    frames: str
    lake: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stack: Stack) -> "Addresses":
        """Ask a stack."""
        parts = urlsplit(stack.endpoint("k2.api"))
        streams = "/".join(f"{symbol.lower()}@trade" for symbol in SYMBOLS)
        return cls(
            api=urlunsplit(parts._replace(netloc=f"{parts.hostname}:{parts.port}")),
            key=parts.password or "",
            broker=urlsplit(stack.endpoint("kafka.broker")).netloc,
            exchange=stack.endpoint("exchange.http"),
            frames=f"{stack.endpoint('exchange.ws')}/stream?streams={streams}",
            lake={
                "type": "sql",
                "uri": stack.endpoint("lake.catalog"),
                "warehouse": stack.endpoint("lake.warehouse"),
            },
        )


class Pipeline:
    """A running pipeline with observers at its hops. `api` is a client of the query API."""

    def __init__(self, stack: Stack, runner: HopRunner) -> None:
        self.stack = stack
        self.ledger: Ledger = runner.ledger
        self.addresses = Addresses.of(stack)
        self.api = K2Client(self.addresses.api, self.addresses.key)
        self.exchange = Exchange(self.addresses.exchange)
        self.runner = runner
        self._frames: ExchangeFrames | None = None
        self.since: dict[str, int] = {}
        """The last number of each symbol before the observers saw everything."""
        self.closing = ExitStack()
        """What ends with this pipeline's test."""
        self.frames_left_out = False
        """Whether the exchange does not send all frames, as it was told."""

    def close(self) -> None:
        """Close the clients, and whatever else was begun for them."""
        self.closing.close()
        self.api.close()
        self.exchange.close()

    def watch(self, read: ReadsKafka = kafka_seen) -> None:
        """Look at the exchange's frames and at Kafka; return once every later trade is seen there.

        `read` is told Kafka's records, and says what they are.
        """
        self.runner.start(KafkaTopic(self.addresses.broker, TRADES_TOPIC, read))
        self._frames = self.runner.start(ExchangeFrames(self.addresses.frames, frames_seen))
        self.wait(lambda: all(self._is_seen(symbol) for symbol in SYMBOLS), 120, "trades of all symbols are seen")
        self.since = self.exchange.last()
        # A feed that is behind has not read these yet: what it misses from now on begins after them.
        self.wait(
            lambda: all(self._newest_in_kafka(symbol) >= number for symbol, number in self.since.items()),
            60,
            "what the exchange has sent until now is in Kafka",
            moving=lambda: [self._newest_in_kafka(symbol) for symbol in SYMBOLS],
        )

    def _newest_in_kafka(self, symbol: str) -> int:
        seen = self.ledger.observations("kafka")
        return max((each.sequence for each in seen if f"/{symbol}/" in each.key), default=0)

    def seen_in_kafka(self, window: Window) -> None:
        """Wait until this suite's own observer, which a busy machine keeps behind the API, has a window as well.

        What it has not seen when nothing has come for long is missing, which the findings tell.
        """
        keys, patience = set(window.keys), Patience(STORED_WITHIN_S)
        while left := keys.difference(seen.key for seen in self.ledger.observations("kafka")):
            if patience.over(len(left)):
                break
            time.sleep(5 * POLL_S)

    def _is_seen(self, symbol: str) -> bool:
        return any(seen.stream.endswith(symbol) for seen in self.sent)

    @property
    def sent(self) -> tuple[Observation, ...]:
        """What the exchange has sent since `watch`."""
        return self.ledger.observations("exchange")

    def window(self, seconds: float, at_least: int = 1) -> Window:
        """Let trades happen for so long, and until there are so many; return those since the observers were ready."""
        first = self.since
        began = time.monotonic()

        def count() -> int:
            return sum(last - first.get(symbol, last) for symbol, last in self.exchange.last().items())

        self.wait(
            lambda: time.monotonic() - began >= seconds and count() >= at_least,
            seconds + 60,
            f"{at_least} trades happened",
            moving=count,
        )
        return Window({symbol: (first[symbol] + 1, last) for symbol, last in self.exchange.last().items()})

    def stored(self, window: Window, within_s: float = STORED_WITHIN_S) -> float:
        """Wait until the API has the window's last trades, and then all of it; return after how many seconds it had.

        Trades that the feed had to ask for come after newer ones. What is not there when none came for `within_s` is
        missing, which the findings tell better than this wait.
        """
        began = time.monotonic()
        left, patience = window, Patience(within_s)
        while not patience.over((len(left), self._newest(window))):
            if self.has_last(window):
                # All are asked for once; after that only those between the first and the last one that is missing.
                left = left.without(self.trades(left))
                if not left.numbers:
                    break
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _newest(self, window: Window) -> list[int]:
        """Return how far the API has come of each symbol, at most to the window's end."""
        newest = []
        for symbol, (_, last) in window.numbers.items():
            try:
                rows = self.api.trades(symbol=symbol, limit=1).rows
            except ClientError:
                rows = ()
            newest.append(min([last, *(row.source_sequence for row in rows)]) if rows else 0)
        return newest

    def has_last(self, window: Window) -> bool:
        """Tell whether the API has the last trade of each symbol, or one that came soon after it."""
        return all(self.has(symbol, last) for symbol, (_, last) in window.numbers.items())

    def has(self, symbol: str, number: int) -> bool:
        """Tell whether the API has a trade of a symbol, or one that came soon after it.

        It is asked for by its time, because the newest trade need not be the last one: clocks are set.
        """
        (traded,) = self.exchange.trades(symbol, number, number)
        at = traded["timestamp"]
        try:
            rows = self.api.trades(symbol=symbol, start=at - EDGE, end=at + A_LITTLE_LATER, limit=1).rows
        except ClientError:
            return False
        return bool(rows) and rows[0].source_sequence >= number

    def look(self, window: Window) -> list[Trade]:
        """Read what the table and the API hold of a window, and note it."""
        table = self.runner.start(
            IcebergRows(self.addresses.lake, TRADES_TABLE, COLUMNS, rows_seen, catalog_name=CATALOG)
        )
        for tries_left in reversed(range(TRIES)):
            try:
                table.look(window.where)
                break
            except FileNotFoundError:
                # The writer keeps its ten newest metadata files; a reader that was slower than that begins anew.
                if not tries_left:
                    raise
        trades = self.trades(window)
        self.runner.start(ApiRows(answers_seen)).look(trades)
        return trades

    def trades(self, window: Window) -> list[Trade]:
        """Read all trades of a window from the API, by its time; what else was traded then is left out."""
        found = []
        for symbol, (first, last) in window.numbers.items():
            (begin,) = self.exchange.trades(symbol, first, first)
            (end,) = self.exchange.trades(symbol, last, last)
            # Nothing that is stored from now on lies in this range, or it would shift the pages.
            rows = self.api.every_trade(symbol=symbol, start=begin["timestamp"] - EDGE, end=end["timestamp"] + EDGE)
            found += [trade for trade in rows if first <= trade.source_sequence <= last]
        return found

    def examine(self, window: Window) -> Reconciliation:
        """Follow every trade of a window from the exchange's frame to the API.

        What a frame must say is told by what the exchange itself has kept of the trade. Frames that it never sent, or
        sent while the observer had no connection, are asked for by the feed: then the journey begins in Kafka.
        """
        hops = HOPS if self.frames_complete else HOPS[1:]
        journeys = []
        for symbol, (first, last) in window.numbers.items():
            for row in self.exchange.trades(symbol, first, last):
                key, (begin, *others) = key_of(symbol, row["source_sequence"]), hops
                stages = [Stage(begin, [key], digest=content(row)), *(Stage(hop, [key]) for hop in others)]
                journeys.append(Journey(key, stages))
        return reconcile(self.ledger, journeys)

    @property
    def frames_complete(self) -> bool:
        """Tell whether the observer at the exchange had its connection all the time."""
        return self._frames is not None and not self._frames.interruptions and not self.frames_left_out

    def metrics(self, endpoint: str) -> Metrics:
        """Read the figures of the feed or the writer."""
        import httpx

        address = self.stack.endpoint(endpoint)
        with httpx.Client(**http_options(address, 10.0, {})) as client:
            answer = client.get("/metrics")
            answer.raise_for_status()
            return Metrics.read(answer.text)

    def wait(
        self,
        condition: Callable[[], bool],
        within_s: float,
        what: str,
        moving: Callable[[], object] = lambda: None,
    ) -> None:
        """Poll a condition until it holds; say what was waited for when it does not in time.

        The time begins anew whenever `moving` gives something else: then it is only slow.
        """
        patience = Patience(within_s)
        while not condition():
            assert not patience.over(moving()), f"{what}: that did not come true within {within_s:g} s"
            time.sleep(POLL_S)


def findings(
    examined: Reconciliation, enough: int, *, twice_in_kafka: bool = False, in_order: bool = True
) -> list[Finding]:
    """Return what a window shows: nothing lost at any hop, nothing doubled, every field equal, order per symbol.

    After the feed was killed, or a frame was sent twice, a trade may stand twice in Kafka; the lake has it once.
    """
    once = LAKE if twice_in_kafka else examined.hops
    minimum = dict.fromkeys(examined.hops, enough)
    found = [
        no_loss.check(examined, minimum),
        no_duplicate.check(examined, dict.fromkeys(once, enough), hops=once),
        integrity.check(examined, minimum),
    ]
    if in_order:
        found.append(order.check(examined, enough, hops=("kafka",)))
    return found
