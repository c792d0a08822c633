"""What the server has done since it started, counted in a registry of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Figures:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "focus_requests", "Requests that were answered.", ("route", "method", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "focus_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "focus_refusals",
            "Requests that were refused, by what they were refused for.",
            ("reason",),
            registry=registry,
        )
        self.viewers = Gauge("focus_viewers", "Viewers that are connected by WebSocket.", registry=registry)
        self.viewers_left = Counter(
            "focus_viewers_left",
            "Viewers that are gone, by the code with which they were closed.",
            ("code",),
            registry=registry,
        )
        self.sent_frames = Counter(
            "focus_sent_frames", "WebSocket frames: rows, or the type of a text frame.", ("kind",), registry=registry
        )
        self.sent_bytes = Counter(
            "focus_sent_bytes", "Bytes of WebSocket frames, without their heads.", ("kind",), registry=registry
        )
        self.dropped_lines = Counter(
            "focus_viewer_dropped_lines", "Lines dropped for WebSocket viewers that were too slow.", registry=registry
        )
        self._open = Gauge("focus_connections", "Connections that are open.", registry=registry)
        self._ended: Callable[[], Mapping[str, int]] = dict

    def connections(self, amount: Callable[[], int], ended: Callable[[], Mapping[str, int]]) -> None:
        """Say who knows how many connections are open, and how many were ended by the server, by reason."""
        self._open.set_function(amount)
        self._ended = ended

    def collected(self) -> Iterator[Metric]:
        """Give all figures as they are now, without those that only say since when a figure is counted."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
        ended = CounterMetricFamily(
            "focus_connections_ended", "Connections that ended before their client wished.", labels=("reason",)
        )
        for reason, amount in self._ended().items():
            ended.add_metric((reason,), amount)
        yield ended
