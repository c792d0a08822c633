"""The local exchange as a client meets it: over its port, with the wire of the real one."""

import gzip
import json
import os
import signal
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from k2.errors import CodecError, SettingsError
from k2.feed.exchange.capture import read_capture
from k2.feed.exchange.mischief import MALFORMED, Mischief, Outgoing
from k2.feed.exchange.simulation import OrderFlow

STREAM = "/stream?streams=btcusdt@trade/ethusdt@trade"


def shared_data():
    told = os.environ.get("FULLSPAN_SHARED_DATA")
    places = [Path(told)] if told else [folder.parent / "shared/data" for folder in Path(__file__).parents]
    return next((place for place in places if (place / "market").is_dir()), None)


def frames(connection, count):
    return [connection.recv(20) for _ in range(count)]


def numbers(received, symbol="BTCUSDT"):
    return [data["t"] for frame in received if (data := json.loads(frame)["data"])["s"] == symbol]


def capture(folder, count=40):
    """A capture of two symbols, 10 ms apart, in the bytes of the real one."""
    path = folder / "trades.ndjson.gz"
    with gzip.open(path, "wb") as lines:
        for turn in range(count):
            symbol, number = ("BTCUSDT", 1000) if turn % 2 else ("ETHUSDT", 50)
            moment = 1723161255342 + 10 * turn
            frame = (
                f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{moment + 1},"s":"{symbol}",'
                f'"t":{number + turn // 2},"p":"61837.63000000","q":"0.0{turn:02d}00000","T":{moment},'
                '"m":true,"M":true}}'
            )
            lines.write(f"{(moment - 1250) * 10**6} {frame}\n".encode())
    return path


def start(k2, *options):
    program = k2("exchange", "--port", 0, *options)
    return program, program.wait_for("exchange.ready")["port"]


def test_a_capture_is_replayed_byte_for_byte_and_answers_who_missed_something(k2, tmp_path):
    path = capture(tmp_path)
    program, port = start(k2, "--capture", path, "--retime", "keep", "--speed", 50)
    with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None) as connection:
        received = frames(connection, 40)
    with gzip.open(path, "rt") as lines:
        assert received == [line.partition(" ")[2].strip() for line in lines]
    program.wait_for("exchange.ended", BTCUSDT=20, ETHUSDT=20)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        asked = client.get("/api/v3/historicalTrades", params={"symbol": "BTCUSDT", "fromId": 1005, "limit": 3}).json()
        assert [trade["id"] for trade in asked] == [1005, 1006, 1007]
        assert asked[0] == {
            "id": 1005, "price": "61837.63000000", "qty": "0.01100000", "time": 1723161255452,
            "isBuyerMaker": True, "isBestMatch": True,
        }  # fmt: skip
        assert client.get("/api/v3/historicalTrades").status_code == 400
        assert client.get("/api/v3/ping", headers={"Host": "evil.example"}).status_code == 403
        assert client.get("/state").json()["symbols"]["ETHUSDT"] == {"first": 50, "last": 69, "count": 20}
        assert client.get("/nothing").status_code == 404
    assert program.end() == 0


def test_a_page_of_another_origin_is_refused(k2):
    _, port = start(k2)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{port}/control", origin="https://evil.example", proxy=None)
    assert refused.value.response.status_code == 403


def test_times_are_moved_by_one_constant(k2, tmp_path):
    program, port = start(k2, "--capture", capture(tmp_path), "--speed", 50, "--exchange-dir", "kept")
    with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None) as connection:
        received = [json.loads(frame)["data"] for frame in frames(connection, 40)]
    assert [entry["T"] - received[0]["T"] for entry in received] == [10 * turn for turn in range(40)]
    assert all(entry["E"] == entry["T"] + 1 for entry in received)
    begun = program.wait_for("exchange.begun")["timestamp"]
    from datetime import datetime

    assert abs(received[0]["T"] / 1000 - datetime.fromisoformat(begun).timestamp()) < 1


