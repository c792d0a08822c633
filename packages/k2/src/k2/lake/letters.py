"""Records that are no rows, on their way to the dead letters of their topic."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaException, Producer

from k2.bus.kafka import connection, dead_letters_of
from k2.errors import BusError
from k2.lake.batch import Unusable
from k2.settings import BusSettings

__all__ = ["KafkaLetters"]

_SAFE_S: Final = 10.0


class KafkaLetters:
    """Lays records aside as they came, with where they stood and why in headers; safe when `put` returns.

    One that is laid aside twice, because the writer was stopped before its commit, has the same topic, partition and
    offset.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._where: Final = ",".join(settings.kafka_bootstrap)
        self._producer: Final = Producer(
            {**connection(settings), "acks": "all", "enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        )

    def put(self, unusable: Sequence[Unusable]) -> None:
        """Send them and wait until the broker has them. Raises BusError."""
        failed: list[str] = []

        def told(error: object, _: object) -> None:
            if error is not None:
                failed.append(str(error))

        try:
            for bad in unusable:
                message = bad.message
                headers = {
                    "source": "writer",
                    "topic": message.topic() or "",
                    "partition": str(message.partition()),
                    "offset": str(message.offset()),
                    "reason": bad.reason,
                    "sentence": bad.sentence,
                }
                self._producer.produce(
                    dead_letters_of(message.topic() or ""),
                    value=message.value(),
                    key=message.key(),
                    headers={name: text.encode() for name, text in headers.items()},
                    on_delivery=told,
                )
                self._producer.poll(0)
            left = self._producer.flush(_SAFE_S)
        except (KafkaException, BufferError) as error:
            raise BusError(f"Dead letters could not be laid aside at {self._where}: {error}.") from None
        if left or failed:
            raise BusError(f"Dead letters could not be laid aside at {self._where}: {failed or 'no answer'}.")
