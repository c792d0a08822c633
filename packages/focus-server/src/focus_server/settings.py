"""Settings of the four programs: option, then environment (FOCUS_...), then file (focus.toml), then default.

One file serves all programs: its keys are the names of the fields below, and a key that none of them has is an
error that names the nearest one. Variables of the environment are not checked that way, because Kubernetes and others
put their own FOCUS_... variables there.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from focus_server.errors import SettingsError

__all__ = ["AnalyzerSettings", "Effective", "FocusSettings", "RecordSettings", "ReplaySettings", "ServeSettings"]


def _var(*parts: str) -> Path:
    return Path(os.environ.get("FULLSPAN_VAR") or "var").joinpath(*parts)


def _list(value: object) -> object:
    return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_list)]
"""In the environment and in options a list is written with commas."""
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force: its value as text, secrets masked, and where that came from."""

    name: str
    value: str
    origin: str


class FocusSettings(BaseModel):
    """What all programs share."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls, config: Path | None = None, **options: object) -> Self:
        """Read the settings; an option that is None was not given.

        `config` is the file to read; without it ./focus.toml and then the user's configuration folder are looked at.
        Raises `SettingsError`.
        """
        values, origins = cls._gather(config, options)
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = str(first["loc"][0])
            what = first["msg"].removeprefix("Value error, ")
            origin = origins.get(name, "default")
            raise SettingsError(f"The setting {name} ({origin}) cannot be used: {what}. Correct it there.") from None

    @classmethod
    def effective(cls, config: Path | None = None, **options: object) -> list[Effective]:
        """List every setting as `load` would give it, with its origin."""
        settings = cls.load(config, **options)
        _, origins = cls._gather(config, options)
        return [
            Effective(name, _shown(getattr(settings, name)), origins.get(name, "default")) for name in cls.model_fields
        ]

    @classmethod
    def _gather(cls, config: Path | None, options: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
        """Merge the sources, weakest first, and keep from which of them each value is."""
        path = _settings_file(config)
        sources: list[tuple[str, Mapping[str, object]]] = []
        if path is not None:
            sources.append((str(path), _read_file(path)))
        environment = _read_environment(cls.model_fields)
        sources.append(("environment", environment))
        sources.append(("option", {name: value for name, value in options.items() if value is not None}))
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for origin, found in sources:
            for name in cls.model_fields.keys() & found.keys():
                values[name] = found[name]
                origins[name] = f"environment FOCUS_{name.upper()}" if found is environment else origin
        return values, origins


class BusSettings(FocusSettings):
    """What the programs on the live bus share."""

    site: SiteName = "local"
    amqp_url: SecretStr = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    """With user and password; never an option, because argv is public."""
    state_dir: Path = Field(default_factory=lambda: _var("focus", "state"))


class AnalyzerSettings(BusSettings):
    """`focus-server analyze`."""

    analyzer_socket: Path = Field(default_factory=lambda: _var("focus", "analyzer.sock"))
    ring_samples: int = Field(default=131072, ge=4096, le=2**24)
    """Samples of each channel that are kept: 582 MB for 2222 channels of int16 with the default."""
    give_up_s: Seconds = 2.0
    """A block that is missing for so long while later ones of its group arrive is given up."""
    stream_host: Literal["127.0.0.1"] = "127.0.0.1"
    fixed_ports: bool = False
    first_stream_port: Port = 12301
    """With `fixed_ports`, streams take the first free port from here on; otherwise any free one."""
    max_jobs: int = Field(default=200, ge=1)
    max_playbacks: int = Field(default=40, ge=1)
    """Viewers of recordings at once, all streams together: each takes about 30 MB."""
    windows: int = Field(default=30, ge=1, le=100)
    job_unconnected_s: Seconds = 50.0
    job_finished_s: Seconds = 120.0
    job_idle_s: Seconds = 180.0
    viewer_wait_s: Seconds = 10.0
    viewer_wait_bytes: int = Field(default=4 * 2**20, ge=2**16)
    compute_cores: float = Field(default=0.8, gt=0, allow_inf_nan=False)
    """What all jobs together may cost; a job beyond it gets a lower line rate."""
    line_spacing: Literal["fs", "display"] = "fs"
    """`display`: where no rate is asked for, lines come displayTimeAxisDuration/height apart, as older clients wish."""
    mongo_url: SecretStr | None = None
    """Where jobs are noted down, best effort; without it they are not."""


class ReplaySettings(BusSettings):
    """`focus-server replay`."""

    recording: Path = Field(default_factory=lambda: _var("data", "sample.npy"))
    fs: Decimal = Field(default=Decimal(1000), gt=0, le=1_000_000, allow_inf_nan=False)
    """Samples per second and channel, exactly the decimal that is written."""
    channels: int | None = Field(default=None, ge=1, le=2222)
    """As many as the recording has when absent."""
    seed: int = Field(default=1, ge=0, le=2**32 - 1)
    dtype: Literal["int16", "float32"] = "int16"
    dc: float = Field(default=0.0, allow_inf_nan=False)
    """Added to the recording, in its own unit."""
    nan_channels: str = ""
    """Channels that are NaN, for example 7,9-12; float32 only."""
    preroll_s: Seconds0 = 0.0
    """How much earlier than its first start a new fibre's time begins, so that there is something to have recorded."""


