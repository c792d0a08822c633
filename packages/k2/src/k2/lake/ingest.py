"""The program `k2 ingest`: a writer for each table, candles beside them, figures for whoever asks."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import structlog
from prometheus_client import start_http_server

from k2.bus.codecs import Codec, registry_of
from k2.bus.kafka import dead_letters_of, ensure_topics
from k2.errors import BusError, SettingsError
from k2.lake.candle_runs import CandleRuns
from k2.lake.catalog import open_catalog
from k2.lake.crash import Crashes
from k2.lake.figures import WriterFigures
from k2.lake.letters import KafkaLetters
from k2.lake.source import Source
from k2.lake.table import LakeTable
from k2.lake.tables import TRADES, TableForm
from k2.lake.upkeep import Upkeep, UpkeepRules
from k2.lake.writer import Writer, WriterLimits
from k2.settings import IngestSettings

__all__ = ["run_writers", "topic_of"]

_log = structlog.get_logger()

_WAIT_S: Final = 0.5


def topic_of(settings: IngestSettings, form: TableForm) -> str:
    """Return the topic that feeds a table."""
    return settings.trades_topic if form is TRADES else settings.quotes_topic


def run_writers(
    settings: IngestSettings, forms: Sequence[TableForm], stop: threading.Event, figures: WriterFigures | None = None
) -> None:
    """Write some tables until told to stop, and count in `figures`.

    Raises K2Error when one of them cannot go on; then all have ended.
    """
    figures = figures or WriterFigures()
    crashes = Crashes.read(settings.crash_at)
    with _served(figures, settings.metrics_port):
        _make_topics(settings, forms, stop)
        _run(settings, forms, crashes, figures, stop)


def _run(
    settings: IngestSettings,
    forms: Sequence[TableForm],
    crashes: Crashes,
    figures: WriterFigures,
    stop: threading.Event,
) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
                stop.set()

        return run

    works = {
        form.name: guarded(partial(_write, settings, form, crashes if form is forms[0] else None, figures, stop))
        for form in forms
    }
    if settings.candles_s and TRADES in forms:
        works["candles"] = guarded(lambda: CandleRuns(settings).watch(settings.candles_s, stop, figures))
    threads = [threading.Thread(target=work, name=name) for name, work in works.items()]
    for thread in threads:
        thread.start()
    _log.info("ingest.ready", tables=[form.name for form in forms])
    for thread in threads:
        while thread.is_alive():
            thread.join(_WAIT_S)
    _log.info("ingest.stopped")
    if failures:
        raise failures[0]


def _write(
    settings: IngestSettings,
    form: TableForm,
    crashes: Crashes | None,
    figures: WriterFigures,
    stop: threading.Event,
) -> None:
    topic = topic_of(settings, form)
    source = Source(settings, topic, f"k2-writer-{form.name}")
    rules = UpkeepRules(
        expire_commits=settings.expire_commits,
        compact_commits=settings.compact_commits,
        keep_s=settings.snapshot_keep_s,
        keep=settings.snapshot_keep,
        sweep_after_s=settings.sweep_after_s,
    )
    writer = Writer(
        open_table=lambda: LakeTable(open_catalog(settings), form, crashes),
        source=source,
        codec=Codec(form.record, registry_of(settings), f"{topic}-value"),
        letters=KafkaLetters(settings),
        limits=WriterLimits(settings.flush_rows, settings.flush_s),
        upkeep=Upkeep(rules, figures, form.name, form.time),
        figures=figures,
        name=form.name,
    )
    try:
        writer.run(stop)
    finally:
        source.close()


def _make_topics(settings: IngestSettings, forms: Sequence[TableForm], stop: threading.Event) -> None:
    """Make the topics; while the broker is away, wait for it."""
    topics = [topic_of(settings, form) for form in forms]
    while not stop.is_set():
        try:
            ensure_topics(settings, [*topics, *map(dead_letters_of, topics)])
        except BusError as error:
            _log.warning("ingest.waiting", why=str(error))
            stop.wait(_WAIT_S)
        else:
            return


@contextmanager
def _served(figures: WriterFigures, port: int | None) -> Iterator[None]:
    """Answer Prometheus meanwhile, when there is a port to do so."""
    if port is None:
        yield
        return
    try:
        server, _ = start_http_server(port, addr="127.0.0.1", registry=figures.registry)
    except OSError as error:
        raise SettingsError(f"The metrics_port {port} cannot be listened on: {error.strerror}.") from None
    _log.info("ingest.metrics", port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
