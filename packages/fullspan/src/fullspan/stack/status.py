"""The state of a stack in words, and as JSON, for people and scripts: passwords are masked."""

import re
import time
from pathlib import Path
from typing import Any, Final

from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import ComponentState, StackState, read_state

__all__ = ["describe", "masked", "masked_state"]

_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def masked(address: str) -> str:
    """Return an address without its password."""
    return _PASSWORD.sub(r"\1***@", address)


def masked_state(folder: RunFolder) -> dict[str, Any] | None:
    """Return the state of a stack that is up, as JSON; None when it is not up."""
    state = read_state(folder.state)
    if state is None or not state.supervisor.alive:
        return None
    fields = state.model_dump(mode="json", by_alias=True)
    fields["endpoints"] = {name: masked(address) for name, address in state.endpoints.items()}
    for component in fields["components"].values():
        component["uptime_s"] = _uptime_s(component["state"], component["ready_wall_ns"])
    return fields


def describe(folder: RunFolder) -> str:
    """Return the state of a stack as a few lines."""
    state = read_state(folder.state)
    if state is None:
        return f"{folder.name}: not up"
    if not state.supervisor.alive:
        return (
            f"{folder.name}: its supervisor (pid {state.supervisor.pid}) has died; "
            f"`fullspan down {folder.name}` removes what is left"
        )
    profile = f", profile {state.profile}" if state.profile else ""
    profile += f", environment {Path(state.environment).stem}" if state.environment else ""
    age = _seconds(time.time_ns() - state.started_wall_ns)
    lines = [f"{state.name}: {state.phase}, began {age} ago (supervisor pid {state.supervisor.pid}{profile})"]
    lines += _table(["component", "state", "pid", "uptime", "ports", ""], _components(state))
    lines += _table(["link", "from", "to", "address"], _links(state)) if state.links else []
    addresses = [[name, masked(address)] for name, address in state.endpoints.items()]
    lines += _table(["endpoint", "address"], addresses) if addresses else []
    return "\n".join(lines)


def _components(state: StackState) -> list[list[str]]:
    return [
        [
            name,
            component.state,
            str(component.pid or "-"),
            _uptime(component),
            ", ".join(f"{port} {number}" for port, number in component.ports.items()) or "-",
            component.detail,
        ]
        for name, component in state.components.items()
    ]


def _links(state: StackState) -> list[list[str]]:
    return [[name, link.from_, link.to, f"{link.listen[0]}:{link.listen[1]}"] for name, link in state.links.items()]


def _uptime_s(phase: str, ready_wall_ns: int | None) -> float | None:
    """Return for how long a component has been ready, s."""
    up = phase in ("ready", "hung") and ready_wall_ns is not None
    return round((time.time_ns() - (ready_wall_ns or 0)) / 1e9, 1) if up else None


def _uptime(component: ComponentState) -> str:
    seconds = _uptime_s(component.state, component.ready_wall_ns)
    return "-" if seconds is None else _seconds(int(seconds * 1e9))


def _seconds(duration_ns: int) -> str:
    minutes, seconds = divmod(duration_ns // 10**9, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Return aligned columns with their heads."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return [
        ("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in ([head.upper() for head in heads], *rows)
    ]
