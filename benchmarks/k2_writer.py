"""How many trades a second the writer brings from a real Kafka to the table, and at which cost of processor time.

Claim: 50,000 rows a second sustained, none lost. The topic is filled first; then the writer starts and the clock runs
until the table has every trade. The peers: a bare confluent-kafka consumer that throws away what it reads from the
same topic, and PyIceberg's append of as many rows in commits of the same size.
"""

import tempfile
import threading
import time
from pathlib import Path

from _figures import options, print_claim, read, show
from _k2 import TOPIC, Lake, trades
from confluent_kafka import Consumer, Producer, TopicPartition

from fullspan.testing import running_kafka
from k2.bus.codecs import Codec
from k2.bus.kafka import ensure_topics
from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.lake.ingest import run_writers
from k2.schema import Trade
from k2.settings import IngestSettings

ROWS, QUICK_ROWS = 2_000_000, 20_000
CLAIM = 50_000
LIMIT_S = 600.0


def fill(bootstrap: str, topic: str, rows: int) -> None:
    """Fill the topic with trades, encoded as the feed does it."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 10**6,
        }
    )
    codec = Codec(TRADES.record)
    for first in range(0, rows, 10_000):
        for row in trades(first, min(10_000, rows - first)).to_pylist():
            row["timestamp"], row["ingestion_timestamp"] = (
                int(row[name].timestamp() * 1e6) for name in ("timestamp", "ingestion_timestamp")
            )
            row["trade_conditions"], row["vendor_data"] = (), dict(row["vendor_data"])
            producer.produce(topic, codec.encode(Trade(**row)), partition=row["source_sequence"] % 2)
        producer.flush()
        if first % 200_000 == 0:
            print(f"  {first} trades sent", flush=True)


def bare_consumer(bootstrap: str, topic: str, rows: int) -> float:
    """Read the topic and do nothing with it; returns rows a second."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in (0, 1)])
    count, began_s = 0, time.perf_counter()
    while count < rows:
        count += len(consumer.consume(10_000, 1.0))
    consumer.close()
    return rows / (time.perf_counter() - began_s)


def bare_append(folder: Path, rows: int) -> float:
    """Append as many rows by the library alone; returns rows a second."""
    folder.mkdir()
    table = Lake(folder).table.iceberg
    batches = [trades(first, min(50_000, rows - first)) for first in range(0, rows, 50_000)]
    began_s = time.perf_counter()
    for batch in batches:
        table.append(batch)
    return rows / (time.perf_counter() - began_s)


def written(bootstrap: str, topic: str, folder: Path, rows: int) -> tuple[float, float]:
    """Run the writer until the table has every trade; returns rows a second, and rows a second of processor time."""
    settings = IngestSettings(
        kafka_bootstrap=(bootstrap,),
        trades_topic=topic,
        catalog_uri=f"sqlite:///{folder}/catalog.db",
        warehouse=str(folder / "warehouse"),
        candles_s=0,
        log_level="error",
    )
    folder.mkdir()
    stop = threading.Event()
    thread = threading.Thread(target=run_writers, args=(settings, [TRADES], stop))
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    thread.start()
    table = LakeTable(open_catalog(settings), TRADES)
    while sum(table.offsets().items().values()) < rows:
        assert time.perf_counter() - began_s < LIMIT_S, "the writer did not write everything"
        time.sleep(0.05)
        table.reload()
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    stop.set()
    thread.join()
    table.reload()
    assert table.iceberg.scan().count() == rows, "trades were lost or doubled"
    return rows / took_s, rows / cpu_s


def main() -> None:
    """Fill a topic and write it down, several times."""
    given = read(options(__doc__, 3, "runs of the writer"))
    rows = QUICK_ROWS if given.quick else ROWS
    with tempfile.TemporaryDirectory() as name, running_kafka(Path(name, "kafka")) as broker:
        settings = IngestSettings(kafka_bootstrap=(broker.bootstrap,), trades_topic=TOPIC)
        ensure_topics(settings, [TOPIC, f"{TOPIC}.dlq"])
        fill(broker.bootstrap, TOPIC, rows)
        consumer = show(
            "bare consumer", [bare_consumer(broker.bootstrap, TOPIC, rows) for _ in range(given.n)], "rows/s"
        )
        append = show("PyIceberg append", [bare_append(Path(name, f"a{i}"), rows) for i in range(given.n)], "rows/s")
        runs = [written(broker.bootstrap, TOPIC, Path(name, f"w{i}"), rows) for i in range(given.n)]
    ours = show("writer", [wall for wall, _ in runs], "rows/s")
    show("writer, per second of processor time", [cpu for _, cpu in runs], "rows/s")
    print(f"  ratio to the bare consumer {ours / consumer:.2f}, to the bare append {ours / append:.2f}")
    print_claim(f"{CLAIM} rows/s, every trade stored once", ours >= CLAIM, quick=given.quick)


if __name__ == "__main__":
    main()
