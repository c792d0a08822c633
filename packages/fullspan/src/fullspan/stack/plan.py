"""What one bring-up will do: the stack file with its ports chosen, its secrets made and its references resolved."""

import re
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fullspan.stack.drivers import Driver, Launch
from fullspan.stack.kinds import find_kind
from fullspan.stack.load import project_of
from fullspan.stack.model import SUITE, ComponentModel, StackModel
from fullspan.stack.ports import HeldPort, hold_fixed_port, hold_free_port
from fullspan.stack.probes import Probe
from fullspan.stack.references import References
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.secret_values import SecretValues

__all__ = ["Plan", "PlannedComponent", "is_run_id"]

_RUN_ID: Final = re.compile(r"\d{8}T\d{6}Z-[a-z][a-z0-9_-]*-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class PlannedComponent:
    """One component, ready to be started."""

    launch: Launch
    driver: Driver
    depends_on: tuple[str, ...]
    ports: Mapping[str, int]
    ready: tuple[type[Probe], str, float] | None
    limits: Mapping[str, float] = field(default_factory=dict)
    """What it may use at most, for the monitor."""
    log_errors: tuple[str, ...] = ()
    log_allow: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    """Whom its probe trusts; None for the authorities of this machine."""

    def probe(self, log_start: int = 0) -> Probe | None:
        """Return the probe that tells when it is ready; None when it is ready as soon as it runs."""
        if self.ready is None:
            return None
        kind, target, _ = self.ready
        probe = kind(target, self.launch.log, log_start)
        probe.tls = self.tls
        return probe

    @property
    def timeout_s(self) -> float:
        """How long it may take to become ready."""
        return self.ready[2] if self.ready else 0.0


@dataclass(slots=True)
class Plan:
    """A stack file on its way to a running stack; `close` lets go of the ports that are still held."""

    file: Path
    profile: str | None
    model: StackModel
    folder: RunFolder
    run_id: str
    secrets: SecretValues
    held: dict[str, dict[str, HeldPort]]
    fixed_ports: bool = False
    proxied: dict[str, int] = field(default_factory=dict)
    """The port on which each link's proxy listens, by link."""
    environment: Path | None = None
    """The file of the environment, if there is one."""
    tls: ssl.SSLContext | None = None

    @classmethod
    def make(
        cls, file: Path, model: StackModel, folder: RunFolder, profile: str | None = None, fixed_ports: bool = False
    ) -> "Plan":
        """Make the secrets and choose the ports. Raises StackError for a secret or a port that cannot be had."""
        values = SecretValues(model.secrets, project_of(file), fixed=fixed_ports)
        held: dict[str, dict[str, HeldPort]] = {}
        plan = cls(file, profile, model, folder, _run_id(model.name), values, held, fixed_ports)
        try:
            for name, component in model.components.items():
                held[name] = {}
                for port, number in component.ports.items():
                    fixed = number.fixed if fixed_ports else None
                    wanted_for = f"component {name!r} ({port})"
                    held[name][port] = hold_fixed_port(fixed, wanted_for) if fixed else hold_free_port()
        except BaseException:
            plan.close()
            raise
        return plan

    def close(self) -> None:
        """Let go of all ports."""
        for ports in self.held.values():
            for port in ports.values():
                port.release()

    def ports(self, component: str) -> dict[str, int]:
        """Return the port numbers of a component by name."""
        return {name: held.port for name, held in self.held[component].items()}

    def components(self) -> dict[str, PlannedComponent]:
        """Return all components with their references resolved, checked to be startable. Starts nothing."""
        planned = self.unchecked()
        for component in planned.values():
            component.driver.check(component.launch)
            component.probe()
        return planned

    def unchecked(self) -> dict[str, PlannedComponent]:
        """Return all components with their references resolved, startable or not."""
        return {name: self._planned(name, component) for name, component in self.model.components.items()}

    def endpoints(self) -> dict[str, str]:
        """Return the addresses that a suite asks for."""
        references = self._references(SUITE)
        return {name: references.expand(text, f"endpoints.{name}") for name, text in self.model.endpoints.items()}

    def _planned(self, name: str, component: ComponentModel) -> PlannedComponent:
        references = self._references(name)
        place = f"components.{name}"
        launch = Launch(
            component=name,
            run_id=self.run_id,
            argv=tuple(references.expand(word, f"{place}.run", secret=False) for word in component.run),
            folder=self.folder.component(name),
            log=self.folder.log(name),
            env={key: references.expand(text, f"{place}.env.{key}") for key, text in component.env.items()},
            stop_signal=component.stop.number,
            stop_timeout_s=component.stop.timeout_s,
            ports=self.ports(name),
            options=_expanded(component.options, lambda text: references.expand(text, f"{place}.with")),
        )
        ready = None
        if component.ready:
            # A proxy between component and probe would only make the probe less honest.
            target = self._references(name, direct=True).expand(component.ready.target, f"{place}.ready")
            probe = find_kind("fullspan.probes", component.ready.kind, Probe)  # type: ignore[type-abstract]
            ready = (probe, target, component.ready.timeout_s)
        driver = find_kind("fullspan.drivers", component.driver, Driver)()  # type: ignore[type-abstract]
        return PlannedComponent(
            launch,
            driver,
            component.depends_on,
            self.ports(name),
            ready,
            limits=component.resources.given(),
            log_errors=component.logs.errors,
            log_allow=component.logs.allow,
            tls=self.tls,
        )

    def _references(self, asker: str, *, direct: bool = False) -> References:
        """Return what the texts of one component, or of the suite, may refer to."""
        values = {
            "project": str(project_of(self.file)),
            "var": str(self.folder.var),
            "python": sys.executable,
            "fixed_ports": "true" if self.fixed_ports else "false",
        }
        for name in self.model.components:
            own = {"dir": str(self.folder.component(name)), **{k: str(v) for k, v in self.ports(name).items()}}
            for key, value in own.items():
                values[f"{name}.{key}"] = value
                if name == asker:
                    values[f"self.{key}"] = value
        for link_id, link in self.model.links.items():
            # A broker that tells its clients where to connect must tell them the proxy; without one its own port.
            values[f"link.{link_id}"] = str(self.proxied.get(link_id) or values[link.to])
        for link_id, port in ({} if direct else self.proxied).items():
            link = self.model.links[link_id]
            if link.from_ == asker:
                values[link.to] = str(port)
        return References(values, self.secrets)


def _expanded(value: Any, expand: Callable[[str], str]) -> Any:
    """Return a value of the file with the references in all its texts replaced."""
    if isinstance(value, Mapping):
        return {key: _expanded(inner, expand) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_expanded(inner, expand) for inner in value]
    return expand(value) if isinstance(value, str) else value


def _run_id(name: str) -> str:
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{name}-{secrets.token_hex(4)}"


def is_run_id(text: str) -> bool:
    """Tell whether a tag is one that a stack gives to its processes."""
    return _RUN_ID.fullmatch(text) is not None
