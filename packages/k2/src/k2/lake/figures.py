"""The figures of a writer, for Prometheus: one registry per process, every series set from the first moment."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["WriterFigures"]

_COMMIT_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
OUTCOMES: Final = ("committed", "conflict", "unknown")


class WriterFigures:
    """Counts what the writers of a process do; each table has a label."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        table = ("table",)
        self.rows = Counter("k2_writer_rows", "Rows committed.", table, registry=registry)
        self.duplicates = Counter("k2_writer_duplicates", "Records whose number was stored.", table, registry=registry)
        self.dead_letters = Counter(
            "k2_writer_dead_letters", "Records that are no rows.", ("table", "reason"), registry=registry
        )
        self.commits = Counter("k2_writer_commits", "Commits by outcome.", ("table", "outcome"), registry=registry)
        self.commit_seconds = Histogram(
            "k2_writer_commit_seconds", "How long a commit took.", table, buckets=_COMMIT_S, registry=registry
        )
        self.committed_at = Gauge(
            "k2_writer_last_commit_timestamp_seconds", "When rows were committed last.", table, registry=registry
        )
        self.lag = Gauge(
            "k2_writer_lag_records",
            "Records that Kafka has, not the table.",
            ("table", "partition"),
            registry=registry,
        )
        self.newest = Gauge(
            "k2_writer_newest_event_timestamp_seconds", "Newest time of a committed row.", table, registry=registry
        )
        self.held = Gauge("k2_writer_held_records", "Records read and not committed.", table, registry=registry)
        self.reading = Gauge("k2_writer_reading", "1 while it reads from Kafka.", table, registry=registry)
        self.snapshots = Gauge("k2_table_snapshots", "Snapshots on the table's list.", table, registry=registry)
        self.files = Gauge("k2_table_files", "Data files of the newest snapshot.", table, registry=registry)
        self.expired = Counter("k2_table_snapshots_expired", "Snapshots taken off the list.", table, registry=registry)
        self.swept = Counter("k2_table_files_swept", "Files deleted that no snapshot needs.", table, registry=registry)
        self.compacted = Counter("k2_table_files_compacted", "Files joined with others.", table, registry=registry)
        self.candles = Counter("k2_candles_made", "Candles made anew.", ("frame",), registry=registry)
        self.candle_failures = Counter("k2_candle_failures", "Runs that did not end well.", registry=registry)

    def begin(self, table: str) -> None:
        """Set every series of a table, so that each is there before the first event."""
        for series in (self.rows, self.duplicates, self.commit_seconds, self.expired, self.swept, self.compacted):
            series.labels(table)
        for outcome in OUTCOMES:
            self.commits.labels(table, outcome)
        for gauge in (self.held, self.reading, self.committed_at, self.newest, self.snapshots, self.files):
            gauge.labels(table).set(0)

    def lags(self, table: str, lags: Mapping[int, int]) -> None:
        """Note how many records each partition still has."""
        for partition, lag in lags.items():
            self.lag.labels(table, str(partition)).set(lag)
