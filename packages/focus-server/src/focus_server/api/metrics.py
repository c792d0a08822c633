"""The figures of the server, of what it depends on and of the analyzer, for Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import PlainTextResponse, Response

from focus_server.api.archive import Archive
from focus_server.api.figures import Figures
from focus_server.api.health import WORKING, dependencies
from focus_server.contract import AnalyzerFigures, Dependency, Refusal
from focus_server.jobs import Orchestrator


def metric_routes(orchestrator: Orchestrator, archive: Archive, figures: Figures) -> APIRouter:
    """Make the route `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give all figures in the text format of Prometheus; those of the analyzer only while it answers."""
        families = [*figures.collected(), _dependencies(await dependencies(orchestrator, archive))]
        with suppress(Refusal):  # the dependencies say that it is away
            families.extend(_analyzer(await orchestrator.figures()))
        # Always the one format: what a client would rather have is not to be believed, and every scraper takes this.
        return Response(generate_latest(_registry(families)), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return router


class _Collected(Collector):
    """What was collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _registry(families: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return registry


def _dependencies(states: dict[str, Dependency]) -> Metric:
    known = {name: it.state in WORKING for name, it in states.items() if it.state not in ("unknown", "not configured")}
    return _gauge("focus_dependency_up", "1 when it works.", "dependency", known)


def _analyzer(figures: AnalyzerFigures) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("focus_jobs", "Jobs that there are.", labels=("mode", "state"))
    for it in figures.jobs:
        jobs.add_metric((it.mode, it.state), it.jobs)
    yield jobs
    modes = {it.mode: it for it in figures.modes}
    yield _gauge("focus_streams", "Streams of all jobs.", "mode", {m: it.streams for m, it in modes.items()})
    yield _gauge(
        "focus_stream_viewers",
        "Readers of streams over gRPC, the server's own included.",
        "mode",
        {m: it.viewers for m, it in modes.items()},
    )
    yield _counter("focus_jobs_made", "Jobs that were made.", "mode", {m: it.jobs_made for m, it in modes.items()})
    yield _counter("focus_jobs_ended", "Jobs that ended, by why.", "cause", figures.jobs_ended)
    yield _counter(
        "focus_lines_made",
        "Lines that were made, once for each stream.",
        "mode",
        {m: it.lines_made for m, it in modes.items()},
    )
    yield _counter(
        "focus_lines_missing", "Lines that no channel had.", "mode", {m: it.missing_lines for m, it in modes.items()}
    )
    yield _counter(
        "focus_lines_dropped",
        "Lines dropped for readers over gRPC that were too slow.",
        "mode",
        {m: it.dropped_lines for m, it in modes.items()},
    )
    yield _counter(
        "focus_compute_seconds",
        "Processor time of the threads that make lines.",
        "mode",
        {m: it.compute_s for m, it in modes.items()},
    )
    yield _counter("focus_blocks", "Blocks of the live fibre, by what became of them.", "fate", figures.blocks)
    yield CounterMetricFamily(
        "focus_samples_given_up",
        "Samples of a group of channels that were waited for in vain.",
        value=figures.given_up_samples,
    )
    if figures.feed_age_s is not None and figures.ring_age_s is not None:
        yield GaugeMetricFamily("focus_feed_age_seconds", "Age of the newest sample.", value=figures.feed_age_s)
        yield GaugeMetricFamily("focus_ring_age_seconds", "Age of the oldest sample kept.", value=figures.ring_age_s)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
