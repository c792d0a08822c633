"""A schema registry over its REST interface; no real one is to be had here, so a small server speaks its words."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer

from fullspan.testing import running_kafka
from k2.bus import Codec
from k2.bus.codecs import registry_of
from k2.bus.kafka import connection, ensure_topics
from k2.bus.registry import SchemaRegistry
from k2.errors import BusError, CodecError
from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.schema import QUOTE, TRADE, Trade
from k2.settings import BusSettings, IngestSettings


class Words(BaseHTTPRequestHandler):
    def do_POST(self):
        subject = self.path.split("/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if subject == "refused":
            self.answer(409, {"error_code": 409, "message": "Schema being registered is incompatible"})
            return
        schemas = self.server.schemas
        if body["schema"] not in schemas:
            schemas.append(body["schema"])
        self.answer(200, {"id": 100 + schemas.index(body["schema"])})

    def do_GET(self):
        self.server.asked += 1
        number = int(self.path.rpartition("/")[2]) - 100
        if 0 <= number < len(self.server.schemas):
            self.answer(200, {"schema": self.server.schemas[number]})
        else:
            self.answer(404, {"error_code": 40403, "message": "Schema not found"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    with ThreadingHTTPServer(("127.0.0.1", 0), Words) as server:
        server.schemas, server.asked = [], 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_schemas_are_entered_once_and_asked_for_once():
    with serving() as (server, url):
        registry = registry_of(BusSettings(schema_registry_url=url))
        assert Codec(TRADE, registry, "trades-value").prefix == b"\x00\x00\x00\x00\x64"
        assert Codec(QUOTE, registry, "quotes-value").prefix == b"\x00\x00\x00\x00\x65"
        assert json.loads(server.schemas[0]) == TRADE.avro()
        assert [registry.schema(100) for _ in range(3)] == [server.schemas[0]] * 3
        assert server.asked == 1
        with pytest.raises(CodecError, match="no schema 177") as unknown:
            registry.schema(177)
        assert unknown.value.reason == "unknown_schema"
        with pytest.raises(
            BusError, match=r"refused the schema of refused: 409 Schema being registered is incompatible"
        ):
            registry.register("refused", "{}")
        registry.close()


def test_a_registry_that_is_away_is_told_without_its_password():
    registry = SchemaRegistry("http://user:hidden@127.0.0.1:9")
    with pytest.raises(BusError, match="does not answer") as away:
        registry.register("x", "{}")
    assert "hidden" not in str(away.value)
    registry.close()


def test_without_a_setting_there_is_none():
    assert registry_of(BusSettings()) is None


def numbered(number):
    at_us = 1_767_225_600_000_000 + number
    names = (f"m{number}", f"BINANCE-{number}", "BTCUSDT", "BINANCE", "crypto")
    return Trade(*names, at_us, Decimal("1.5"), Decimal(2), "USDT", "BUY", number, at_us, number)


@pytest.mark.soak
def test_a_writer_logs_in_and_reads_by_the_registry(tmp_path):
    with serving() as (_, url), running_kafka(tmp_path / "kafka", auth=True) as broker:
        given = {
            "kafka_bootstrap": broker.bootstrap,
            "kafka_security": "sasl_plaintext",
            "kafka_mechanism": "PLAIN",
            "kafka_username": "test",
            "kafka_password": broker.url.split(":")[2].partition("@")[0],
            "schema_registry_url": url,
            "catalog_uri": f"sqlite:///{tmp_path}/catalog.db",
            "warehouse": str(tmp_path / "warehouse"),
            "candles_s": "0",
        }
        settings = IngestSettings(**{**given, "kafka_bootstrap": (broker.bootstrap,)})
        ensure_topics(settings, [settings.trades_topic])
        codec = Codec(TRADE, registry_of(settings), f"{settings.trades_topic}-value")
        producer = Producer(connection(settings))
        for number in range(100):
            producer.produce(settings.trades_topic, codec.encode(numbered(number)))
        assert producer.flush(20) == 0
        environment = {f"K2_{name.upper()}": value for name, value in given.items()}
        command = [sys.executable, "-m", "k2", "ingest", "trades"]
        log = tmp_path / "log"
        with log.open("w") as errors:
            child = subprocess.Popen(command, env={**os.environ, **environment}, stderr=errors)
        try:
            deadline_s = time.monotonic() + 60
            while stored(settings) != list(range(100)):
                assert child.poll() is None, log.read_text()
                assert time.monotonic() < deadline_s, log.read_text()
        finally:
            child.terminate()
            assert child.wait(20) == 0
        assert given["kafka_password"] not in log.read_text()


def stored(settings):
    table = LakeTable(open_catalog(settings), TRADES)
    return sorted(table.iceberg.scan().to_arrow().column("source_sequence").to_pylist())
