"""The probe that is content when a Kafka broker lets us in and knows its cluster: port, login and metadata together."""

import asyncio
from typing import Final
from urllib.parse import unquote, urlsplit

from fullspan.errors import UsageError
from fullspan.stack.probes.base import NotReady, Probe
from fullspan.stack.probes.connect import open_stream

__all__ = ["KafkaProbe"]

_ANSWER_S: Final = 2.0


class KafkaProbe(Probe):
    """`kafka: kafka://HOST:PORT`, or with USER:PASSWORD@ for SASL; asks for the cluster's brokers."""

    kind = "kafka"

    @property
    def waits_for(self) -> str:
        """The address without user and password."""
        return f"the cluster at kafka://{self._url.hostname}:{self._url.port}"

    def parse(self) -> None:
        """Check that the target is the address of a broker."""
        self._url = urlsplit(self.target)
        if self._url.scheme != "kafka" or not self._url.hostname or not self._url.port:
            raise UsageError("The probe `kafka` has no address.", "Write kafka://HOST:PORT.")

    async def check(self) -> None:
        """Connect, log in, and ask."""
        # The port alone first: nearly all of a broker's start passes before it listens.
        _, writer = await open_stream(str(self._url.hostname), self._url.port or 0)
        writer.close()
        await asyncio.to_thread(self._ask)

    def _ask(self) -> None:
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError:
            raise UsageError("The probe `kafka` needs confluent-kafka.", "pip install 'fullspan[kafka]'.") from None
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": f"{self._url.hostname}:{self._url.port}",
            "log_level": 0,
        }
        if self._url.username:
            options |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": unquote(self._url.username),
                "sasl.password": unquote(self._url.password or ""),
            }
        try:
            found = AdminClient(options).list_topics(timeout=_ANSWER_S)
        except KafkaException as error:
            raise NotReady(str(error.args[0].str())) from None
        if not found.brokers or found.controller_id < 0:
            raise NotReady("the cluster has no controller yet")