@pytest.mark.parametrize("kind", ["simulated", "capture"])
def test_after_kill_9_it_goes_on_after_the_last_trade_that_anybody_can_know(k2, tmp_path, kind):
    source = (
        ["--rate", 400, "--seed", 5] if kind == "simulated" else ["--capture", capture(tmp_path, 200), "--speed", 3]
    )
    options = [*source, "--exchange-dir", "kept"]
    seen = []
    for _ in range(2):
        program, port = start(k2, *options)
        with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None) as connection:
            seen += frames(connection, 60)
            program.end(signal.SIGKILL)
            try:
                while True:
                    seen.append(connection.recv(5))
            except (ConnectionClosed, TimeoutError):
                pass
    for symbol in ("BTCUSDT", "ETHUSDT"):
        told = numbers(seen, symbol)
        assert told == sorted(set(told)), "no number twice, none out of order"
    kept = {(event.symbol, event.number): event for _, event in read_capture(tmp_path / "kept/trades.ndjson")}
    for frame in seen:
        data = json.loads(frame)["data"]
        entry = kept[data["s"], data["t"]]
        assert (entry.price, entry.quantity, entry.time, entry.maker) == (data["p"], data["q"], data["T"], data["m"])
    for symbol in ("BTCUSDT", "ETHUSDT"):
        of_symbol = [number for name, number in kept if name == symbol]
        assert of_symbol == list(range(of_symbol[0], of_symbol[0] + len(of_symbol)))
    if kind == "capture":
        turns = {
            (name, number): 2 * (number - (1000 if name == "BTCUSDT" else 50)) + (name == "BTCUSDT")
            for name, number in kept
        }
        moved = {entry.time - 10 * turns[key] for key, entry in kept.items()}
        assert len(moved) == 1, "one constant, also after the restart"


def test_the_same_seed_gives_the_same_trades_at_any_rate():
    def first(seed, symbol):
        drafts = OrderFlow(seed, symbol).drafts()
        return [next(drafts) for _ in range(3000)]

    assert first(7, "BTCUSDT") == first(7, "BTCUSDT")
    assert first(7, "BTCUSDT") != first(8, "BTCUSDT")
    assert first(7, "BTCUSDT") != first(7, "ETHUSDT")
    drafts = first(7, "BTCUSDT")
    assert [draft.number for draft in drafts] == list(range(1_000_000, 1_003_000))
    assert len({draft.price for draft in drafts}) > 100
    assert abs(sum(draft.wait for draft in drafts) / 3000 - 1) < 0.1


def test_a_thousand_trades_a_second_of_each_symbol_and_a_burst(k2, control):
    _, port = start(k2, "--rate", 1000, "--trades", 6000, "--quote-rate", 0)
    with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None, max_queue=None) as connection, control(port) as call:
        call("burst", factor=5, seconds=1)
        received = frames(connection, 6000)
    assert len(numbers(received)) + len(numbers(received, "ETHUSDT")) == 6000
    data = [json.loads(frame)["data"] for frame in received]
    assert data[-1]["T"] - data[0]["T"] < 2500, "ten thousand a second while it bursts, two thousand otherwise"


def test_it_drops_doubles_reorders_and_is_silent_when_told(k2, control):
    _, port = start(k2, "--rate", 500, "--symbols", "BTCUSDT", "--quote-rate", 0)
    with connect(f"ws://127.0.0.1:{port}/ws/btcusdt@trade", proxy=None) as connection, control(port) as call:

        def seen(count):
            return [json.loads(frame)["t"] for frame in frames(connection, count)]

        def steps(shows):
            """Read on until the differences between neighbours show it; what is under way comes before it."""
            numbers = [last[0], *seen(1)]
            while not shows(found := [later - earlier for earlier, later in pairwise(numbers)]):
                assert len(numbers) < 20_000, "it did not happen"
                numbers += seen(100)
            last[0] = numbers[-1]
            return numbers, found

        last = [1_000_009]
        assert seen(10) == list(range(1_000_000, 1_000_010))
        call("mischief", drop=5)
        _, found = steps(lambda found: 6 in found)
        assert set(found) == {1, 6}
        call("mischief", duplicate=3)
        _, found = steps(lambda found: found.count(0) == 3)
        assert set(found) == {0, 1}
        call("mischief", reorder=20)
        numbers, _ = steps(lambda found: sum(step < 0 for step in found) >= 2 and found[-20:] == [1] * 20)
        assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
        state = call("mischief", silence_s=0.5)
        _, found = steps(lambda found: max(found) > 50)
        assert max(found) < 1000, "half a second of 500 a second"
        assert state["viewers"] == 1
        call("mischief", clock_offset_s=-1.3)
        with httpx.Client(trust_env=False) as client:
            import time

            told = client.get(f"http://127.0.0.1:{port}/api/v3/time").json()["serverTime"] / 1000
            assert abs(told - time.time() + 1.3) < 0.3
        call("halt")
        assert call("state")["running"] is False
        assert call("close")["closed"] == 1
        with pytest.raises(ConnectionClosed) as closed:
            frames(connection, 10**6)
        assert closed.value.rcvd.code == 1000


