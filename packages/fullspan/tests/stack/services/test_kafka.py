"""A real Kafka: everything below its folder, nobody without a password where there is one, nothing left."""

import secrets
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from fullspan.errors import StackError, UsageError
from fullspan.faults import Question
from fullspan.stack.probes import NotReady, Probe
from fullspan.stack.probes.kafka import KafkaProbe
from fullspan.stack.services.kafka import Kafka, Listener, check_installed
from fullspan.stack.services.kafka_home import KafkaHome
from fullspan.stack.services.kafka_jars import fetch
from fullspan.testing import check_probe, running_kafka

NO_LOG = Path("/dev/null")


def options(broker, **more):
    return {"bootstrap.servers": broker.bootstrap, "log_level": 0, **more}


def topic_on(broker, name, **more):
    admin = AdminClient(options(broker, **more))
    for made in admin.create_topics([NewTopic(name, 1, 1)]).values():
        made.result(30)
    return name


def send(broker, topic, values, **more):
    failed = []
    producer = Producer(options(broker, **{"enable.idempotence": True, **more}))
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _message: error and failed.append(error))
    assert (producer.flush(30), failed) == (0, [])


def read(broker, topic, count, **more):
    consumer = Consumer(options(broker, **{"group.id": "test", "auto.offset.reset": "earliest", **more}))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = []
        while len(found) < count:
            batch = consumer.consume(count - len(found), 30)
            assert batch, f"{len(found)} of {count} came"
            found += [message.value() for message in batch]
        return found
    finally:
        consumer.close()


@pytest.mark.anyio
@pytest.mark.soak
async def test_a_broker_with_a_login_from_start_to_end(tmp_path: Path):
    with running_kafka(tmp_path / "broker", auth=True) as broker:
        password = broker.url.split(":")[2].split("@")[0]
        login = {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "test",
            "sasl.password": password,
        }
        topic = topic_on(broker, "kept", **login)
        written = [secrets.token_bytes(100) for _ in range(1000)]
        send(broker, topic, written, **login)
        with pytest.raises(KafkaException):
            AdminClient(options(broker)).list_topics(timeout=1)
        with pytest.raises(NotReady):
            await KafkaProbe(broker.url.replace(password, password[:-1] + "x"), NO_LOG, 0).check()
        for process in broker.processes():
            seen = psutil.Process(process.pid)
            assert password not in " ".join(seen.cmdline())
            for connection in seen.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1"), "only this machine"
        assert (broker.folder / "server.properties").stat().st_mode & 0o777 == 0o600

        question = Question.of_url(broker.url, {broker.port: broker.port})
        assert question is not None
        assert question.until_answered(10).detail == "a Kafka greeting came"
        broker.hang()
        with question.ask() as asked:
            assert asked.answer(0.3).detail.startswith("no answer: a Kafka greeting was awaited for")
        broker.resume()
        assert question.until_answered(10).seen

        broker.kill()
        assert broker.processes() == []

        async def start() -> None:
            broker.start()

        await check_probe(KafkaProbe(broker.url, NO_LOG, 0), start)
        assert read(broker, topic, 1000, **login) == written, "what was confirmed outlives kill -9"


def test_clients_are_told_the_port_of_the_proxy(tmp_path: Path):
    """Without that they would go round it after their first question."""
    kafka = Kafka(tmp_path, (Listener.parse("1234:4321"), Listener.parse("1235")))
    kafka.write_properties()
    found = dict(line.split("=", 1) for line in kafka.properties.read_text().splitlines())
    assert "CLIENT0://127.0.0.1:1234" in found["listeners"].split(",")
    assert "CLIENT1://127.0.0.1:1235" in found["listeners"].split(",")
    assert "CLIENT0://127.0.0.1:4321" in found["advertised.listeners"].split(",")
    assert "CLIENT1://127.0.0.1:1235" in found["advertised.listeners"].split(",")


@pytest.mark.parametrize("text", ["", "x", "0", "1:70000", "1:2:3"])
def test_a_listener_that_cannot_be_meant(text):
    with pytest.raises(UsageError, match="no listener"):
        Listener.parse(text)


@pytest.mark.parametrize("target", ["", "127.0.0.1:9092", "kafka://127.0.0.1", "amqp://127.0.0.1:1"])
def test_a_probe_without_an_address(target):
    with pytest.raises(UsageError, match="no address"):
        KafkaProbe(target, NO_LOG, 0)


def test_a_probe_says_no_secret():
    probe: Probe = KafkaProbe("kafka://user:hidden@127.0.0.1:1", NO_LOG, 0)
    assert probe.waits_for == "the cluster at kafka://127.0.0.1:1"


def test_without_kafka_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(StackError, match="no Kafka jars"):
        check_installed()
    monkeypatch.delenv("KAFKA_HOME")
    with pytest.raises(StackError, match="not installed") as missing:
        KafkaHome.find()
    assert "make kafka" in missing.value.remedy
    (tmp_path / "var/kafka/libs").mkdir(parents=True)
    (tmp_path / "var/kafka/libs/kafka_2.13-4.1.1.jar").touch()
    inside = tmp_path / "var/run/k2/components/kafka"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert KafkaHome.find().jars == tmp_path / "var/kafka/libs"


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    maven = tmp_path / "mvn"
    maven.write_text('#!/bin/sh\nfor word; do case $word in -DoutputDirectory=*) mkdir -p "${word#*=}";; esac; done\n'
                     'echo "the network is away"; exit 1\n')  # fmt: skip
    maven.chmod(0o755)
    monkeypatch.setenv("FULLSPAN_MAVEN_EXECUTABLE", str(maven))
    with pytest.raises(StackError, match="the network is away"):
        fetch(tmp_path / "var")
    assert list((tmp_path / "var/kafka").iterdir()) == []
