"""Where commands wait on the broker: a queue for each job that lives, and one for all that belongs to none of them."""

import time
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
_PATIENCE_S: Final = 10.0
"""How long a new queue lets what waits in the site's queue go first: a flood of what belongs to no job has no end."""
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
        self._commands = f"focus.commands.{site}"
        self._bound: dict[str, str] = {}
        self._read: dict[str, str] = {}
        self._patient_until_s: float | None = None

    async def open(self) -> None:
        """Declare everything, and begin to read what belongs to no job's queue."""
        connection, commands = self._connection, self._commands
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
        gone = [job_id for job_id in self._bound if job_id not in living]
        for job_id in gone[:_AT_ONCE]:
            await self._connection.delete_queue(self._bound.pop(job_id), self._read.pop(job_id, None))
        new = [job_id for job_id in living if job_id not in self._bound]
        for job_id in new[:_AT_ONCE]:
            await self._bind(job_id, queue_name(living[job_id]))
        unread = [job_id for job_id in self._bound if job_id not in self._read]
        if unread and await self._may_read():
            for job_id in unread[:_AT_ONCE]:
                self._read[job_id] = await self._connection.read(self._bound[job_id], _PREFETCH, self._take)

    async def bury(self, key: str, exchange: str, body: bytes, reason: str, detail: str) -> None:
        """Lay a command aside, with the reason why it was not obeyed."""
        why = {"reason": reason, "detail": detail, "routing_key": key, "exchange": exchange}
        headers: dict[str, Any] = {"schema": 1, **why}
        properties = Properties(content_type="application/json", delivery_mode=_PERSISTENT, headers=headers)
        await self._connection.publish(f"{self._site}.dead", body, properties, DEAD_EXCHANGE)

    async def _bind(self, job_id: str, queue: str) -> None:
        bindings = [(self._commands, f"{job_id}.*"), (EXCHANGE, f"{job_id}.*")]
        await self._connection.declare_queue(queue, _QUEUE, bindings)
        self._bound[job_id] = queue

    async def _may_read(self) -> bool:
        """Tell whether what came for a job before it had a queue has been taken, so that the order is kept."""
        now_s = time.monotonic()
        self._patient_until_s = self._patient_until_s or now_s + _PATIENCE_S
        if now_s < self._patient_until_s and await self._connection.waiting(self._commands):
            return False
        self._patient_until_s = None
        return True
