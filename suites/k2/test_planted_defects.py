"""Ten defects, planted at each hop into the real trades of a running pipeline, are found with kind and first bad hop.

The tests pass when the proof fails for the right reason: they are the check on the checker. Trades are taken as they
really stood at a hop, one is dropped, doubled, altered or moved, and they are read again as any others are: from a real
topic, a real table, or an answer.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from pyiceberg.catalog import load_catalog

from fullspan.clients import Trade
from fullspan.errors import Inconclusive
from fullspan.ledger import Journey, Kind, Ledger, Moment, Observation, Reconciliation, Stage, reconcile
from fullspan.ledger.hops import ApiRows, HopRunner, IcebergRows, KafkaRecord, KafkaTopic
from fullspan.stack import Stack
from fullspan.stack.processes import wait_until
from fullspan.verdict import Verdict
from suites.k2.pipeline import HOPS, Pipeline, Window, findings
from suites.k2.records import (
    COLUMNS,
    SINGLE_OBJECT,
    TRADE_SCHEMA,
    answers_seen,
    content,
    decoded,
    kafka_seen,
    key_of,
    rows_seen,
)

pytestmark = pytest.mark.e2e

TRADES = 300
READ_WITHIN_S = 20.0
CENT = Decimal("0.00000001")
Rows = list[dict[str, Any]]
Defect = Callable[[Rows], Rows]


def dropped(rows: Rows) -> Rows:
    return rows[:100] + rows[101:]


def doubled(rows: Rows) -> Rows:
    return [*rows[:101], *rows[100:]]


def altered(rows: Rows) -> Rows:
    """Change the last digit of one price."""
    return [*rows[:100], {**rows[100], "price": rows[100]["price"] + CENT}, *rows[101:]]


def moved(rows: Rows) -> Rows:
    """Have two neighbours change places."""
    return [*rows[:100], rows[101], rows[100], *rows[102:]]


KINDS: dict[Defect, Kind] = {
    dropped: Kind.MISSING,
    doubled: Kind.DUPLICATE,
    altered: Kind.ALTERED,
    moved: Kind.ORDER,
}


class Scene:
    """The real trades of one symbol at every hop, and how to read them again with a defect."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self._values: dict[str, bytes] = {}
        pipeline.watch(self._keep)
        window = pipeline.window(0, 2 * TRADES + 100)
        symbol, (first, _) = next(iter(window.numbers.items()))
        self.window = Window({symbol: (first, first + TRADES - 1)})
        truth = pipeline.exchange.trades(symbol, first, first + TRADES - 1)
        self.told = {key_of(symbol, row["source_sequence"]): content(row) for row in truth}
        pipeline.stored(self.window)
        self.trades = sorted(pipeline.trades(self.window), key=lambda trade: trade.source_sequence)
        pipeline.look(self.window)
        keys = [key_of(symbol, number) for number in range(first, first + TRADES)]
        if late := [key for key in keys if key not in self._values]:
            raise Inconclusive(f"{len(late)} of {TRADES} trades are not in Kafka yet, so nothing can be planted there.")
        self.rows = [dict(decoded(self._values[key])) for key in keys]

    def _keep(self, records: Sequence[KafkaRecord], moment: Moment) -> Iterator[Observation]:
        """Note Kafka's records as any proof does, and keep them byte for byte."""
        for record in records:
            for seen in kafka_seen([record], moment):
                self._values[seen.key] = record.value or b""
                yield seen

    def examine(self, hop: str, defect: Defect) -> Reconciliation:
        """Read a hop again with a defect in it, and follow every trade through all hops."""
        ledger = Ledger()
        for other in HOPS:
            if other != hop:
                # A table and its answers promise no order of their own; only Kafka's is looked at.
                seen = self.pipeline.ledger.observations(other)
                ledger.observe_all(seen if other in HOPS[:2] else sorted(seen, key=lambda each: each.sequence))
        with HopRunner(ledger) as runner:
            getattr(self, hop)(runner, defect(self.rows))
        journeys = []
        for key, told in self.told.items():
            begin, *others = HOPS
            stages = [Stage(begin, [key], digest=told), *(Stage(other, [key]) for other in others)]
            journeys.append(Journey(key, stages))
        return reconcile(ledger, journeys)

    def kafka(self, runner: HopRunner, rows: Rows) -> None:
        """Have these rows in a topic of their own, and read it."""
        with self._topic() as topic:
            producer = Producer({"bootstrap.servers": self.pipeline.addresses.broker, "enable.idempotence": True})
            for row in rows:
                body = io.BytesIO()
                fastavro.schemaless_writer(body, TRADE_SCHEMA, row)
                producer.produce(
                    topic, key=row["symbol"].encode(), value=SINGLE_OBJECT + bytes(8) + body.getvalue(), partition=0
                )
            assert producer.flush(READ_WITHIN_S) == 0
            runner.start(KafkaTopic(self.pipeline.addresses.broker, topic, kafka_seen, from_beginning=True))
            assert wait_until(lambda: len(runner.ledger.observations("kafka")) == len(rows), READ_WITHIN_S, 0.05)

    @contextmanager
    def _topic(self) -> Iterator[str]:
        topic = f"planted-{self.folder.name}"
        admin = AdminClient({"bootstrap.servers": self.pipeline.addresses.broker})
        admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result()
        try:
            yield topic
        finally:
            admin.delete_topics([topic])[topic].result()

    def iceberg(self, runner: HopRunner, rows: Rows) -> None:
        """Have these rows in a table of their own, and read it."""
        catalog = {"type": "sql", "uri": f"sqlite:///{self.folder}/planted.db", "warehouse": self.folder.as_uri()}
        loaded = load_catalog("planted", **catalog)
        loaded.create_namespace("planted")
        held = pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in rows])
        loaded.create_table("planted.trades", held.schema).append(held)
        hop = IcebergRows(catalog, "planted.trades", COLUMNS, rows_seen, catalog_name="planted")
        assert runner.start(hop).look() == len(rows)
        loaded.close()

    def api(self, runner: HopRunner, rows: Rows) -> None:
        """Have the API answer with these rows."""
        documents = {trade.source_sequence: trade.document for trade in self.trades}
        answers = [
            Trade.read({**documents[row["source_sequence"]], "price": format(row["price"], "f")}) for row in rows
        ]
        runner.start(ApiRows(answers_seen)).look(answers)


@pytest.fixture
def scene(pipeline: Pipeline, tmp_path: Path, stack: Stack) -> Scene:
    return Scene(pipeline, tmp_path)


def test_ten_planted_defects_are_found_for_what_they_are(scene: Scene) -> None:
    """One scene for all, because what is planted changes nothing in the pipeline itself."""
    untouched = scene.examine("api", list)
    assert [found.verdict for found in findings(untouched, TRADES)] == [Verdict.PASS] * 4, "no defect, no alarm"
    told = {}
    for hop in ("kafka", "iceberg", "api"):
        for defect, kind in KINDS.items():
            if defect is moved and hop != "kafka":
                continue  # only Kafka keeps an order
            scene.folder = scene.folder / defect.__name__
            scene.folder.mkdir()
            examined = scene.examine(hop, defect)
            roots = {violation.kind for violation in examined.violations if violation.is_root}
            told[hop, defect.__name__] = (examined.first_bad_hop, roots)
            assert any(found.verdict is Verdict.FAIL for found in findings(examined, TRADES // 2))
            assert (examined.first_bad_hop, roots) == (hop, {kind}), (hop, defect.__name__)
            assert examined.totals[hop].count(kind) == 1
    assert len(told) == 10
