"""The feed: frames become records, each trade once, and what is missing between them is told, asked for, or stays open.

What it knows of each symbol's numbers is kept on the disk with the spool's position at which that was so; after a kill
the records behind that position tell the rest, so no trade is sent twice and no hole goes unseen.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import httpx
import structlog

from k2.bus.codecs import Codec, SchemaSource
from k2.bus.gaps import COMPACTED, Gap
from k2.bus.kafka import dead_letters_of
from k2.bus.producer import Producer
from k2.bus.spool import Entry, Spool
from k2.errors import CodecError, FeedError, SpoolDown
from k2.feed.backfill import Backfill
from k2.feed.clock import ClockOffset
from k2.feed.figures import Figures
from k2.feed.frames import Notice, read_frame
from k2.feed.keeper import Keeper
from k2.feed.kept import Kept
from k2.feed.sequence import Arrival, Hole, Sequence
from k2.schema import QUOTE, TRADE, Quote, Trade
from k2.settings import FeedSettings

__all__ = ["Feed"]

_SAVE_S: Final = 1.0
_LOOK_S: Final = 0.1
_CLOCK_S: Final = 10.0
_AGAIN_FIRST_S: Final = 0.5
_AGAIN_MOST_S: Final = 60.0

T = TypeVar("T")


class Feed:
    """From the exchange to Kafka; raises BusError at once when its spool cannot be used.

    A disk that takes nothing later on is waited for, and the exchange is not read meanwhile.
    """

    def __init__(self, settings: FeedSettings, figures: Figures, registry: SchemaSource | None = None) -> None:
        self._settings, self._figures = settings, figures
        self._spool = Spool(settings.spool_dir, settings.spool_bytes)
        topics: dict[str, dict[str, str]] = {}
        for topic in (settings.trades_topic, *([settings.quotes_topic] if settings.quotes else ())):
            topics |= {topic: {}, dead_letters_of(topic): {}}
        topics[settings.gaps_topic] = dict(COMPACTED)
        self._trades = Codec(TRADE, registry, f"{settings.trades_topic}-value")
        self._quotes = Codec(QUOTE, registry, f"{settings.quotes_topic}-value")
        # A registry that is away is told now, not with the first frame.
        _ = self._trades.prefix, self._quotes.prefix
        self._numbers: dict[str, Sequence] = {}
        self._kept = Kept(settings.spool_dir)
        self._unkept = False
        self._kept_at = self._restore()
        self.producer = Producer(settings, self._spool, topics, self._arrived, lambda: self._kept_at)
        self._clock = ClockOffset()
        self._count = time.time_ns() // 1000  # grows over restarts too, because so does the time
        self._again: dict[tuple[str, int], tuple[float, float]] = {}
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Run until cancelled; raises FeedError when the exchange is lost for good."""
        kinds = ("trade", "bookTicker") if self._settings.quotes else ("trade",)
        streams = tuple(f"{symbol.lower()}@{kind}" for symbol in self._settings.symbols for kind in kinds)
        keeper = Keeper(self._settings, streams, self._take, self._figures)
        key = self._settings.rest_key
        headers = {"X-MBX-APIKEY": key.get_secret_value()} if key else {}
        base = self._settings.rest_url or "http://127.0.0.1"
        try:
            async with (
                httpx.AsyncClient(base_url=base, headers=headers, timeout=10, trust_env=False) as client,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self.producer.run())
                group.create_task(self._tell_gaps())
                group.create_task(self._keep_numbers())
                if self._settings.rest_url:
                    group.create_task(self._fill_gaps(Backfill(client)))
                    group.create_task(self._ask_clock(client))
                group.create_task(keeper.run())
        finally:
            await self.close()

    async def close(self) -> None:
        """Send what is there, as far as the broker takes it; the rest stays in the spool."""
        if not await self.producer.close():
            self._log.warning("feed.left_in_spool", bytes=self._spool.waiting)
        self._save()
        self._spool.close()

    async def _take(self, raw: str | bytes, received: int) -> None:
        """Take a frame."""
        figures = self._figures
        figures.frames.inc()
        figures.bytes.inc(len(raw))
        self._count += 1
        try:
            content = read_frame(raw, received, self._count)
            await self._spooled(partial(self._take_content, content))
        except CodecError as error:
            await self._spooled(partial(self._lay_aside, raw, received, error))
        if self._spool.full:
            figures.spool_full.set(1)
            await self.producer.room()
            figures.spool_full.set(0)

    async def _spooled(self, take: Callable[[], T]) -> T:
        """Do what adds to the spool; while its disk takes nothing, wait and do it again."""
        try:
            return take()
        except SpoolDown as error:
            self._log.error("feed.waits_for_disk", error=str(error))
        self._figures.spool_full.set(1)
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(SpoolDown):
                taken = take()
                break
        self._figures.spool_full.set(0)
        self._log.info("feed.disk_takes_again")
        return taken

    def _take_content(self, content: Trade | Quote | Notice) -> None:
        if isinstance(content, Trade):
            self._take_trade(content)
            self._note_transit(content)
        elif isinstance(content, Quote):
            value = self._quotes.encode(content)
            self.producer.send(self._settings.quotes_topic, content.symbol.encode(), value)
            self._figures.records.labels("quote", content.symbol).inc()
        else:
            self._note(content)

    def _take_trade(self, trade: Trade) -> Arrival:
        assert trade.source_sequence is not None  # noqa: S101 - every trade of this exchange has one
        value = self._trades.encode(trade)
        numbers = self._numbers.setdefault(trade.symbol, Sequence())
        arrival = numbers.arrive(trade.source_sequence, trade.ingestion_timestamp)
        if arrival is Arrival.AGAIN:
            self._figures.duplicates.labels(trade.symbol).inc()
            return arrival
        if arrival is Arrival.ANEW:
            self._log.error("feed.numbers_anew", symbol=trade.symbol, number=trade.source_sequence)
        try:
            self.producer.send(self._settings.trades_topic, trade.symbol.encode(), value)
        except SpoolDown:
            numbers.lose(trade.source_sequence, time.time_ns() // 1000)
            raise
        self._figures.records.labels("trade", trade.symbol).inc()
        self._figures.last_trade.labels(trade.symbol).set(trade.timestamp / 1e6)
        return arrival

    def _note_transit(self, trade: Trade) -> None:
        told = trade.vendor_data.get("event_time")
        offset = self._clock.seconds
        if told is not None and offset is not None:
            self._figures.transit.observe(max(0.0, trade.ingestion_timestamp / 1e6 - int(told) / 1000 + offset))

    def _note(self, notice: Notice) -> None:
        self._figures.notices.inc()
        say = self._log.warning if notice.refused else self._log.info
        say("feed.notice", text=notice.text[:500])

    def _lay_aside(self, raw: str | bytes, received: int, error: CodecError) -> None:
        """Send a frame that cannot be used to the dead letters, as it came."""
        content = raw.encode() if isinstance(raw, str) else raw
        headers = {"source": "feed", "reason": error.reason, "sentence": str(error), "received": str(received)}
        self.producer.send(dead_letters_of(self._settings.trades_topic), b"", content, headers)
        self._figures.dead_letters.labels(error.reason).inc()
        self._log.warning("feed.dead_letter", reason=error.reason, text=str(error))

    def _arrived(self, entry: Entry, seconds: float) -> None:
        self._figures.confirmed.labels(entry.topic).inc()
        if seconds == seconds and entry.topic in (self._settings.trades_topic, self._settings.quotes_topic):
            self._figures.publish.observe(seconds)

    async def _tell_gaps(self) -> None:
        """Tell holes that are old enough, and those that are closed."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._figures.spool_bytes.set(self._spool.waiting)
            self._figures.on_the_way.set(self.producer.on_the_way)
            for symbol, numbers in list(self._numbers.items()):
                with contextlib.suppress(SpoolDown):  # told with the next look
                    self._tell_gaps_of(symbol, numbers)
                told = [hole for hole in numbers.holes if hole.told]
                self._figures.open_gaps.labels(symbol).set(len(told))
                self._figures.missing.labels(symbol).set(sum(hole.count for hole in told))

    def _tell_gaps_of(self, symbol: str, numbers: Sequence) -> None:
        now = time.time_ns() // 1000
        for hole in list(numbers.holes):
            if not hole.missing:
                if hole.told:
                    self._tell(symbol, hole, now, closed=now)
                numbers.holes.remove(hole)
            elif not hole.told and now - hole.since >= self._settings.gap_wait_s * 1e6:
                self._tell(symbol, hole, now)
                hole.told = True
                self._figures.gaps.labels(symbol).inc()

    async def _fill_gaps(self, backfill: Backfill) -> None:
        """Ask for what is missing, one hole after the other."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for symbol, numbers in list(self._numbers.items()):
                for hole in [hole for hole in numbers.holes if hole.told]:
                    await self._fill(symbol, hole, backfill)

    def _tell(self, symbol: str, hole: Hole, now: int, closed: int | None = None) -> None:
        gap = Gap("BINANCE", symbol, hole.first, hole.last, hole.count, hole.since, closed, "trades did not come")
        self.producer.send(self._settings.gaps_topic, gap.key, gap.encode())
        event = "feed.gap_open" if closed is None else "feed.gap_closed"
        self._log.warning(event, symbol=symbol, first=hole.first, last=hole.last, missing=hole.count)

    async def _fill(self, symbol: str, hole: Hole, backfill: Backfill) -> None:
        """Ask for what a hole lacks, at most once per wait, which doubles while there is no answer."""
        name = (symbol, hole.first)
        not_before, wait = self._again.get(name, (0.0, _AGAIN_FIRST_S))
        if time.monotonic() < not_before or not hole.missing:
            return
        before = hole.count
        try:
            for first, last in list(hole.missing):
                self._count += 1
                now = time.time_ns() // 1000
                for trade in await backfill.trades(symbol, first, last, now, self._count):
                    if await self._spooled(partial(self._take_trade, trade)) is Arrival.LATE:
                        self._figures.backfilled.labels(symbol).inc()
                    await self.producer.room()
        except FeedError as error:
            self._figures.backfill_failures.inc()
            self._log.warning("feed.backfill_failed", symbol=symbol, error=str(error))
        if not hole.missing:
            self._again.pop(name, None)
        elif hole.count < before:
            self._again[name] = (0.0, _AGAIN_FIRST_S)
        else:
            self._again[name] = (time.monotonic() + wait, min(_AGAIN_MOST_S, 2 * wait))

    async def _ask_clock(self, client: httpx.AsyncClient) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError, TypeError):
                await self._clock.ask(client)
                if self._clock.seconds is not None and self._clock.error is not None:
                    self._figures.clock_offset.set(self._clock.seconds)
                    self._figures.clock_error.set(self._clock.error)
            await asyncio.sleep(_CLOCK_S)

    async def _keep_numbers(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            self._save()

    def _save(self) -> None:
        """Keep the numbers; when the disk does not take them, the spool keeps what tells them."""
        at = self._spool.end
        try:
            self._kept.write({
                "at": at, "symbols": {symbol: numbers.state() for symbol, numbers in self._numbers.items()},
            })  # fmt: skip
        except OSError as error:
            if not self._unkept:
                self._log.error("feed.numbers_not_kept", folder=str(self._settings.spool_dir), error=error.strerror)
            self._unkept = True
            return
        self._kept_at, self._unkept = at, False

    def _restore(self) -> int:
        """Take what an earlier run knew, and what its last records tell; return the spool's position of the former."""
        at = 0
        if (state := self._kept.read()) is not None:
            at = state["at"]
            self._numbers = {symbol: Sequence.of(kept) for symbol, kept in state["symbols"].items()}
        batch: list[bytes] = [
            entry.value for _, entry in self._spool.since(at) if entry.topic == self._settings.trades_topic
        ]
        if not batch:
            return at
        table = self._trades.decode(batch).table
        now = time.time_ns() // 1000
        for symbol, number in zip(
            table["symbol"].to_pylist(), table["source_sequence"].to_pylist(), strict=True
        ):  # fmt: skip
            self._numbers.setdefault(symbol, Sequence()).arrive(number, now)
        return at
