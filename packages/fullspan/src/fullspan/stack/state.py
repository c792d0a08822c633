"""The state of a running stack, on disk for everybody who wants to know; for the owner only, it holds addresses."""

import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fullspan.errors import StackError
from fullspan.stack.processes import look_up

__all__ = ["SCHEMA", "ComponentState", "LinkState", "ProcessState", "StackState", "read_state"]

SCHEMA: Final = 1

ComponentPhase = Literal["waiting", "starting", "ready", "hung", "stopping", "stopped", "killed", "died"]
StackPhase = Literal["starting", "ready", "stopping"]


class Part(BaseModel):
    """A part of the state; later minor additions are ignored by this reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ProcessState(Part):
    """A process by pid and start time (clock ticks since boot)."""

    pid: int
    start_time: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return look_up(self.pid, self.start_time) is not None


class ComponentState(Part):
    """One component; `detail` says how it ended, times are UTC in ns since 1970."""

    state: ComponentPhase
    pid: int | None = None
    start_time: int | None = None
    ports: dict[str, int] = {}
    log: str
    dir: str
    detail: str = ""
    limits: dict[str, float] = {}
    log_errors: list[str] = []
    log_allow: list[str] = []
    started_wall_ns: int | None = None
    ready_wall_ns: int | None = None


class LinkState(Part):
    """A link with a proxy: where it listens, and where it leads."""

    from_: str = Field(alias="from")
    to: str
    listen: tuple[str, int]
    upstream: tuple[str, int]


class StackState(Part):
    """The whole stack."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    name: str
    run_id: str
    project: str
    var: str
    file: str
    profile: str | None = None
    environment: str | None = None
    phase: StackPhase
    supervisor: ProcessState
    control: str
    components: dict[str, ComponentState]
    links: dict[str, LinkState] = {}
    endpoints: dict[str, str] = Field(default={}, repr=False)
    started_wall_ns: int

    @property
    def direct_endpoints(self) -> dict[str, str]:
        """The endpoints past the proxies, as a client finds them that knows the components' own ports."""
        found = dict(self.endpoints)
        for link in self.links.values():
            proxy, behind = (f"{host}:{port}" for host, port in (link.listen, link.upstream))
            found = {name: re.sub(rf"{re.escape(proxy)}(?![0-9])", behind, url) for name, url in found.items()}
        return found

    def write(self, path: Path) -> None:
        """Put the state in place at once: a reader sees the old or the new one, never a part."""
        new = path.with_suffix(".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(by_alias=True, indent=1))
        new.replace(path)


def read_state(path: Path) -> StackState | None:
    """Return the state, None when there is none; a StackError when it cannot be understood."""
    try:
        return StackState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        what = error.strerror if isinstance(error, OSError) else "another version of fullspan wrote it"
        raise StackError(
            f"The state file {path} cannot be read: {what}.", "End that stack with the other version."
        ) from error
