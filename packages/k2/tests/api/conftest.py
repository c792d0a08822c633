"""The API as it is served, on a real Kafka and a lake in a folder of its own, with the writer beside it or not."""

import threading
import time
import uuid
from contextlib import contextmanager
from decimal import Decimal

import httpx
import pytest
import uvicorn
from confluent_kafka import Producer

from k2.api import create_app
from k2.bus.codecs import Codec
from k2.bus.kafka import dead_letters_of, ensure_topics
from k2.lake import QUOTES, TRADES
from k2.lake.ingest import run_writers
from k2.schema import QUOTE, TRADE, Quote, Trade, quote_message_id, trade_message_id
from k2.settings import IngestSettings, ServeSettings

from ..programs import LONGEST_S, until  # noqa: TID252

KEY = "a-key-of-this-test"


def trade(number, *, symbol="BTCUSDT", at_us=None, price="100.10000001", quantity="0.50000000"):
    now_us = time.time_ns() // 1000
    return Trade(
        message_id=trade_message_id("BINANCE", symbol, number),
        trade_id=f"BINANCE-{number}",
        symbol=symbol,
        exchange="BINANCE",
        asset_class="crypto",
        timestamp=now_us if at_us is None else at_us,
        price=Decimal(price),
        quantity=Decimal(quantity),
        currency="USDT",
        side="SELL" if number % 2 else "BUY",
        source_sequence=number,
        ingestion_timestamp=now_us,
        platform_sequence=number,
        trade_conditions=("odd",) if number % 2 else (),
        vendor_data={"M": "true"},
    )


def quote(number, at_us):
    return Quote(
        message_id=quote_message_id("BINANCE", "BTCUSDT", number),
        quote_id=f"BINANCE-{number}",
        symbol="BTCUSDT",
        exchange="BINANCE",
        asset_class="crypto",
        timestamp=at_us,
        bid_price=Decimal("1.00000001"),
        bid_quantity=Decimal(2),
        ask_price=Decimal("1.00000002"),
        ask_quantity=Decimal(3),
        currency="USDT",
        source_sequence=number,
        ingestion_timestamp=at_us,
        platform_sequence=number,
    )


class Place:
    """Topics and a lake; trades go in by `send`, answers come from `http` while `served`."""

    def __init__(self, broker, folder):
        tag = uuid.uuid4().hex[:8]
        common = {
            "kafka_bootstrap": (broker.bootstrap,),
            "trades_topic": f"trades-{tag}",
            "quotes_topic": f"quotes-{tag}",
            "gaps_topic": f"gaps-{tag}",
            "catalog_uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": str(folder / "warehouse"),
        }
        self.ingest = IngestSettings(**common, flush_rows=200, flush_s=0.1, candles_s=0)
        self.serve = ServeSettings(**common, api_key=KEY, refresh_s=0.05, stale_s=3600, rate_limit=10_000)
        topics = [self.serve.trades_topic, self.serve.quotes_topic]
        ensure_topics(self.ingest, [*topics, *map(dead_letters_of, topics), self.serve.gaps_topic])
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})

    def send(self, records):
        for record in records:
            kind, topic = (
                (TRADE, self.serve.trades_topic) if isinstance(record, Trade) else (QUOTE, self.serve.quotes_topic)
            )
            value, key = Codec(kind).encode(record), record.symbol.encode()
            self._producer.produce(topic, value, key=key, partition=record.source_sequence % 2)
        assert self._producer.flush(LONGEST_S) == 0

    def put(self, topic, value, key=b""):
        self._producer.produce(topic, value, key=key, partition=0)
        assert self._producer.flush(LONGEST_S) == 0

    @contextmanager
    def writing(self):
        stop = threading.Event()
        thread = threading.Thread(target=run_writers, args=(self.ingest, [TRADES, QUOTES], stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(LONGEST_S)
            assert not thread.is_alive()

    @contextmanager
    def served(self, **changes):
        settings = self.serve.model_copy(update=changes)
        server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            until(lambda: server.started, "the server listens")
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, timeout=60) as http:
                yield http
        finally:
            server.should_exit = True
            thread.join(LONGEST_S)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def places(one_kafka, tmp_path_factory):
    return lambda: Place(one_kafka, tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(places):
    return places()
