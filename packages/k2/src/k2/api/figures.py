"""The figures of the API, for Prometheus: what it was asked, and how fresh and whole its data are."""

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from k2.api.service import Service

__all__ = ["Figures"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Figures:
    """Counts requests; the rest is looked up when somebody asks."""

    def __init__(self, service: Service) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter("k2_api_requests", "Answers.", ("route", "method", "status"), registry=registry)
        self.seconds = Histogram(
            "k2_api_request_seconds", "Until the answer began.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.refused = Counter("k2_api_refused", "Requests not let in.", ("reason",), registry=registry)
        self.rows = Counter("k2_api_rows", "Rows answered.", ("route",), registry=registry)
        self.busy = Gauge("k2_api_requests_in_progress", "Requests that are being answered.", registry=registry)
        for reason in ("key", "rate", "host", "body"):
            self.refused.labels(reason)
        registry.register(_State(service))


class _State(Collector):
    """How the data are at this moment."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service

    def collect(self) -> Iterator[Metric]:
        service = self._service
        now_us = time.time() * 1e6
        up = GaugeMetricFamily("k2_api_dependency_up", "1 while it works.", labels=("dependency",))
        for name, trouble in service.dependencies().items():
            up.add_metric((name,), float(trouble is None))
        yield up
        fresh = GaugeMetricFamily("k2_api_freshness_seconds", "Since the newest trade came.", labels=("symbol",))
        event = GaugeMetricFamily("k2_api_event_age_seconds", "Since the newest trade's time.", labels=("symbol",))
        for it in list(service.tail.newest.values()):
            fresh.add_metric((it.symbol,), (now_us - it.received_us) / 1e6)
            event.add_metric((it.symbol,), (now_us - it.event_us) / 1e6)
        yield from (fresh, event)
        state = service.tail.state
        rows = sum(len(chunk.offsets) for chunk in state.chunks) if state else 0
        yield GaugeMetricFamily("k2_api_tail_rows", "Trades that no table has yet.", value=rows)
        yield GaugeMetricFamily("k2_api_tail_dropped", "Trades there was no room for.", value=service.tail.dropped)
        lag = GaugeMetricFamily("k2_api_table_lag_records", "Records that Kafka has, not the table.", labels=("table",))
        for table, behind in service.kafka.lags.items():
            lag.add_metric((table,), behind)
        yield lag
        yield GaugeMetricFamily("k2_api_open_gaps", "Ranges of trades that are missing.", value=len(service.kafka.gaps))
        letters = GaugeMetricFamily("k2_api_dead_letters", "Records laid aside.", labels=("topic",))
        for topic, count in service.kafka.dead_letters.items():
            letters.add_metric((topic,), count)
        yield letters
        yield from self._tables(now_us)

    def _tables(self, now_us: float) -> Iterator[Metric]:
        rows = GaugeMetricFamily("k2_api_table_rows", "Rows of the snapshot that is read.", labels=("table",))
        files = GaugeMetricFamily("k2_api_table_files", "Files of the snapshot that is read.", labels=("table",))
        age = GaugeMetricFamily("k2_api_snapshot_age_seconds", "Age of the snapshot that is read.", labels=("table",))
        for view in self._service.views.all():
            rows.add_metric((view.form.name,), view.rows)
            files.add_metric((view.form.name,), len(view.files))
            if view.committed_us is not None:
                age.add_metric((view.form.name,), (now_us - view.committed_us) / 1e6)
        yield from (rows, files, age)