def test_connections_are_closed_as_soon_as_they_are_there(k2, control):
    _, port = start(k2)
    with control(port) as call:
        call("mischief", close_next=3)
        for _ in range(3):
            with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None) as connection, pytest.raises(ConnectionClosed):
                connection.recv(10)
        with connect(f"ws://127.0.0.1:{port}{STREAM}", proxy=None) as connection:
            assert json.loads(connection.recv(10))["data"]["e"] == "trade"


def test_subscriptions_come_and_go(k2):
    _, port = start(k2, "--rate", 200, "--quote-rate", 200)
    with connect(f"ws://127.0.0.1:{port}/stream", proxy=None) as connection:
        for request, answer in [
            ({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "btcusdt@trade"], "id": 1}, None),
            ({"method": "LIST_SUBSCRIPTIONS", "id": 2}, ["btcusdt@bookTicker", "btcusdt@trade"]),
        ]:
            connection.send(json.dumps(request))
            while "id" not in (told := json.loads(connection.recv(10))):
                pass
            assert told == {"result": answer, "id": request["id"]}
        streams = {json.loads(frame)["stream"] for frame in frames(connection, 200)}
        assert streams == {"btcusdt@bookTicker", "btcusdt@trade"}
        connection.send("nonsense")
        while "error" not in (told := json.loads(connection.recv(10))):
            pass
        assert told["error"]["code"] == 3


def test_spoilt_and_malformed_frames_come_as_often_as_told():
    mischief = Mischief(malformed_every=10, spoil_every=7)
    sent = list(mischief.apply([Outgoing("s", b'{"t":1}')] * 70))
    assert sum(out.raw for out in sent) == 7
    assert sum(out.payload == b'{"t"'[:3] for out in sent) == 10
    assert [out.payload for out in sent if out.raw] == list(MALFORMED.values())[:7]


@pytest.mark.parametrize("wanted", [{"dorp": 1}, {"drop": -1}, {"drop": 1.5}, {"drop": True}, {"silence_s": "1"}])
def test_a_mischief_that_cannot_be_meant_changes_nothing(wanted):
    mischief = Mischief()
    with pytest.raises(CodecError):
        mischief.set({"duplicate": 7, **wanted})
    assert mischief == Mischief()


def test_a_line_that_is_none_is_named(tmp_path):
    path = tmp_path / "bad.ndjson"
    path.write_text('1 {"u":1,"s":"A","b":"1","B":"1","a":"2","A":"1"}\nx\n')
    with pytest.raises(SettingsError, match="Line 2 of the capture"):
        list(read_capture(path))


@pytest.mark.skipif(shared_data() is None, reason="needs the folder of real captures")
def test_the_real_captures_are_read_whole():
    market = shared_data() / "market"
    trades = [event for _, event in read_capture(market / "binance_spot_trades_20240808_BTCUSDT_ETHUSDT.ndjson.gz")]
    assert len(trades) == 34_419
    assert [trade.number for trade in trades if trade.symbol == "BTCUSDT"] == list(range(3735683259, 3735703163))
    quotes = [event for _, event in read_capture(market / "binance_spot_bookTicker_20240808_first20k.ndjson.gz")]
    assert len(quotes) == 20_000


def test_a_mischief_that_was_ended_with_a_whole_number_takes_a_broken_one_again():
    mischief = Mischief()
    for offset_s in (-1.3, 0, 5.5):
        mischief.set({"clock_offset_s": offset_s})
        assert mischief.present()["clock_offset_s"] == offset_s
