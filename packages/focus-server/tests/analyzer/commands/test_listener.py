"""Commands through a real broker: from both exchanges, in order, laid aside with a reason, in queues of the jobs."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

import aio_pika
import httpx
import numpy as np
import pytest

from focus_server.analyzer.commands import CommandListener
from focus_server.analyzer.commands.command import MOST_BYTES
from focus_server.analyzer.commands.orders import Orders
from focus_server.analyzer.commands.post import queue_name
from focus_server.fiber.broker import BrokerAddress

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.random.default_rng(8).normal(0, 2000, (5, 4000)).astype(np.int16))


@dataclass
class Sender:
    """Publishes commands, and reads what was laid aside."""

    channel: Any
    exchanges: dict
    site: str

    async def send(self, key, body=b"{}", exchange="prisma"):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = aio_pika.Message(content, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.exchanges[exchange].publish(message, key, mandatory=False)

    async def dead(self):
        """The oldest dead letter that was not read yet: its headers and body; None when there is none."""
        queue = await self.channel.get_queue(f"focus.dead-commands.{self.site}")
        message = await queue.get(no_ack=True, fail=False)
        return message and (message.headers, message.body)


@pytest.fixture
async def sender(rabbitmq, unused_site):
    async with await aio_pika.connect(rabbitmq.amqp_url, timeout=60) as connection:
        channel = await connection.channel()
        kinds = {
            name: await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
            for name in ("prisma", "baby_analyzer_commands")
        }
        yield Sender(channel, kinds, unused_site)


@pytest.fixture
async def management(rabbitmq):
    async with httpx.AsyncClient(base_url=rabbitmq.management_url, timeout=60) as client:
        yield client


@pytest.fixture
async def queues(management):
    """The queues whose names begin so: await queues(prefix)."""

    async def find(prefix):
        response = await management.get("/api/queues", params={"disable_stats": "true", "enable_queue_totals": "true"})
        assert response.status_code == 200, response.text
        return {queue["name"]: queue for queue in response.json() if queue["name"].startswith(prefix)}

    return find


@pytest.fixture
async def listening(bench, fibre, rabbitmq, unused_site, until, queues, sender):
    """A bench that has a fibre and obeys the commands of an unused site."""
    made = await bench()
    made.announce(fibre)
    made.give(*fibre.blocks())
    orders = Orders(made.jobs, made.feed, 1.0)
    listener = CommandListener(BrokerAddress(rabbitmq.amqp_url), unused_site, made.jobs, orders)
    running = asyncio.create_task(listener.run())
    try:
        await until(lambda: read(sender, queues, f"focus.commands.{unused_site}"), "commands are read")
        yield made
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def read(sender, queues, name):
    """Whether a queue has a reader, which it gets when everything else is declared."""
    if name not in await queues(name):
        return False
    queue = await sender.channel.get_queue(name, ensure=True)
    return queue.declaration_result.consumer_count > 0


def shown(made, answer):
    record = made.jobs.get(answer["job_id"]).record
    display = record.answer.metadata.display
    return (record.channels.min, record.channels.max), display.colormap, display.caxis and display.caxis.max


async def test_both_exchanges_are_heard_with_and_without_job_id(listening, sender, until):
    answer = await listening.create(channels=(1, 2))
    await sender.send("colormap", {"colormap": "jet"})
    await until(lambda: shown(listening, answer)[1] == "jet", "colormap")
    await sender.send(f"{answer['job_id']}.roi", {"start": 3, "end": 5}, "baby_analyzer_commands")
    await until(lambda: shown(listening, answer)[0] == (3, 5), "roi")
    await sender.send("caxis", {"min": -60, "max": -20}, "baby_analyzer_commands")
    await until(lambda: shown(listening, answer)[2] == -20, "caxis")
    await sender.send(f"{answer['job_id']}.colormap", {"colormap": "viridis"})
    await until(lambda: shown(listening, answer)[1] == "viridis", "colormap again")
    assert await sender.dead() is None


async def test_a_job_has_a_queue_of_its_own_that_ends_with_it(listening, queues, until):
    answers = [await listening.create(), await listening.create()]
    first, second = (queue_name(listening.jobs.get(answer["job_id"]).record) for answer in answers)
    assert first.startswith(f"grpc-job-{answers[0]['job_id']}-")

    async def both():
        return {first, second} <= (await queues("grpc-job-")).keys()

    await until(both, "both jobs have their queue")
    listening.jobs.cancel(answers[0]["job_id"])

    async def first_gone():
        return not await queues(first)

    await until(first_gone, "the queue of the cancelled job is gone")
    assert len(await queues(second)) == 1


async def test_commands_to_one_job_keep_their_order_while_its_queue_is_opened(
    listening, sender, until, queues, monkeypatch
):
    """More of them come before the job has its queue than are on their way at once, and others when it has."""
    change, obeyed, gates = listening.jobs.change, [], [asyncio.Event(), asyncio.Event()]

    async def held_up(job, record):
        obeyed.append(record.answer.metadata.display.caxis.max)
        if len(obeyed) <= 2:
            await gates[len(obeyed) - 1].wait()
        await change(job, record)

    monkeypatch.setattr(listening.jobs, "change", held_up)

    async def send(answer, first, end):
        for number in range(first, end):
            await sender.send(f"{answer['job_id']}.caxis", {"min": -200, "max": number})

    await send(await listening.create(), -1, 0)
    await until(lambda: obeyed == [-1], "the first command is being obeyed")
    answer = await listening.create()
    own = queue_name(listening.jobs.get(answer["job_id"]).record)
    await send(answer, 0, 60)
    gates[0].set()

    async def own_queue():
        return len(obeyed) == 2 and await queues(own)

    await until(own_queue, "the job has its queue and its first command is being obeyed")
    await send(answer, 60, 80)
    gates[1].set()
    await until(lambda: len(obeyed) == 81, "all commands are obeyed")
    assert obeyed == list(range(-1, 80))


async def test_every_bad_command_is_laid_aside_with_its_reason(listening, sender, until, unused_site, queues):
    async def dead_after(key, body, exchange="prisma"):
        await sender.send(key, body, exchange)
        headers, content = await until(sender.dead, f"{key} is laid aside")
        assert (headers["schema"], headers["routing_key"], headers["exchange"]) == (1, key, exchange)
        assert content == body[:MOST_BYTES]
        assert headers["detail"]
        return headers["reason"]

    assert await dead_after("roi", b'{"start": 1, "end": 2}') == "ambiguous"
    answer = await listening.create(channels=(1, 2))
    mine = answer["job_id"]
    before = shown(listening, answer)
    assert await dead_after("9-99.roi", b'{"start": 1, "end": 2}') == "unknown-job"
    assert await dead_after("nobody.roi", b'{"start": 1, "end": 2}') == "unknown-job"
    assert await dead_after("zoom", b"{}", "baby_analyzer_commands") == "unknown-command"
    assert await dead_after("a.b.c", b"", "baby_analyzer_commands") == "unknown-command"
    assert await dead_after(f"{mine}.roi", b"{") == "malformed"
    assert await dead_after(f"{mine}.roi", b"\xff\x00" * MOST_BYTES) == "malformed"
    assert await dead_after(f"{mine}.roi", b'{"start": 2, "end": 6}', "baby_analyzer_commands") == "refused"
    assert await dead_after(f"{mine}.caxis", b'{"min": 2, "max": 1}') == "refused"
    assert await dead_after("colormap", b'{"colormap": "hot"}') == "malformed"

    async def own_queue():
        return await queues(queue_name(listening.jobs.get(mine).record))

    await until(own_queue, "the job has its queue")
    assert await dead_after(f"{mine}.zoom", b"{}") == "unknown-command"
    await listening.create()
    assert await dead_after("colormap", b'{"colormap": "jet"}') == "ambiguous"
    assert shown(listening, answer) == before
    (queue,) = (await queues(f"focus.dead-commands.{unused_site}")).values()
    assert (queue["durable"], queue["arguments"]) == (True, {"x-max-length": 1000})


async def test_a_defect_in_obeying_one_command_ends_no_other(listening, sender, until, monkeypatch):
    answer = await listening.create()
    keep_alive, failed = type(listening.jobs.get(answer["job_id"])).keep_alive, []

    def fail_once(job, now_s):
        if not failed:
            failed.append(now_s)
            raise ZeroDivisionError("planted")
        keep_alive(job, now_s)

    monkeypatch.setattr(type(listening.jobs.get(answer["job_id"])), "keep_alive", fail_once)
    await sender.send("keepalive", {"source": "a test"})
    headers, _ = await until(sender.dead, "it is laid aside")
    assert (headers["reason"], "planted" in headers["detail"]) == ("failed", False)
    before = listening.jobs.get(answer["job_id"]).last_activity
    await sender.send("keepalive", {"source": "a test"})
    await until(lambda: listening.jobs.get(answer["job_id"]).last_activity > before, "the next one is obeyed")


async def test_after_a_lost_connection_commands_that_waited_are_obeyed(
    listening, sender, until, management, queues, unused_site
):
    """The broker cuts every connection but that of this test."""
    answer = await listening.create()

    async def own_queue():
        return await queues(queue_name(listening.jobs.get(answer["job_id"]).record))

    await until(own_queue, "the job has its queue")

    async def commands_connection():
        found = (await management.get("/api/consumers")).json()
        names = {consumer["queue"]["name"]: consumer["channel_details"] for consumer in found}
        details = names.get(f"focus.commands.{unused_site}")
        return details and details.get("connection_name")

    name = await until(commands_connection, "the broker tells its connections")
    assert (await management.delete(f"/api/connections/{name}")).status_code == 204
    await sender.send(f"{answer['job_id']}.colormap", {"colormap": "jet"})
    await sender.send(f"{answer['job_id']}.caxis", {"min": -60, "max": -20})
    await until(lambda: shown(listening, answer)[1:] == ("jet", -20), "both are obeyed")


async def test_announcements_are_no_commands_whatever_the_site_is_called(listening, sender, until):
    answer = await listening.create()
    await sender.send("metadata.roi", b'{"start": 5, "end": 5}')
    await sender.send("colormap", {"colormap": "jet"})
    await until(lambda: shown(listening, answer) == ((1, 1), "jet", None), "what came after it is obeyed")
    assert await sender.dead() is None
