"""How the programs reach Kafka: the library's options from our settings, and topics, made when they are missing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from k2.errors import BusError

if TYPE_CHECKING:
    from k2.settings import BusSettings

__all__ = ["connection", "dead_letters_of", "ensure_topics"]

_ANSWER_S: Final = 10.0


def connection(settings: "BusSettings") -> dict[str, str | int | bool]:
    """Return what every client of confluent-kafka needs to connect; the values hold the password when there is one."""
    options: dict[str, str | int | bool] = {
        "bootstrap.servers": ",".join(settings.kafka_bootstrap),
        "security.protocol": settings.kafka_security,
        "socket.keepalive.enable": True,
        # A broker that was restarted is found again soon.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "allow.auto.create.topics": False,
    }
    if settings.kafka_ca is not None:
        options["ssl.ca.location"] = str(settings.kafka_ca)
    if settings.kafka_username is not None and settings.kafka_password is not None:
        options["sasl.mechanism"] = settings.kafka_mechanism
        options["sasl.username"] = settings.kafka_username
        options["sasl.password"] = settings.kafka_password.get_secret_value()
    return options


def dead_letters_of(topic: str) -> str:
    """Return the topic that takes what cannot be used of another one."""
    return f"{topic}.dlq"


def ensure_topics(
    settings: "BusSettings", topics: Sequence[str], options: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """Make the topics that are missing, with the settings' partitions; those that exist stay as they are.

    `options` are the broker's own options per topic. Several programs may do this at once. Raises BusError.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    client = AdminClient({**connection(settings), "log_level": 0})
    wanted = [
        NewTopic(
            topic,
            num_partitions=settings.partitions,
            replication_factor=settings.replication,
            config=dict((options or {}).get(topic, {})),
        )
        for topic in topics
    ]
    for topic, made in client.create_topics(wanted, request_timeout=_ANSWER_S).items():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BusError(
                    f"Kafka at {','.join(settings.kafka_bootstrap)} did not make the topic {topic}: "
                    f"{error.args[0].str()}."
                ) from None
