"""A topic of its own on the shared broker with a lake in a folder, and `k2 ingest` between them."""

import sqlite3
import threading
import uuid
from collections import Counter
from contextlib import contextmanager

from confluent_kafka import Producer

from k2.bus.codecs import Codec
from k2.bus.kafka import dead_letters_of, ensure_topics
from k2.errors import LakeError
from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.lake.figures import WriterFigures
from k2.lake.ingest import run_writers
from k2.schema import TRADE, Trade
from k2.settings import IngestSettings

from ..programs import LONGEST_S, until  # noqa: TID252
from .conftest import trade

IMPATIENT = "?timeout=0.3"
"""For a writer that gives up soon to get at a locked catalogue; whoever looks at what it did is patient."""


def encoded(row):
    return Codec(TRADE).encode(Trade(**{**row, "trade_conditions": tuple(row["trade_conditions"])}))


class Lake:
    """A topic of its own on the shared broker, and a lake in a folder of its own."""

    def __init__(self, broker, folder):
        self.broker = broker
        self.settings = IngestSettings(
            kafka_bootstrap=(broker.bootstrap,),
            trades_topic=f"trades-{uuid.uuid4().hex[:8]}",
            catalog_uri=f"sqlite:///{folder}/catalog.db?timeout=60",
            warehouse=str(folder / "warehouse"),
            flush_rows=100,
            flush_s=0.2,
            expire_commits=2,
            compact_commits=7,
            snapshot_keep_s=0.01,
            candles_s=0,
        )
        self.topic = self.settings.trades_topic
        self.catalog = open_catalog(self.settings)
        ensure_topics(self.settings, [self.topic, dead_letters_of(self.topic)])
        self.producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})

    def send(self, values):
        for number, value in enumerate(values):
            self.producer.produce(self.topic, value, partition=number % 2)
        assert self.producer.flush(LONGEST_S) == 0

    def send_trades(self, numbers):
        self.send([encoded(trade(number)) for number in numbers])

    @contextmanager
    def writing(self, **changes):
        """A writer in this process, which ends with the block."""
        stop, failures, self.figures = threading.Event(), [], WriterFigures()

        def run():
            try:
                run_writers(self.settings.model_copy(update=changes), [TRADES], stop, self.figures)
            except LakeError as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield failures
        finally:
            stop.set()
            thread.join(LONGEST_S)
            assert not thread.is_alive()

    def environment(self, **more):
        """What `k2 ingest` needs to be the writer of this lake."""
        settings = self.settings
        names = [
            "trades_topic",
            "catalog_uri",
            "warehouse",
            "flush_rows",
            "flush_s",
            "expire_commits",
            "compact_commits",
            "candles_s",
            "snapshot_keep_s",
        ]
        told = {f"K2_{name.upper()}": str(getattr(settings, name)) for name in names}
        return told | {"K2_KAFKA_BOOTSTRAP": self.broker.bootstrap} | more

    def count(self, outcome):
        """How many commits of the writer in this process ended so."""
        return self.figures.registry.get_sample_value(
            "k2_writer_commits_total", {"table": "trades", "outcome": outcome}
        )

    def table(self):
        return LakeTable(self.catalog, TRADES)

    def rows(self):
        return self.table().iceberg.scan().to_arrow()

    def numbers(self):
        return Counter(self.rows().column("source_sequence").to_pylist())

    def wait_for(self, numbers, why="all trades are in the table"):
        """Wait until the table says that it has these numbers, then look whether it has each of them once."""
        wanted = Counter(numbers)
        until(lambda: wanted.keys() <= self.told(), why)
        assert self.numbers() == wanted

    def told(self):
        ranges = self.table().seen().ranges("BINANCE:BTCUSDT")
        return {number for first, last in ranges for number in range(first, last + 1)}

    @property
    def impatient(self):
        """The catalogue for a writer that gives up soon to get at it."""
        return self.settings.catalog_uri.partition("?")[0] + IMPATIENT

    @contextmanager
    def locked(self):
        """Hold the catalogue, as somebody who looks at it with another program may."""
        database = sqlite3.connect(self.settings.catalog_uri.removeprefix("sqlite:///").partition("?")[0], timeout=60)
        database.isolation_level = None
        database.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")
            database.close()
