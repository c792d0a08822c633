"""Where commands wait on the broker: a queue for each job that lives, and one for all that belongs to none of them."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from aiormq.abc import ConsumerCallback

from focus_server.analyzer.commands.command import COMMANDS
from focus_server.analyzer.job import JobRecord
from focus_server.fiber.broker import EXCHANGE, BrokerConnection, Properties

OLDER_EXCHANGE: Final = "baby_analyzer_commands"
DEAD_EXCHANGE: Final = "prisma.dead"
_PREFETCH: Final = 20
_MOST_DEAD: Final = 1000
_AT_ONCE: Final = 5
"""Queues that are opened or deleted before commands are looked at again."""
_QUEUE: Final[dict[str, Any]] = {"x-expires": 60_000, "x-max-length": 1000}
_PERSISTENT: Final = 2


def queue_name(record: JobRecord) -> str:
    """Give the name of a job's queue; a job of the same id, from another state folder, has another one."""
    job_id = record.answer.job_id
    return f"grpc-job-{job_id}-{sha256(f'{job_id} {record.created.isoformat()}'.encode()).hexdigest()[:12]}"


def dead_queue(site: str) -> str:
    """Give the name of the queue for commands that were not obeyed."""
    return f"focus.dead-commands.{site}"


class Post:
    """The exchanges and queues of one site on an open connection; `take` gets each message.

    Commands come through an exchange of the site. What it has no job's queue for goes, by the broker itself, to its
    alternate exchange and the site's queue: so each command waits in exactly one, also while a job begins or ends.
    """

    def __init__(self, connection: BrokerConnection, site: str, take: ConsumerCallback) -> None:
        self._connection = connection
        self._site = site
        self._take = take
        self._open: dict[str, tuple[str, str]] = {}

    async def open(self) -> None:
        """Declare everything, and begin to read what belongs to no job's queue."""
        connection, commands = self._connection, f"focus.commands.{self._site}"
        rest = f"{commands}.rest"
        keys = [key for name in COMMANDS for key in (name, f"*.{name}")]
        await connection.declare_exchange(OLDER_EXCHANGE)
        await connection.declare_exchange(DEAD_EXCHANGE)
        await connection.declare_queue(
            dead_queue(self._site), {"x-max-length": _MOST_DEAD}, [(DEAD_EXCHANGE, f"{self._site}.#")]
        )
        await connection.declare_exchange(rest)
        await connection.declare_queue(commands, _QUEUE, [(rest, "#")])
        bindings = [(EXCHANGE, key) for key in keys] + [(OLDER_EXCHANGE, "#")]
        await connection.declare_exchange(commands, {"alternate-exchange": rest}, bindings)
        await connection.read(commands, _PREFETCH, self._take)

    async def match(self, records: Iterable[JobRecord]) -> None:
        """Open a queue for some of the jobs that have none, and delete some that have no job any more."""
        living = {record.answer.job_id: record for record in records}
        gone = [job_id for job_id in self._open if job_id not in living]
        for job_id in gone[:_AT_ONCE]:
            await self._connection.delete_queue(*self._open.pop(job_id))
        new = [job_id for job_id in living if job_id not in self._open]
        for job_id in new[:_AT_ONCE]:
            await self._begin(job_id, queue_name(living[job_id]))

    async def bury(self, key: str, exchange: str, body: bytes, reason: str, detail: str) -> None:
        """Lay a command aside, with the reason why it was not obeyed."""
        headers = {"schema": 1, "reason": reason, "detail": detail, "routing_key": key, "exchange": exchange}
        properties = Properties(content_type="application/json", delivery_mode=_PERSISTENT, headers=headers)
        await self._connection.publish(f"{self._site}.dead", body, properties, DEAD_EXCHANGE)

    async def _begin(self, job_id: str, queue: str) -> None:
        bindings = [(f"focus.commands.{self._site}", f"{job_id}.*"), (EXCHANGE, f"{job_id}.*")]
        await self._connection.declare_queue(queue, _QUEUE, bindings)
        self._open[job_id] = queue, await self._connection.read(queue, _PREFETCH, self._take)
