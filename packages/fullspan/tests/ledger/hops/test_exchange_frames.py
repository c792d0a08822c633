import asyncio
import gc
import threading

import pytest
from websockets.asyncio.server import serve

from fullspan.errors import StackError
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import ExchangeFrames, HopRunner
from fullspan.stack.ports import hold_free_port
from fullspan.stack.processes import wait_until

WITHIN_S = 15


class Exchange:
    """Sends to everybody who has subscribed; in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.sockets = set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.server = self.call(self.open())
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/stream?streams=btcusdt@trade"
        return self

    def __exit__(self, *_):
        self.call(self.shut())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def open(self):
        return await serve(self.hold, "127.0.0.1", 0)

    async def shut(self):
        self.server.close()
        await self.server.wait_closed()

    async def hold(self, socket):
        self.sockets.add(socket)
        await socket.wait_closed()
        self.sockets.discard(socket)

    def call(self, awaitable):
        async def run():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(WITHIN_S)

    def send(self, frame):
        async def all_of_them():
            for socket in list(self.sockets):
                await socket.send(frame)

        self.call(all_of_them())

    def close(self, code=1000):
        async def all_of_them():
            for socket in list(self.sockets):
                await socket.close(code)

        self.call(all_of_them())


@pytest.fixture
def exchange():
    with Exchange() as exchange:
        yield exchange


def observations(frame, moment):
    if frame == "boom":
        raise ValueError("no number")
    number = int(frame)
    return [Observation("exchange", f"s/{number}", number, 0, moment.mono_ns, moment.wall_ns)]


def seen(ledger):
    return [observation.sequence for observation in ledger.observations("exchange")]


def test_frames_are_seen_in_order_and_a_clean_close_is_an_interruption(exchange):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        hop = runner.start(ExchangeFrames(exchange.url, observations))
        for number in range(50):
            exchange.send(str(number) if number % 2 else str(number).encode())
        assert wait_until(lambda: len(ledger) == 50, WITHIN_S)
        assert hop.interruptions == []
        exchange.close()
        assert wait_until(lambda: hop.interruptions and not hop.is_interrupted, WITHIN_S)
        exchange.send("50")
        assert wait_until(lambda: len(ledger) == 51, WITHIN_S)
        exchange.close(1011)
        assert wait_until(lambda: len(hop.interruptions) == 2 and not hop.is_interrupted, WITHIN_S)
    assert seen(ledger) == list(range(51))
    causes = [interruption.cause for interruption in hop.interruptions]
    assert causes[0] == "the exchange closed the connection"
    assert "1011" in causes[1]


def test_a_hop_that_is_stopped_says_goodbye(exchange):
    # What still refers to the connection must not be what closes it, some time later.
    gc.disable()
    try:
        with HopRunner(Ledger()) as runner:
            hop = runner.start(ExchangeFrames(exchange.url, observations))
            assert wait_until(lambda: len(exchange.sockets) == 1, WITHIN_S)
            [socket] = exchange.sockets
        assert wait_until(lambda: not exchange.sockets, WITHIN_S)
    finally:
        gc.enable()
    assert socket.close_code == 1000
    assert hop.failed is None


def test_a_frame_that_cannot_be_read_ends_the_hop(exchange):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        hop = runner.start(ExchangeFrames(exchange.url, observations))
        exchange.send("1")
        exchange.send("boom")
        assert wait_until(lambda: hop.failed is not None, WITHIN_S)
    assert hop.failed == "it could not read a message: ValueError: no number"
    assert seen(ledger) == [1]


def test_an_exchange_that_is_not_there_is_told():
    held = hold_free_port()
    url = f"ws://127.0.0.1:{held.release()}/"
    with HopRunner(Ledger()) as runner, pytest.raises(StackError, match=r"exchange .*was lost .*Connect call failed"):
        runner.start(ExchangeFrames(url, observations), within_s=0.5)
