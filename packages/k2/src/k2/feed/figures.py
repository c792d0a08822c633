"""The feed's figures for Prometheus, each of which is set where its event happens."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Figures"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Figures:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"k2_feed_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"k2_feed_{name}", text, labels, registry=self.registry)

        self.frames = counter("frames", "Frames that came, of any kind.")
        self.bytes = counter("bytes", "Bytes of those frames.")
        self.records = counter("records", "Trades and quotes that were taken.", "kind", "symbol")
        self.duplicates = counter("duplicates", "Trades that had come before.", "symbol")
        self.notices = counter("notices", "Words of the exchange that are no records.")
        self.dead_letters = counter("dead_letters", "Frames that cannot be used.", "reason")
        self.connections = counter("connections", "Connections that came about.", "url")
        self.disconnections = counter("disconnections", "Connections that ended or did not come about.", "cause")
        self.connected = gauge("connected", "Connections that are open.")
        self.gaps = counter("gaps", "Holes between trades that were told.", "symbol")
        self.open_gaps = gauge("open_gaps", "Holes that are open.", "symbol")
        self.missing = gauge("missing_trades", "Trades in those holes that are missing.", "symbol")
        self.backfilled = counter("backfilled", "Trades that were asked for and came.", "symbol")
        self.backfill_failures = counter("backfill_failures", "Questions for trades without an answer.")
        self.spool_bytes = gauge("spool_bytes", "Bytes that the broker has not confirmed.")
        self.spool_full = gauge("spool_full", "1 while the exchange is not read because the spool or its disk is full.")
        self.on_the_way = gauge("on_the_way", "Records that the broker was sent and has not confirmed.")
        self.confirmed = counter("confirmed", "Records that the broker has confirmed.", "topic")
        self.last_trade = gauge("last_trade_timestamp_seconds", "The exchange's time of the newest trade.", "symbol")
        self.clock_offset = gauge("exchange_clock_offset_seconds", "How far the exchange's clock is ahead of ours.")
        self.clock_error = gauge("exchange_clock_error_seconds", "How far that may be off.")
        self.transit = Histogram(
            "k2_feed_transit_seconds",
            "From the exchange's clock, its offset taken out, to our receipt.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.publish = Histogram(
            "k2_feed_publish_seconds",
            "From our receipt to the broker's confirmation, by our own monotonic clock.",
            buckets=_SECONDS,
            registry=self.registry,
        )
