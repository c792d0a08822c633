"""The stack file: which components to bring up, how to see that they are ready, and how they are connected."""

import re
from signal import Signals
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from fullspan.environment.names import EndpointName, SecretName, SecretSource
from fullspan.errors import nearest
from fullspan.stack.drivers.base import Driver
from fullspan.stack.kinds import find_kind, kinds_of
from fullspan.written import Strict

__all__ = ["SUITE", "ComponentModel", "LinkModel", "PortModel", "ReadyModel", "StackModel", "StopModel"]

SUITE: Final = "suite"
"""The name of a link's far side that is not a component: whoever asks for an endpoint."""
RESERVED: Final = frozenset({SUITE, "self", "secret", "env", "project", "var", "python", "fixed_ports", "link"})

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class PortModel(Strict):
    """A port that the component listens on; any free one, unless `--fixed-ports` asks for the one given here."""

    fixed: PortNumber | None = None


class SecretModel(Strict):
    """Where a secret comes from; with `--fixed-ports` it is the well-known value given here, which is no secret."""

    source: SecretSource = Field(alias="from")
    fixed: Annotated[str, StringConstraints(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Let the source alone stand for all."""
        return {"from": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe both ways of writing it."""
        fields = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [fields["properties"]["from"], fields]}


class ReadyModel(BaseModel):
    """When a component is ready: what one probe, such as `tcp` or `http`, has to see within `timeout_s`."""

    model_config = ConfigDict(frozen=True)

    kind: str
    target: str
    timeout_s: Seconds = 30.0

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        """Turn `{KIND: TARGET, timeout_s: S}` into fields."""
        if not isinstance(value, dict):
            return value
        probes = kinds_of("fullspan.probes")
        chosen = [key for key in value if key != "timeout_s"]
        for key in chosen:
            if key not in probes:
                raise ValueError(f"the key {key!r} is not known. {nearest(str(key), [*probes, 'timeout_s'])}")
        if len(chosen) != 1:
            raise ValueError(f"exactly one of {', '.join(sorted(probes))} is needed, {len(chosen)} are there")
        if isinstance(value[chosen[0]], bool) or not isinstance(value[chosen[0]], str | int):
            raise ValueError(f"{chosen[0]} needs a text")
        fields: dict[str, object] = {"kind": chosen[0], "target": str(value[chosen[0]])}
        return fields | ({"timeout_s": value["timeout_s"]} if "timeout_s" in value else {})

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe what stands in the file, not the fields it becomes."""
        fields = handler.resolve_ref_schema(handler(core))
        probes = sorted(kinds_of("fullspan.probes"))
        return {
            "title": fields["title"],
            "description": fields["description"],
            "type": "object",
            "properties": {kind: {"type": "string"} for kind in probes}
            | {"timeout_s": fields["properties"]["timeout_s"]},
            "oneOf": [{"required": [kind]} for kind in probes],
            "additionalProperties": False,
        }


class StopModel(Strict):
    """How a component is asked to end, and how long it may take before it is killed."""

    signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL"] = "SIGTERM"
    timeout_s: Seconds = 5.0

    @property
    def number(self) -> Signals:
        """The signal itself."""
        return Signals[self.signal]


class LogsModel(Strict):
    """Regular expressions for lines of its log: which are errors besides the usual ones, and which are none."""

    errors: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    @field_validator("errors", "allow")
    @classmethod
    def _expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


class ResourcesModel(Strict):
    """What it may use at most while it is monitored; processor time is per cent of one processor, over 5 s."""

    cpu_percent: Limit | None = None
    memory_mb: Limit | None = None
    handles: Limit | None = None
    threads: Limit | None = None
    disk_mb: Limit | None = None

    def given(self) -> dict[str, float]:
        """Return the limits that there are."""
        return {name: value for name, value in self if value is not None}


class ComponentModel(Strict):
    """One part of the stack: the command that runs it (argv, never shell), and what it needs."""

    driver: str = "process"
    run: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict, alias="with")
    env: dict[str, str] = Field(default_factory=dict)
    depends_on: tuple[Identifier, ...] = ()
    ports: dict[Identifier, PortModel] = Field(default_factory=dict)
    ready: ReadyModel | None = None
    stop: StopModel = StopModel()
    logs: LogsModel = LogsModel()
    resources: ResourcesModel = ResourcesModel()

    @field_validator("driver")
    @classmethod
    def _registered(cls, driver: str) -> str:
        drivers = kinds_of("fullspan.drivers")
        if driver not in drivers:
            raise ValueError(f"there is no driver {driver!r}. {nearest(driver, drivers)}")
        return driver

    @model_validator(mode="after")
    def _as_its_driver_needs(self) -> Self:
        """Let the driver judge what is for it alone."""
        driver = find_kind("fullspan.drivers", self.driver, Driver)  # type: ignore[type-abstract]
        if driver.needs_run and not self.run:
            raise ValueError(f"the key 'run' is missing, which the driver {self.driver} needs")
        if self.run and not driver.needs_run:
            raise ValueError(f"the key 'run' means nothing to the driver {self.driver}. Take it away")
        if driver.options is not None:
            _judge(driver.options, self.options)
        elif self.options:
            raise ValueError(f"the key 'with' means nothing to the driver {self.driver}. Take it away")
        return self

    @field_validator("run", "env", mode="before")
    @classmethod
    def _numbers_are_texts(cls, value: Any) -> Any:
        """Let a number stand where a text is meant: YAML reads 8080 as one."""
        if isinstance(value, list):
            return [_text(item) for item in value]
        if isinstance(value, dict):
            return {_text(key): _text(item) for key, item in value.items()}
        return value

    @field_validator("ports", mode="before")
    @classmethod
    def _plain_ports(cls, value: Any) -> Any:
        """Let `http:` without anything mean any free port."""
        if isinstance(value, dict):
            if "dir" in value:
                raise ValueError("a port cannot be called 'dir', which means the component's folder")
            return {name: {} if port is None else port for name, port in value.items()}
        return value


class LinkModel(Strict):
    """A TCP connection between two components; with `proxy: true` faults can be put on it."""

    from_: Identifier = Field(alias="from")
    to: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*$")]
    proxy: bool = False

    @property
    def target(self) -> tuple[str, str]:
        """The component and the port that the link leads to."""
        component, _, port = self.to.partition(".")
        return component, port


class StackModel(Strict):
    """The whole file. A profile is a set of overrides; a key that is null in it is taken away."""

    schema_: Literal["fullspan/stack/1"] = Field(alias="schema")
    name: Identifier
    components: dict[Identifier, ComponentModel] = Field(min_length=1)
    links: dict[Identifier, LinkModel] = Field(default_factory=dict)
    endpoints: dict[EndpointName, str] = Field(default_factory=dict)
    secrets: dict[SecretName, SecretModel] = Field(default_factory=dict)
    profiles: dict[str, dict[str, Any] | None] = Field(default_factory=dict)

    @field_validator("components")
    @classmethod
    def _no_reserved_names(cls, components: dict[str, ComponentModel]) -> dict[str, ComponentModel]:
        for name in components.keys() & RESERVED:
            raise ValueError(f"a component cannot be called {name!r}, which has a meaning of its own")
        return components

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, component in self.components.items():
            for other in component.depends_on:
                if other not in self.components:
                    raise ValueError(f"{name} depends on {other!r}, {_missing(other, self.components)}")
        for name, link in self.links.items():
            target, port = link.target
            if link.from_ not in self.components and link.from_ != SUITE:
                raise ValueError(f"the link {name} is from {link.from_!r}, {_missing(link.from_, self.components)}")
            if target not in self.components:
                raise ValueError(f"the link {name} leads to {target!r}, {_missing(target, self.components)}")
            if port not in self.components[target].ports:
                ports = self.components[target].ports
                raise ValueError(f"the link {name} leads to port {port!r} of {target}. {nearest(port, ports)}")
        self._no_circle()
        self._one_link_each()
        return self

    def _no_circle(self) -> None:
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                circle = " -> ".join((*path[path.index(name) :], name))
                raise ValueError(f"depends_on goes in a circle: {circle}. Take one of these away")
            if name not in done:
                for other in self.components[name].depends_on:
                    visit(other, (*path, name))
                done.add(name)

        for name in self.components:
            visit(name, ())

    def _one_link_each(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for name, link in self.links.items():
            if (other := seen.setdefault((link.from_, link.to), name)) != name:
                raise ValueError(f"the links {other} and {name} are both from {link.from_} to {link.to}. Keep one")


def _judge(model: type[BaseModel], options: dict[str, Any]) -> None:
    """Raise a ValueError that names the first mistake under `with`."""
    try:
        model.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["with", *(str(part) for part in first["loc"])])
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def _missing(name: str, known: dict[str, ComponentModel]) -> str:
    return f"which is no component. {nearest(name, known)}"


def _text(value: Any) -> Any:
    """Return the text of a number; everything else as it is, for pydantic to judge."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
