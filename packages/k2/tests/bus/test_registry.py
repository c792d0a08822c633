"""A schema registry over its REST interface; no real one is to be had here, so a small server speaks its words."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from k2.bus import Codec
from k2.bus.registry import SchemaRegistry, registry_of
from k2.errors import BusError, CodecError
from k2.schema import QUOTE, TRADE
from k2.settings import BusSettings


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
