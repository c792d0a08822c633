"""Gaps: the numbers that were left out between trades, as the topic shows it, and what the feed tells of them.

What was left out is seen from outside: where a symbol's numbers jump in the order of the topic. The feed keeps another
topic, in which it tells each of these gaps with its first and last number, and that it is closed when nothing of it is
missing any more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

from fullspan.invariants import Finding
from fullspan.ledger import Observation
from fullspan.verdict import Verdict
from suites.k2.records import key_of

GAPS_TOPIC = "market.crypto.gaps.binance"
ANSWER_S = 10.0
SURE_S = 2.0
"""The feed waits a second for trades that may only be late; a gap that is open for so long must be told."""


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Trades `first` to `last`, both included, of a symbol; `open_s` is how long one of them was missing."""

    symbol: str
    first: int
    last: int
    open_s: float = field(default=float("inf"), compare=False)

    def begins_in(self, numbers: Mapping[str, tuple[int, int]]) -> bool:
        """Tell whether it begins among these numbers; a feed that is still away at their end tells a longer one."""
        first, last = numbers.get(self.symbol, (0, -1))
        return first <= self.first <= last

    def __str__(self) -> str:
        return f"{self.symbol} {self.first} to {self.last}"


def left_out(seen: Iterable[Observation], numbers: Mapping[str, tuple[int, int]]) -> list[Gap]:
    """Return where numbers jump in what was seen of trades, in its order; only gaps that begin in `numbers`."""
    first_ns: dict[str, int] = {}
    newest: dict[str, int] = {}
    jumps: list[tuple[Gap, int]] = []
    for each in seen:
        symbol = each.key.split("/")[1]
        first_ns.setdefault(each.key, each.seen_ns)
        before = newest.get(symbol)
        if before is not None and each.sequence > before + 1:
            jumps.append((Gap(symbol, before + 1, each.sequence - 1), each.seen_ns))
        newest[symbol] = max(each.sequence, before or 0)
    return [
        Gap(gap.symbol, gap.first, gap.last, _open_s(gap, since_ns, first_ns))
        for gap, since_ns in jumps
        if gap.begins_in(numbers)
    ]


def _open_s(gap: Gap, since_ns: int, first_ns: Mapping[str, int]) -> float:
    came = [first_ns.get(key_of(gap.symbol, number)) for number in range(gap.first, gap.last + 1)]
    known = [moment for moment in came if moment is not None]
    return (max(known) - since_ns) / 1e9 if len(known) == len(came) else float("inf")


def told(broker: str) -> dict[Gap, bool]:
    """Read all gaps that the feed has told since the broker began; True when it said that one is closed."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "suite-gaps", "enable.auto.commit": False})
    found: dict[Gap, bool] = {}
    try:
        partitions = consumer.list_topics(GAPS_TOPIC, timeout=ANSWER_S).topics[GAPS_TOPIC].partitions
        left = {}
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(GAPS_TOPIC, number), timeout=ANSWER_S)
            if low < high:
                left[number] = high
        consumer.assign([TopicPartition(GAPS_TOPIC, number, 0) for number in left])
        while left:
            messages = consumer.consume(500, ANSWER_S)
            if not messages:
                raise TimeoutError(f"the topic {GAPS_TOPIC} was not read to its end within {ANSWER_S:g} s")
            for message in messages:
                if (error := message.error()) is not None:
                    raise OSError(f"the topic {GAPS_TOPIC} cannot be read: {error.str()}")
                row = json.loads(message.value() or b"")
                found[Gap(row["symbol"], row["first"], row["last"])] = row["closed"] is not None
                number, offset = message.partition() or 0, message.offset() or 0
                if offset + 1 >= left.get(number, 0):
                    left.pop(number, None)
    finally:
        consumer.close()
    return found


def check(holes: Iterable[Gap], told: Mapping[Gap, bool], at_least: int = 0) -> Finding:
    """Check that each gap was told with its exact bounds and closed, that no other was, and that there were so many.

    The finding's `n` is how many gaps there were.
    """
    left = {gap: gap.open_s for gap in holes}
    untold = sorted(gap for gap, open_s in left.items() if open_s > SURE_S and gap not in told)
    invented = sorted(gap for gap in told if gap not in left)
    unclosed = sorted(gap for gap, closed in told.items() if not closed)
    wrong = [
        f"{what}: {', '.join(map(str, gaps[:3]))}"
        for what, gaps in (("never told", untold), ("told and never left out", invented), ("not closed", unclosed))
        if gaps
    ]
    if len(told) < at_least:
        wrong.append(f"{len(told)} gaps were told, {at_least} were made")
    missing = sum(gap.last - gap.first + 1 for gap in told)
    fine = f"{len(told)} gaps with {missing:,} trades were told with their exact bounds, and closed"
    return Finding("gaps", Verdict.FAIL if wrong else Verdict.PASS, "; ".join(wrong) or fine, len(left))
