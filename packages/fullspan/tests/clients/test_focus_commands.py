"""Commands through a real broker, by both clients: what arrives, and what is said when nothing does."""

import json
import socket

import aio_pika
import anyio
import anyio.to_thread
import pytest

from fullspan.clients import AsyncFocusCommands, FocusCommands, OutcomeUnknown, Unreachable
from packages.fullspan.tests.lines import line_to

pytestmark = pytest.mark.anyio

WAYS = pytest.mark.parametrize("way", ["sync", "async"])

ARRIVES_S = 20


@pytest.fixture(scope="module")
def broker(one_rabbitmq):
    return one_rabbitmq.virtual_host("commands")


@pytest.fixture
async def queue(broker):
    """A queue that gets every command, and no other message."""
    async with await aio_pika.connect(broker.amqp_url) as connection, connection.channel() as channel:
        exchange = await channel.declare_exchange("prisma", aio_pika.ExchangeType.TOPIC, durable=True)
        made = await channel.declare_queue(exclusive=True)
        for key in ("*.roi", "roi", "*.caxis", "colormap", "keepalive", "*.input_changed", "monitor_queues", "odd"):
            await made.bind(exchange, key)
        yield made


async def arrived(queue, count):
    messages = []
    with anyio.fail_after(ARRIVES_S):
        async with queue.iterator(no_ack=True) as incoming:
            async for message in incoming:
                messages.append(message)
                if len(messages) == count:
                    return messages
    raise AssertionError(f"{len(messages)} of {count} messages arrived")


async def send(way, url, *commands, exchange="prisma"):
    """Send (method, arguments) by one of the two publishers."""

    def block():
        with FocusCommands(url, exchange) as publisher:
            for method, *arguments in commands:
                getattr(publisher, method)(*arguments)

    if way == "sync":
        await anyio.to_thread.run_sync(block)
        return
    async with AsyncFocusCommands(url, exchange) as publisher:
        for method, *arguments in commands:
            await getattr(publisher, method)(*arguments)


@WAYS
async def test_commands_arrive_persistent_under_their_keys(way, broker, queue):
    await send(
        way,
        broker.amqp_url,
        ("roi", 3, 9, "0-1"),
        ("roi", 0, 5),
        ("caxis", -10.5, 3, "2-77"),
        ("colormap", "viridis"),
        ("keepalive", "a test"),
        ("input_changed", {"prr": 1}, "0-1"),
        ("monitor_queues",),
        ("command", "odd", {"x": 1}),
        ("raw", "odd", b"\xff"),
    )
    messages = await arrived(queue, 9)
    assert [(m.routing_key, json.loads(m.body)) for m in messages[:-1]] == [
        ("0-1.roi", {"start": 3, "end": 9}),
        ("roi", {"start": 0, "end": 5}),
        ("2-77.caxis", {"min": -10.5, "max": 3}),
        ("colormap", {"colormap": "viridis"}),
        ("keepalive", {"source": "a test"}),
        ("0-1.input_changed", {"metadata": {"prr": 1}}),
        ("monitor_queues", {}),
        ("odd", {"x": 1}),
    ]
    assert messages[-1].body == b"\xff"
    assert {m.delivery_mode for m in messages} == {aio_pika.DeliveryMode.PERSISTENT}
    assert {m.content_type for m in messages} == {"application/json"}


@WAYS
async def test_a_command_that_no_queue_takes_did_nothing(way, broker, queue):
    with pytest.raises(Unreachable, match=r"nobody listens for the command nobody\.wants"):
        await send(way, broker.amqp_url, ("raw", "nobody.wants", b"{}"))


@WAYS
async def test_a_broker_that_is_not_there_is_named_without_its_password(way):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be used") as caught:
        await send(way, f"amqp://me:hush-hush@127.0.0.1:{port}/")
    assert "hush" not in str(caught.value)


@WAYS
async def test_an_exchange_that_is_not_there_is_said(way, broker):
    with pytest.raises(Unreachable, match="the exchange no-such of the broker"):
        await send(way, broker.amqp_url, exchange="no-such")


async def test_a_connection_that_breaks_off_leaves_the_outcome_unknown(broker):
    with line_to(broker) as line:
        async with AsyncFocusCommands(line.amqp_url) as publisher:

            def block():
                with FocusCommands(line.amqp_url) as blocking:
                    line.cut()
                    blocking.roi(1, 2)

            with pytest.raises(OutcomeUnknown, match="the command roi was sent"):
                await anyio.to_thread.run_sync(block)
            with pytest.raises(OutcomeUnknown, match="the command caxis was sent"):
                await publisher.caxis(1, 2)
