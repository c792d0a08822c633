"""How a client names a job: by its job_id, or by the task_id of the older form that it was made for."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from focus_server.contract import JOB_ID_PATTERN, Refusal, is_task_id, task_key
from focus_server.jobs import Orchestrator

T = TypeVar("T")

_JOB_ID: Final = re.compile(JOB_ID_PATTERN, re.ASCII)


def is_job_id(name: str) -> bool:
    """Tell whether a name can be a job's."""
    return _JOB_ID.fullmatch(name) is not None


def known(job_id: str) -> str:
    """Let only through what can be a job; the rest never reaches the analyzer."""
    if not is_job_id(job_id):
        raise _unknown()
    return job_id


async def by_name(orchestrator: Orchestrator, name: str, act: Callable[[str], Awaitable[T]]) -> T:
    """Do something with the job that a name means; `act` gets its job_id.

    What can be a job_id is taken as one first, and no lookup is made while such a job lives. Raises `Refusal` 404.
    """
    unknown = _unknown()
    if is_job_id(name):
        try:
            return await act(name)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            unknown = refusal
    if is_task_id(name):
        found = (await orchestrator.jobs(task_key(name))).jobs
        if found:
            return await act(found[-1].job_id)
    raise unknown


def _unknown() -> Refusal:
    detail = "A job_id is the window, a hyphen and the serial, as /configure gave it; a task_id that of /config."
    return Refusal(404, "Invalid job_id", detail)
