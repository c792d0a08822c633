"""The environment file: addresses, trust, what the system can do, how it is shown, and what its parts are called."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from fullspan.environment.names import EndpointName, SecretName, SecretSource
from fullspan.environment.secret import secret_value
from fullspan.environment.tls import Tls
from fullspan.errors import UsageError, nearest
from fullspan.written import Strict

__all__ = ["SCHEMA", "Environment"]

SCHEMA: Final = "fullspan/environment/1"
WINDOWS: Final = tuple(2**power for power in range(7, 17))
"""The window lengths (NFFT) that a Focus Server offers, samples."""

Scalar: TypeAlias = str | int | float | bool
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Constraints(Strict):
    """What the system can do at most; `other` holds what a system has besides."""

    channels: Count | None = None
    min_frequency_hz: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    max_frequency_hz: Positive | None = None
    windows: Count | None = None
    """Views that one viewer may have open."""
    jobs: Count | None = None
    other: dict[str, Scalar] = Field(default_factory=dict)


class Display(Strict):
    """How a view is shown unless somebody says otherwise."""

    duration_s: Positive | None = None
    height_px: Count | None = None
    colormap: str | None = None
    caxis_db: tuple[float, float] | None = None

    @field_validator("caxis_db")
    @classmethod
    def _ascending(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"the lower end comes first: {value[0]:g} is not below {value[1]:g}")
        return value


class Nfft(Strict):
    """Window lengths, samples: what each view begins with, and what can be chosen."""

    single_channel: Count | None = None
    multichannel: Count | None = None
    choices: tuple[Count, ...] = WINDOWS

    @model_validator(mode="after")
    def _among_the_choices(self) -> "Nfft":
        for name in ("single_channel", "multichannel"):
            value = getattr(self, name)
            if value is not None and value not in self.choices:
                raise ValueError(f"{name} {value} is none of the choices {', '.join(map(str, self.choices))}")
        return self


class KubernetesNames(Strict):
    """What one component is called in a cluster."""

    workload: Annotated[str, StringConstraints(pattern=r"^(deployment|statefulset|daemonset|job|pod)/[a-z0-9.-]+$")]
    service: str | None = None
    container: str | None = None
    selector: dict[str, str] = Field(default_factory=dict)


class Kubernetes(Strict):
    """The cluster, as `kubectl` knows it, and the names in it by component."""

    context: str | None = None
    namespace: str = "default"
    components: dict[str, KubernetesNames] = Field(default_factory=dict)


class Environment(Strict):
    """The whole file. All keys but `schema` and `name` may be left out."""

    schema_: Literal["fullspan/environment/1"] = Field(default=SCHEMA, alias="schema")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    description: str = ""
    profile: str | None = None
    site: str | None = None
    endpoints: dict[EndpointName, str] = Field(default_factory=dict)
    tls: Tls = Tls()
    constraints: Constraints = Constraints()
    display: Display = Display()
    nfft: Nfft = Nfft()
    kubernetes: Kubernetes = Kubernetes()
    secrets: dict[SecretName, SecretSource] = Field(default_factory=dict)
    overrides: dict[str, Any] = Field(default_factory=dict)
    imported: dict[str, Any] = Field(default_factory=dict)
    _project: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("endpoints")
    @classmethod
    def _addresses(cls, endpoints: dict[str, str]) -> dict[str, str]:
        for name, address in endpoints.items():
            if "://" not in address:
                raise ValueError(f"{name} is {address!r}, which is no address. Write for example http://HOST:PORT")
        return endpoints

    @property
    def file(self) -> Path | None:
        """Where it was read from."""
        return self._file

    def of_file(self, file: Path, project: Path) -> "Environment":
        """Return the same as it was read from `file`, with paths relative to `project`."""
        found = self.model_copy(update={"tls": self.tls.in_project(project)})
        found._project, found._file = project, file
        return found

    def over_the_stack(self, stack: Mapping[str, Any]) -> dict[str, Any]:
        """Return what lies over a stack's file: the overrides, and from where the secrets of the stack come here."""
        overrides = self.overrides.get("secrets") or {}
        known = {*(stack.get("secrets") or {}), *overrides}
        secrets = overrides | {name: source for name, source in self.secrets.items() if name in known}
        return self.overrides | ({"secrets": secrets} if secrets else {})

    def secret_values(self) -> dict[str, str]:
        """Return the secrets that addresses refer to; StackError when one cannot be had."""
        used = [name for name in self.secrets if any(f"${{secret.{name}}}" in url for url in self.endpoints.values())]
        return {name: secret_value(name, self.secrets[name], self._project) for name in used}

    def addresses(self) -> dict[str, str]:
        """Return the endpoints with their secrets in place. UsageError for a reference that leads nowhere."""
        values = {f"${{secret.{name}}}": value for name, value in self.secret_values().items()}
        found = {}
        for name, address in self.endpoints.items():
            for reference, value in values.items():
                address = address.replace(reference, value)
            if "${" in address:
                what = address.partition("${")[2].partition("}")[0]
                known = [f"secret.{secret}" for secret in self.secrets]
                raise UsageError(
                    f"The endpoint {name} of environment {self.name!r} refers to ${{{what}}}, which it does not have.",
                    nearest(what, known),
                )
            found[name] = address
        return found
