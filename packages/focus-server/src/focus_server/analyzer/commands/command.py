"""What a command says: its key names the job and the command, its body is JSON; anything else is refused by name."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from focus_server.contract import JOB_ID_PATTERN
from focus_server.contract.display import CAxis, ColorMap
from focus_server.contract.request import Number, Whole
from focus_server.errors import CommandError

MOST_BYTES: Final = 65_536
_JOB_ID: Final = re.compile(JOB_ID_PATTERN, re.ASCII)
_MOST_SHOWN: Final = 20
_LONGEST_SHOWN: Final = 100


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Roi(_Body):
    """Show these channels instead; numbers from 1, both included, and 0 is taken as 1."""

    start: Whole
    end: Whole

    @property
    def range(self) -> tuple[int, int]:
        """The channel numbers."""
        return self.start or 1, self.end or 1


class SetCAxis(_Body):
    """Let the colours begin and end at these levels, in dB."""

    min: Number
    max: Number

    @property
    def caxis(self) -> CAxis:
        """What the job's display then has."""
        if self.min >= self.max:
            raise CommandError("refused", f"min must be below max; they were {self.min:g} and {self.max:g}.")
        return CAxis(min=self.min, max=self.max)


class SetColorMap(_Body):
    """Draw with these colours."""

    colormap: ColorMap

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, body: object) -> object:
        """Take the bare name as well."""
        return {"colormap": body} if isinstance(body, str) else body


class KeepAlive(_Body):
    """Somebody still wants the job, although perhaps nobody watches."""

    source: Annotated[str, Field(min_length=1, max_length=256)]


class InputChanged(_Body):
    """What feeds the fibre is another input now, described by `metadata`."""

    metadata: dict[str, Any]

    @property
    def shown(self) -> list[str]:
        """Names out of the metadata, few and short enough for a log."""
        return [name[:_LONGEST_SHOWN] for name in list(self.metadata)[:_MOST_SHOWN]]


class MonitorQueues(_Body):
    """Say in the log how much waits for the job's viewers."""


Command = Roi | SetCAxis | SetColorMap | KeepAlive | InputChanged | MonitorQueues

COMMANDS: Final[dict[str, type[Command]]] = {
    "roi": Roi,
    "caxis": SetCAxis,
    "colormap": SetColorMap,
    "keepalive": KeepAlive,
    "input_changed": InputChanged,
    "monitor_queues": MonitorQueues,
}


@dataclass(frozen=True, slots=True)
class Addressed:
    """A command and the job that it is for; None for the one that lives."""

    name: str
    job_id: str | None
    command: Command


def read_command(key: str, body: bytes) -> Addressed:
    """Read a message. Raises `CommandError` with the reason why it is no command."""
    job_id, dot, name = key.rpartition(".")
    if name not in COMMANDS:
        raise CommandError("unknown-command", f"The key must end with one of {', '.join(COMMANDS)}.")
    if dot and _JOB_ID.fullmatch(job_id) is None:
        raise CommandError("unknown-job", "What stands before the command must be a job_id, as /configure gave it.")
    if len(body) > MOST_BYTES:
        raise CommandError("malformed", f"The body has {len(body)} bytes; a command has at most {MOST_BYTES}.")
    return Addressed(name, job_id or None, _read_body(name, body))


def _read_body(name: str, body: bytes) -> Command:
    model = COMMANDS[name]
    if model is MonitorQueues and not body.strip():
        return MonitorQueues()
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:_LONGEST_SHOWN] for part in first["loc"]) or "the body"
        what = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        raise CommandError("malformed", f"{where}: {what}. {_example(name)}") from None


def _example(name: str) -> str:
    return f"{name} takes for example {json.dumps(_EXAMPLES[name])}."


_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "roi": {"start": 100, "end": 200},
    "caxis": {"min": -60, "max": -20},
    "colormap": {"colormap": "viridis"},
    "keepalive": {"source": "desk 4"},
    "input_changed": {"metadata": {}},
    "monitor_queues": {},
}