class RecordSettings(BusSettings):
    """`focus-server record`."""

    recordings_dir: Path = Field(default_factory=lambda: _var("focus", "recordings"))
    mongo_url: SecretStr = SecretStr("mongodb://127.0.0.1:27017/prisma")
    """With user and password; never an option, because argv is public."""
    recording_s: int = Field(default=10, ge=1, le=3600)
    """Length of one file, in seconds of the fibre."""
    retention_s: Seconds = 600.0
    """Older files are deleted."""
    min_free_bytes: int = Field(default=2**30, ge=0)
    """With less free disk than this recording pauses; live views go on."""
    pause_keep_s: Seconds = 60.0
    """So long a paused recorder leaves blocks with the broker; older ones are given up and become a gap."""
    preroll_s: Seconds0 = 0.0
    """So much before the first live block is recorded from the replay's formula."""
    preroll_recording: Path | None = None
    """The file that the interrogator replays; needed for the pre-roll only."""


class ServeSettings(FocusSettings):
    """`focus-server serve`."""

    host: str = "127.0.0.1"
    port: Port = 5000
    analyzer_socket: Path = Field(default_factory=lambda: _var("focus", "analyzer.sock"))
    allowed_hosts: Names = ("127.0.0.1", "localhost", "::1")
    """Names without ports that a request's `Host` may have."""
    allowed_origins: Names = ()
    """Origins beside the server's own that may change state or open a WebSocket."""
    max_body_bytes: int = Field(default=65536, ge=1024)
    max_connections: int = Field(default=1000, ge=8, le=100_000)
    """Beyond it a new connection displaces the one that has been without a request longest; viewers do not count."""
    max_viewers: int = Field(default=500, ge=1, le=100_000)
    """Viewers of the WebSocket, of all jobs together."""
    mongo_url: SecretStr | None = None
    """The catalogue of recordings, with user and password; without it there are live views only."""


_PROGRAMS = (AnalyzerSettings, RecordSettings, ReplaySettings, ServeSettings)


def _known_keys() -> frozenset[str]:
    return frozenset().union(*(program.model_fields for program in _PROGRAMS))


def _settings_file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "focus-server", "focus.toml")
    return next((path for path in (Path("focus.toml"), user) if path.is_file()), None)


def _read_environment(names: Iterable[str]) -> dict[str, str]:
    found = {variable.lower(): value for variable, value in os.environ.items()}
    return {name: found[variable] for name in names if (variable := f"focus_{name}") in found}


def _read_file(path: Path) -> dict[str, object]:
    try:
        content: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from None
    known = _known_keys()
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "`focus-server config` lists those that are."
            raise SettingsError(f"{key} in {path} is not a setting; {hint}")
    return content


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
