import asyncio
import socket
import threading
import time

import aio_pika
import httpx
import pytest

from fullspan.errors import StackError
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import AmqpTap, HopRunner
from fullspan.testing import running_rabbitmq
from fullspan.timeline import Timeline, read_timeline
from packages.fullspan.tests.lines import line_to

WITHIN_S = 15


@pytest.fixture(scope="module")
def running_broker(one_rabbitmq):
    return one_rabbitmq.virtual_host("tap")


@pytest.fixture
def broker(running_broker):
    asyncio.run(declare(running_broker.amqp_url))
    return running_broker


async def declare(url):
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_exchange("prisma", aio_pika.ExchangeType.TOPIC, durable=True)


async def publish_now(url, messages):
    """Publish (routing key, number) pairs in order and wait for the broker's confirmation of each."""
    async with await aio_pika.connect(url, timeout=5) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange("prisma")
        for key, number in messages:
            message = aio_pika.Message(f"body {number}".encode(), headers={"seq": number})
            await exchange.publish(message, key)


def publish(broker, *messages):
    asyncio.run(publish_now(broker.amqp_url, messages))


def observation(message, moment):
    if message.headers["seq"] < 0:
        return None
    number = int(message.headers["seq"])
    key = f"{message.routing_key.removeprefix('fiber.').replace('.', '/')}/{number}"
    return Observation("block", key, number, 0, moment.mono_ns, moment.wall_ns, digest=message.body.decode())


def tap_on(broker, **more):
    return AmqpTap(broker.amqp_url, "prisma", "fiber.local.*", observation, **more)


def wait_until(condition, what):
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {WITHIN_S} s"
        time.sleep(0.02)


def test_what_is_published_is_seen_once_in_order_and_in_time(broker):
    ledger = Ledger()
    before = time.monotonic_ns(), time.time_ns()
    with HopRunner(ledger) as runner:
        tap = runner.start(tap_on(broker))
        publish(
            broker, *(("fiber.local.3", number) for number in range(100)), ("fiber.other.3", 5), ("fiber.local.3", -1)
        )
        publish(broker, ("fiber.local.4", 1))
        wait_until(lambda: len(ledger) == 101, "101 messages were seen")
    after = time.monotonic_ns(), time.time_ns()

    seen = ledger.observations("block")
    assert [o.key for o in seen] == [f"local/3/{number}" for number in range(100)] + ["local/4/1"]
    assert [o.digest for o in seen][:2] == ["body 0", "body 1"]
    assert all(before[0] < o.seen_ns < after[0] and before[1] < o.seen_wall_ns < after[1] for o in seen)
    assert tap.failed is None
    assert tap.interruptions == []


def test_a_stopped_tap_sees_no_more_and_leaves_no_queue(broker):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        tap = runner.start(tap_on(broker))
        tap.stop()
        publish(broker, ("fiber.local.3", 1))
        tap.stop()
    assert len(ledger) == 0
    assert asyncio.run(queue_count(broker)) == 0


async def queue_count(broker):
    virtual_host = broker.amqp_url.rpartition("/")[2]
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            queues = (await client.get(f"{broker.management_url}/api/queues/{virtual_host}")).json()
            if not queues:
                break
            await asyncio.sleep(0.1)
    return len(queues)


def check_interruption(url, directly, timeline, lose, give_back):
    """See one message, lose the connection, get it back, see another."""
    ledger = Ledger()
    with HopRunner(ledger, timeline) as runner:
        tap = runner.start(AmqpTap(url, "prisma", "fiber.local.*", observation))
        publish(directly, ("fiber.local.3", 1))
        wait_until(lambda: len(ledger) == 1, "the first message was seen")
        lose()
        wait_until(lambda: tap.is_interrupted, "the lost connection was noticed")
        give_back()
        wait_until(lambda: not tap.is_interrupted, "the tap connected again")
        publish(directly, ("fiber.local.3", 2))
        wait_until(lambda: len(ledger) == 2, "the second message was seen")

    assert tap.failed is None
    [gap] = tap.interruptions
    assert gap.cause.startswith("the connection to the broker is lost")
    assert gap.ended is not None
    assert gap.ended.mono_ns > gap.began.mono_ns
    told = [event.what for event in read_timeline(timeline.path)]
    assert told == [f"block is interrupted: {gap.cause}", "block sees records again"]


def test_a_lost_connection_is_told_and_made_again(broker, tmp_path):
    with line_to(broker) as line:
        check_interruption(line.amqp_url, broker, Timeline(tmp_path / "timeline.jsonl"), line.cut, line.mend)


@pytest.mark.soak
def test_a_killed_broker_is_a_lost_connection(tmp_path):
    with running_rabbitmq(tmp_path / "rabbitmq") as broker:
        asyncio.run(declare(broker.amqp_url))

        def start():
            broker.start()
            # As every publisher does: a killed broker may have forgotten a new one.
            asyncio.run(declare(broker.amqp_url))

        check_interruption(broker.amqp_url, broker, Timeline(tmp_path / "timeline.jsonl"), broker.kill, start)


def test_a_hang_is_no_interruption_and_everything_arrives_after_it(broker):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        tap = runner.start(tap_on(broker))
        broker.hang()
        publisher = threading.Thread(target=publish, args=(broker, ("fiber.local.3", 7)))
        publisher.start()
        try:
            publisher.join(1.0)
            assert publisher.is_alive()
            assert len(ledger) == 0
        finally:
            broker.resume()
        publisher.join(WITHIN_S)
        wait_until(lambda: len(ledger) == 1, "the message arrived")
    assert tap.interruptions == []


@pytest.mark.timed
def test_the_loop_stops_although_the_broker_hangs(broker):
    threads = threading.active_count()
    try:
        with HopRunner(Ledger()) as runner:
            runner.start(tap_on(broker))
            broker.hang()
            began = time.monotonic()
        took = time.monotonic() - began
    finally:
        broker.resume()
    assert took < 2
    assert threading.active_count() == threads


@pytest.mark.timed
def test_a_broker_that_hangs_at_the_start_is_an_error_within_the_deadline():
    """One that hangs does what this one does: its kernel accepts, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, HopRunner(Ledger()) as runner:
        tap = AmqpTap(f"amqp://u:p@127.0.0.1:{silent.getsockname()[1]}/", "prisma", "#", observation)
        began = time.monotonic()
        with pytest.raises(StackError, match=r"Hop block \(amqp\) could not begin to look within 1 s"):
            runner.start(tap, within_s=1)
        assert time.monotonic() - began < 4


def test_a_port_where_nobody_listens_is_named_as_the_cause():
    tap = AmqpTap("amqp://u:secret-word@127.0.0.1:1/", "prisma", "#", observation)
    with HopRunner(Ledger()) as runner, pytest.raises(StackError, match=r"(?i)connect") as caught:
        runner.start(tap, within_s=0.5)
    assert "secret-word" not in str(caught.value)


def test_a_message_that_cannot_be_read_ends_the_tap_with_its_reason(broker):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        tap = runner.start(
            AmqpTap(broker.amqp_url, "prisma", "fiber.local.*", lambda message, _: message.headers["no"])
        )
        publish(broker, ("fiber.local.3", 1))
        wait_until(lambda: tap.failed is not None, "the tap failed")
    assert tap.failed == "it could not read a message: KeyError: 'no'"
    assert tap.is_interrupted


def test_hops_start_only_inside_the_block(broker):
    with pytest.raises(RuntimeError, match="inside its with block"):
        HopRunner(Ledger()).start(tap_on(broker))
