"""The faults that a live picture has to survive, on a real broker; what they claim is seen by a client of its own."""

import asyncio
import select
import socket
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import aio_pika
import pytest

from fullspan.amqp import connect
from fullspan.faults import Faults, FewHandles, Hang, Kill, Latency, LittleCpu, Partition
from fullspan.stack.bring_up import open_stack
from fullspan.stack.processes import RUN_TAG, tagged
from fullspan.timeline import Timeline
from fullspan.verdict import Verdict

STACK = """
schema: fullspan/stack/1
name: broker
secrets: {password: random}
components:
  rabbitmq:
    run: ["${python}", -m, fullspan.stack.services.rabbitmq, --folder, "${self.dir}",
          --amqp-port, "${self.amqp}", --management-port, "${self.management}"]
    env: {FULLSPAN_RABBITMQ_USER: tester, FULLSPAN_RABBITMQ_PASSWORD: "${secret.password}"}
    ports: {amqp: {}, management: {}}
    ready: {amqp: "amqp://tester:${secret.password}@127.0.0.1:${self.amqp}/", timeout_s: 60}
    stop: {timeout_s: 3}
links:
  suite-broker: {from: suite, to: rabbitmq.amqp, proxy: true}
endpoints:
  rabbitmq.amqp: "amqp://tester:${secret.password}@127.0.0.1:${rabbitmq.amqp}/"
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broker")
    file = folder / "stacks" / "broker.yaml"
    file.parent.mkdir()
    file.write_text(textwrap.dedent(STACK))
    events = []
    with open_stack(str(file), on_event=events.append) as stack:
        yield stack
    assert tagged(RUN_TAG, stack.run_id) == []
    said = [event.what for event in events if event.attributes.get("state") == "stopped"]
    assert said[-1].startswith("rabbitmq: stopped after"), "it went by itself"
    assert not [event.what for event in events if event.what.startswith("killed what else")]


@pytest.fixture
def broken(broker, tmp_path):
    with Faults(broker, Timeline(tmp_path / "timeline.jsonl")) as faults:
        yield faults


def publish_s(url, within_s):
    """How long a confirmed publish on a new connection takes."""

    async def publish():
        began = time.monotonic()
        async with asyncio.timeout(within_s):
            connection = await connect(url)
            async with connection:
                channel = await connection.channel()
                await channel.default_exchange.publish(aio_pika.Message(b"x"), "amq.rabbitmq.nowhere", mandatory=False)
        return time.monotonic() - began

    return asyncio.run(publish())


def can_publish(url, within_s):
    try:
        publish_s(url, within_s)
    except (TimeoutError, OSError, aio_pika.exceptions.AMQPError):
        return False
    return True


def test_a_broker_that_hangs_for_five_seconds_answers_again(broker, broken):
    url = broker.endpoint("rabbitmq.amqp")
    assert can_publish(url, 5)
    before = time.monotonic_ns()
    with broken.active(Hang("rabbitmq")):
        began = time.monotonic()
        processes = broker.component("rabbitmq").processes()
        assert len(processes) > 1
        assert {process.state for process in processes} == {"T"}
        assert not can_publish(url, 5 - (time.monotonic() - began))
        assert {process.state for process in broker.component("rabbitmq").processes()} == {"T"}
    (evidence,) = broken.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert before < evidence.injected_mono_ns
    assert evidence.healed_mono_ns < time.monotonic_ns()
    assert evidence.healed_mono_ns - evidence.injected_mono_ns > 4.9e9
    assert "no answer: an AMQP greeting was awaited for" in evidence.bit_detail
    assert evidence.recovery_s < 2
    assert can_publish(url, 5)


@pytest.mark.soak
def test_a_broker_that_is_killed_comes_back_on_its_ports(broker, broken):
    url = broker.endpoint("rabbitmq.amqp")
    with broken.active(Kill("rabbitmq")):
        assert not can_publish(url, 2)
    (evidence,) = broken.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert "an AMQP greeting was refused" in evidence.bit_detail
    assert 1 < evidence.recovery_s < 60
    assert can_publish(url, 5)


@contextmanager
def publishing(url):
    """Keep publishing beside the block."""
    over = threading.Event()

    def publish():
        while not over.is_set():
            publish_s(url, 20)

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(publish)
        try:
            yield
        finally:
            over.set()
        going.result()


def test_latency_reaches_the_clients_of_a_broker(broker, broken):
    url = broker.endpoint("rabbitmq.amqp")
    before = publish_s(url, 5)
    with publishing(url):
        with broken.active(Latency("suite-broker", ms=50)):
            slow = publish_s(url, 20)
        (evidence,) = broken.evidence
    # Logging in and one publish take at least four round trips of 2 x 50 ms.
    assert slow > before + 0.4
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert "bytes were delayed" in evidence.bit_detail
    assert publish_s(url, 5) < slow - 0.4


def test_a_broker_without_handles_takes_nobody_and_then_everybody(broker, broken):
    """A few may still get in on handles that others have given back since; then nobody is, until it is over."""
    url = broker.endpoint("rabbitmq.amqp")
    port = broker.components["rabbitmq"].ports["amqp"]
    with ExitStack() as connected, broken.active(FewHandles("rabbitmq")):
        for _ in range(20):
            client = connected.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.sendall(b"AMQP\x00\x00\x09\x01")
            # No answer in a second may be no more than a slow one; nobody else may get in either.
            if not select.select([client], [], [], 1)[0] and not can_publish(url, 1):
                break
        else:
            pytest.fail("20 more clients were let in")
    (evidence,) = broken.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert can_publish(url, 5)


def test_a_broker_with_a_tenth_of_a_processor_is_slow_and_recovers(broker, broken):
    url = broker.endpoint("rabbitmq.amqp")
    with broken.active(LittleCpu("rabbitmq", share=0.1)):
        slow = sum(publish_s(url, 30) for _ in range(5))
    (evidence,) = broken.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    # To log in and to publish takes the broker several turns, and between two of them it stands still for 90 ms.
    assert slow > 0.35
    assert can_publish(url, 5)


def test_a_client_of_a_broker_outlives_a_partition(broker, broken):
    """Nothing is sent twice or reset: the confirmation that was cut off comes when the cable is whole again."""
    url = broker.endpoint("rabbitmq.amqp")

    async def publish_into_partition():
        connection = await connect(url)
        async with connection:
            channel = await connection.channel()
            await channel.default_exchange.publish(aio_pika.Message(b"before"), "nowhere", mandatory=False)
            with broken.active(Partition("suite-broker")):
                message = aio_pika.Message(b"into the partition")
                publish = asyncio.create_task(channel.default_exchange.publish(message, "nowhere", mandatory=False))
                done, _ = await asyncio.wait({publish}, timeout=0.5)
                assert not done
            async with asyncio.timeout(10):
                await publish

    asyncio.run(publish_into_partition())
    (evidence,) = broken.evidence
    assert evidence.verdict is Verdict.PASS, evidence.reason
    assert evidence.bit_detail.endswith("packets were dropped by the kernel")
