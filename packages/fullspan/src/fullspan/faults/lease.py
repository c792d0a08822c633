"""A stack as a fault sees it: what a fault does to it is undone by the stack itself when whoever did it is gone."""

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from fullspan.errors import StackError, UsageError, nearest
from fullspan.faults.question import Question
from fullspan.stack.handle import Stack
from fullspan.stack.processes import Process
from fullspan.stack.proxy import CLEAR, Counters, Toxics
from fullspan.stack.state import ComponentState

__all__ = ["LeasedStack"]

_GRANT_S: Final = 10.0


class LeasedStack:
    """Acts under one lease, which lasts until `close`, or until this process ends in whatever way."""

    def __init__(self, stack: Stack) -> None:
        from fullspan.stack.control_client import HTTPError, Timeout

        self._stack = stack
        self._open = contextlib.ExitStack()
        self._layers: set[str] = set()
        try:
            # The answer is never read to its end: it is the connection that is the lease.
            answer = self._open.enter_context(
                stack.control.stream("POST", "/leases", timeout=Timeout(_GRANT_S, read=_GRANT_S))
            )
            self._lines = answer.iter_lines()
            self._lease = str(json.loads(next(self._lines))["lease"])
        except (HTTPError, StopIteration, ValueError, KeyError) as error:
            self._open.close()
            raise StackError(
                f"Stack {stack.name!r} granted no lease ({error or type(error).__name__}).",
                "Without one a run that dies would leave its faults behind; is its supervisor alive?",
            ) from error

    def check_component(self, component: str) -> None:
        """Raise UsageError with the nearest name unless there is such a component."""
        self._stack.component(component)

    def check_link(self, link: str) -> None:
        """Raise UsageError with the nearest name unless there is such a link, and a proxy on it."""
        links = self._stack.links
        if link not in links:
            raise UsageError(f"The stack has no link {link!r} with a proxy.", nearest(link, links))

    def processes(self, component: str) -> list[Process]:
        """Return the living processes of a component."""
        return self._stack.component(component).processes()

    def ending(self, component: str) -> str:
        """Return how a component that is down has ended, in words."""
        return self._stack.components[component].detail.removeprefix("ended ")

    def act(self, component: str, verb: str) -> None:
        """Hang, resume, kill, stop or start a component; returns when it is so."""
        self._stack.call("POST", f"/components/{component}/{verb}", lease=self._lease)

    def component(self, component: str) -> ComponentState:
        """Return what the supervisor knows of a component, now."""
        return self._stack.components[component]

    @property
    def folder(self) -> Path:
        """The folder in which the run keeps its state."""
        return self._stack.events().parent

    def begin_shortage(self, component: str, kind: str, amounts: Mapping[str, object]) -> None:
        """Make a component short of something; returns when it is."""
        self._stack.call("PUT", f"/components/{component}/shortages/{kind}", json=dict(amounts), lease=self._lease)

    def end_shortage(self, component: str, kind: str) -> None:
        """Give it back; a component that has died meanwhile is started again."""
        self._stack.call("DELETE", f"/components/{component}/shortages/{kind}", lease=self._lease)

    def shortages(self, component: str) -> dict[str, dict[str, float]]:
        """Return what a component is short of, by kind, and what that has done so far."""
        found: dict[str, dict[str, float]] = self._stack.call("GET", f"/components/{component}/shortages")
        return found

    def links_of(self, component: str) -> list[str]:
        """Return the links with a proxy that begin or end at a component."""
        return [
            name
            for name, link in self._stack.links.items()
            if component in (link.from_, link.to.partition(".")[0])
        ]  # fmt: skip

    def new_layer(self, kind: str) -> str:
        """Return a name under which a link can be made bad on top of what else holds on it."""
        layer = f"{kind}.{secrets.token_hex(4)}"
        self._layers.add(layer)
        return layer

    def set_toxics(self, link: str, toxics: Toxics, layer: str) -> None:
        """Make a link bad, under a name of `new_layer`."""
        self._stack.call("PUT", f"/links/{link}/toxics/{layer}", json=asdict(toxics), lease=self._lease)

    def clear_toxics(self, link: str, layer: str) -> None:
        """Take one layer from a link."""
        self._stack.call("DELETE", f"/links/{link}/toxics/{layer}", lease=self._lease)

    def layers(self, link: str) -> list[str]:
        """Return the names of what is asked of a link at present; "" is somebody who asked for the link as a whole."""
        return [name for name, toxics in self._look(link)["layers"].items() if Toxics(**toxics) != CLEAR]

    def is_bad_otherwise(self, link: str) -> bool:
        """Tell whether somebody else has made a link bad."""
        return bool(set(self.layers(link)) - self._layers)

    def counters(self, link: str) -> Counters:
        """Return the counters of a link."""
        return Counters(**self._look(link)["counters"])

    def _look(self, link: str) -> Any:
        return self._stack.call("GET", f"/links/{link}")

    def question(self, component: str) -> Question | None:
        """Return a question that the component answers on its own port, past any proxy; None if none is known.

        Which one suits is told by the endpoints that lead to the component, else by the names of its ports.
        """
        state = self._stack.state
        ports = state.components[component].ports
        own = {f"{component}.{name}": port for name, port in ports.items()}
        leads_to = {link.listen[1]: own[link.to] for link in state.links.values() if link.to in own}
        leads_to |= {port: port for port in own.values()}
        known = [Question.of_url(url, leads_to) for url in state.endpoints.values()]
        known += [Question.of_url(f"{name}://127.0.0.1:{port}/", leads_to) for name, port in ports.items()]
        return next((question for question in known if question is not None), None)

    def close(self) -> None:
        """Give the lease back: the stack heals what is still broken."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
