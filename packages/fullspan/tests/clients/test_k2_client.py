"""Both K2 clients against a server whose answers the test decides: what is sent, what is typed, what is raised."""

import http.server
import inspect
import json
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from fullspan.clients import AsyncK2Client, K2Client, NotUnderstood, OutcomeUnknown, Refused, Unreachable

TRADE = {
    "message_id": "m-1",
    "trade_id": "BINANCE-7",
    "symbol": "BTCUSDT",
    "exchange": "BINANCE",
    "asset_class": "crypto",
    "timestamp": "2026-01-01T00:00:00.123456+00:00",
    "price": "61837.63000000",
    "quantity": "0.02000000",
    "currency": "USDT",
    "side": "SELL",
    "source_sequence": 7,
}
QUOTE = {
    "message_id": "q-1",
    "symbol": "BTCUSDT",
    "exchange": "BINANCE",
    "timestamp": "2026-01-01T00:00:00Z",
    "bid_price": "1.00000001",
    "bid_quantity": "2.00000000",
    "ask_price": "1.00000002",
    "ask_quantity": "3.00000000",
    "source_sequence": 9,
}
PAGE = {"success": True, "data": [], "pagination": {"total": 0}, "meta": {"source": "table"}}


class Server(http.server.ThreadingHTTPServer):
    """Answers with the next of `replies`: a status, a document or bytes, and headers; or cuts the connection."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = []
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def paths(self):
        return [path for path, _, _ in self.asked]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = f"{self.command} {self.path}"
        self.server.asked.append((path, json.loads(body) if body else None, self.headers["X-API-Key"]))
        reply = self.server.replies.pop(0)
        if reply == "cut":
            return
        status, document, *headers = reply
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(document if isinstance(document, bytes) else json.dumps(document).encode())

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


class Blocking:
    """The asynchronous client, called as if it blocked, so that one test serves both."""

    def __init__(self, *arguments, **options):
        self.make = lambda: AsyncK2Client(*arguments, **options)

    def __getattr__(self, name):
        async def call(arguments, options):
            async with self.make() as client:
                return await getattr(client, name)(*arguments, **options)

        return lambda *arguments, **options: anyio.run(call, arguments, options)


@pytest.fixture(scope="module")
def one_server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def server(one_server):
    one_server.replies, one_server.asked = [], []
    return one_server


@pytest.fixture(params=[K2Client, Blocking], ids=["sync", "async"])
def client(request, server):
    made = request.param(server.url, "k-1")
    yield made
    if isinstance(made, K2Client):
        made.close()


def test_rows_are_typed_to_the_last_digit(client, server):
    server.replies = [
        (200, {**PAGE, "data": [TRADE]}),
        (200, {**PAGE, "data": [QUOTE]}),
        (200, {**PAGE, "data": [TRADE]}),
    ]
    page = client.trades(symbol="BTCUSDT", limit=5)
    (trade,) = page.rows
    assert (trade.price, trade.quantity) == (Decimal("61837.63000000"), Decimal("0.02000000"))
    assert trade.timestamp == datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
    assert (trade.trade_id, trade.side, trade.source_sequence, trade.document) == ("BINANCE-7", "SELL", 7, TRADE)
    assert (page.pagination, page.meta) == (PAGE["pagination"], PAGE["meta"])
    (quote,) = client.quotes().rows
    assert (quote.bid_price, quote.ask_price) == (Decimal("1.00000001"), Decimal("1.00000002"))
    assert (quote.bid_quantity, quote.ask_quantity, quote.source_sequence) == (2, 3, 9)
    assert client.recent(symbol="BTCUSDT").rows == page.rows
    assert server.paths == [
        "GET /v1/trades?symbol=BTCUSDT&limit=5", "GET /v1/quotes", "GET /v1/trades/recent?symbol=BTCUSDT",
    ]  # fmt: skip
    assert {key for _, _, key in server.asked} == {"k-1"}


def test_a_choice_becomes_the_query(client, server):
    server.replies = [(200, PAGE), (200, PAGE)]
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 2, tzinfo=timezone(timedelta(hours=2)))
    client.candles("5m", symbol="A&B", start=start, end=end, offset=10)
    query = parse_qs(urlsplit(server.paths[0].removeprefix("GET ")).query)
    assert query == {
        "symbol": ["A&B"],
        "start_time": ["2026-01-01T00:00:00+00:00"],
        "end_time": ["2026-01-02T02:00:00+02:00"],
        "offset": ["10"],
    }
    with pytest.raises(ValueError, match="does not say in which zone"):
        client.trades(start=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    assert len(server.asked) == 1


def test_every_trade_reads_page_after_page(client, server):
    server.replies = [(200, {**PAGE, "data": [TRADE, TRADE]}), (200, {**PAGE, "data": [TRADE]})]
    assert len(client.every_trade(page=2, symbol="BTCUSDT")) == 3
    assert server.paths == [
        "GET /v1/trades?symbol=BTCUSDT&limit=2&offset=0", "GET /v1/trades?symbol=BTCUSDT&limit=2&offset=2",
    ]  # fmt: skip


def test_other_calls(client, server):
    health = {"status": "healthy", "timestamp": TRADE["timestamp"], "version": "0.1.0", "dependencies": {"lake": "up"}}
    server.replies = [
        (200, health),
        (200, {"status": "alive"}),
        (503, {"status": "stale"}),
        (200, b'k2_rows_total{table="trades"} 4\n'),
        (200, {**PAGE, "data": [{"symbol": "BTCUSDT"}]}),
        (200, {**PAGE, "data": {"trades": 4}}),
        (200, {**PAGE, "data": {"volume": "1.5"}}),
        (200, {"success": True, "data": {"BTCUSDT": []}}),
        (200, {**PAGE, "data": [{"price": "1"}]}),
        (200, b"price\n1\n"),
    ]
    assert (client.health().status, client.live()) == ("healthy", None)
    ready = client.ready()
    assert (ready.ready, ready.status, ready.document) == (False, 503, {"status": "stale"})
    assert client.metrics().value("k2_rows_total", table="trades") == 4
    assert client.symbols().rows == ({"symbol": "BTCUSDT"},)
    assert client.stats() == {"trades": 4}
    assert client.summary("BTC/USDT", date(2026, 1, 2)) == {"volume": "1.5"}
    assert client.candles_of_several({"symbols": ["BTCUSDT"]})["data"] == {"BTCUSDT": []}
    assert client.query("trades", columns=["price"], limit=1).rows == ({"price": "1"},)
    assert client.query_file("trades", "csv", limit=1) == b"price\n1\n"
    assert server.paths[6] == "GET /v1/summary/BTC%2FUSDT/2026-01-02"
    assert [document for _, document, _ in server.asked[-2:]] == [
        {"table": "trades", "columns": ["price"], "limit": 1, "format": "json"},
        {"table": "trades", "limit": 1, "format": "csv"},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", 61837.63), ("timestamp", "2026-01-01T00:00:00"), ("timestamp", "2026-01-01T00:00:00+02:00")],
    ids=["float", "no zone", "not UTC"],
)
def test_what_is_not_exact_is_not_taken(client, server, field, value):
    server.replies = [(200, {**PAGE, "data": [{**TRADE, field: value}]})]
    with pytest.raises(NotUnderstood, match="GET /v1/trades"):
        client.trades()


def test_what_fails_for_now_is_repeated_and_refusals_are_told(client, server):
    server.replies = ["cut", (429, {}, ("Retry-After", "0")), (200, PAGE), (401, {"error": "no key"}), *["cut"] * 3]
    assert client.trades().rows == ()
    with pytest.raises(Refused) as refused:
        client.trades()
    assert (refused.value.status, refused.value.error) == (401, "no key")
    with pytest.raises(OutcomeUnknown):
        client.symbols()
    assert len(server.asked) == 7


def test_nobody_there_is_unreachable():
    with Server() as gone:
        url = gone.url
    with K2Client(url, retries=0) as client, pytest.raises(Unreachable, match="GET /health/live could not be sent"):
        client.live()


def test_both_have_the_same_calls():
    def calls(kind):
        members = inspect.getmembers(kind, inspect.isfunction)
        return {name: str(inspect.signature(member)) for name, member in members if not name.startswith("_")}

    blocking, other = calls(K2Client), calls(AsyncK2Client)
    assert {**blocking, "aclose": blocking["close"]} == {**other, "close": other["aclose"]}
