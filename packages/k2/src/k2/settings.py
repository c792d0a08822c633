"""Settings of the programs: option, then environment (K2_...), then file (k2.toml), then default.

One file serves all programs: its keys are the names of the fields below, and a key that none of them has is an
error that names the nearest one.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from k2.errors import SettingsError

__all__ = [
    "PROGRAMS",
    "BusSettings",
    "DlqSettings",
    "Effective",
    "ExchangeSettings",
    "FeedSettings",
    "IngestSettings",
    "K2Settings",
    "LakeSettings",
    "ServeSettings",
    "var",
]


def var(*parts: str) -> Path:
    """Return a path below the folder for all that the programs keep: $FULLSPAN_VAR, else ./var."""
    return Path(os.environ.get("FULLSPAN_VAR") or "var").joinpath(*parts)


def _list(value: object) -> object:
    return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_list)]
"""In the environment and in options a list is written with commas."""
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force: its value as text, secrets masked, and where that came from."""

    name: str
    value: str
    origin: str


class K2Settings(BaseModel):
    """What all programs share."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    profile: Literal["local", "production"] = "local"
    """`local`: on one machine, for trying and testing; what is only meant for that is refused in any other."""

    @classmethod
    def load(cls, config: Path | None = None, **options: object) -> Self:
        """Read the settings; an option that is None was not given.

        `config` is the file to read; without it ./k2.toml and then the user's configuration folder are looked at.
        Raises `SettingsError`.
        """
        values, origins = cls._gather(config, options)
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = str(first["loc"][0]) if first["loc"] else cls.__name__
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
                origins[name] = f"environment K2_{name.upper()}" if found is environment else origin
        return values, origins


class BusSettings(K2Settings):
    """What the programs on Kafka share."""

    kafka_bootstrap: Names = ("127.0.0.1:9092",)
    """HOST:PORT of some brokers."""
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    """With it the broker is logged in to by SASL; never an option, because argv is public."""
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is shown to the broker; PLAIN shows it as it is."""
    kafka_ca: Path | None = None
    """Certificates that are trusted beside those of the system, for `ssl` and `sasl_ssl`."""
    schema_registry_url: SecretStr | None = None
    """With it values have the Confluent wire format; without it they are Avro single objects."""
    trades_topic: str = "market.crypto.trades.binance"
    quotes_topic: str = "market.crypto.quotes.binance"
    gaps_topic: str = "market.crypto.gaps.binance"
    """What is missing between trades, one record per gap, the newest of each counts."""
    partitions: int = Field(default=2, ge=1, le=1000)
    """Of each topic, when it is made; an existing topic keeps its own."""
    replication: int = Field(default=1, ge=1, le=10)


class FeedSettings(BusSettings):
    """`k2 feed`."""

    feed_urls: Names = ("wss://stream.binance.com:9443", "wss://stream.binance.com:443")
    """The exchange's WebSockets; the first is the primary, the others are for when it fails."""
    rest_url: str = "https://api.binance.com"
    """Where missing trades are asked for; empty: gaps stay open."""
    rest_key: SecretStr | None = None
    symbols: Names = ("BTCUSDT", "ETHUSDT")
    quotes: bool = True
    spool_dir: Path = Field(default_factory=lambda: var("k2", "spool"))
    spool_bytes: int = Field(default=2**30, ge=2**20)
    """What may wait on the disk while the broker is away; beyond it the feed stops reading from the exchange."""
    compression: Literal["lz4", "zstd", "none"] = "lz4"
    silence_s: Seconds = 20.0
    """Without a frame for so long a connection counts as dead."""
    backoff_first_s: Seconds = 0.25
    backoff_most_s: Seconds = 30.0
    attempts: int = Field(default=0, ge=0)
    """After so many failed connections in a row the feed ends with an error; 0: it goes on for ever."""
    primary_after_s: Seconds = 60.0
    """So long after a fail-over the primary is tried again, beside the running connection."""
    rotate_s: Seconds = 82_800.0
    """A connection is replaced after so long, overlapping; the exchange ends each after 24 h."""
    gap_wait_s: Seconds0 = 1.0
    """A missing trade may still come so much later, out of order; then it is asked for."""
    metrics_port: Port | None = None
    """Prometheus figures on 127.0.0.1 at this port; without it there are none."""

    @field_validator("symbols")
    @classmethod
    def _upper(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if not symbols or not all(symbol.isalnum() and symbol.isascii() for symbol in symbols):
            raise ValueError("write symbols as BTCUSDT,ETHUSDT")
        return tuple(dict.fromkeys(symbol.upper() for symbol in symbols))


class ExchangeSettings(K2Settings):
    """`k2 exchange`."""

    exchange_host: Literal["127.0.0.1"] = "127.0.0.1"
    exchange_port: Port = 9443
    capture: Path | None = None
    """Frames to replay, one a line: receipt time in ns, a space, the frame (.gz too); without it trades are made up."""
    quotes_capture: Path | None = None
    speed: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Of the replay; 10 plays ten seconds in one."""
    loop: bool = False
    """Begin again at the end of a capture, with ids that go on."""
    retime: Literal["shift", "keep", "now"] = "shift"
    """Times of a capture: `shift` adds one constant, so that its first trade happens at the start; `now` takes the
    moment at which each is sent, whatever the speed; `keep` leaves them."""
    seed: int = Field(default=1, ge=0, le=2**32 - 1)
    symbols: Names = ("BTCUSDT", "ETHUSDT")
    rate: float = Field(default=25.0, gt=0, le=100_000)
    """Trades a second of each symbol that is made up."""
    quote_rate: float = Field(default=5.0, ge=0, le=100_000)
    trades: int | None = Field(default=None, ge=1)
    """End after so many made-up trades of all symbols; without it they go on."""
    wait_for_viewer: bool = True
    """Begin when the first client has subscribed."""
    clock_offset_s: float = Field(default=0.0, allow_inf_nan=False)
    """Added to the exchange's clock."""
    exchange_dir: Path | None = None
    """Where all its trades are kept, so that it goes on after a restart; without it it begins anew."""
    mischief: str | None = None
    """What it does wrong from the start, as JSON: {"malformed_every": 1000}."""


class DlqSettings(BusSettings):
    """`k2 dlq`."""


class LakeSettings(BusSettings):
    """What the programs on the lake share: `k2 compact expire repair candles` have these only."""

    catalog_uri: str = Field(default_factory=lambda: f"sqlite:///{var('k2', 'catalog.db').absolute()}")
    """A SQLite file, another database by its URL, or an Iceberg REST service by http:// or https://."""
    warehouse: str = Field(default_factory=lambda: str(var("k2", "warehouse")))
    """Where tables lie: a folder, or s3://BUCKET/PREFIX."""
    catalog_properties: dict[str, SecretStr] = Field(default_factory=dict)
    """What else the catalogue and the object store need, by the names that PyIceberg gives them; in the file only."""
    snapshot_keep_s: Seconds = 300.0
    """Older snapshots of a table are taken off its list."""
    snapshot_keep: int = Field(default=20, ge=10)
    """So many of them stay at most: a commit, and whoever looks at the table, takes longer with each."""
    sweep_after_s: Seconds = 600.0
    """Files that no snapshot needs are deleted when they are so old; a reader has as long to read what it planned."""


class IngestSettings(LakeSettings):
    """`k2 ingest`."""

    flush_rows: int = Field(default=50_000, ge=1, le=1_000_000)
    flush_s: Seconds = 1.0
    """Rows are committed when there are so many, or when the first of them has waited for so long."""
    expire_commits: int = Field(default=20, ge=1)
    """Snapshots are expired every so many commits."""
    compact_commits: int = Field(default=50, ge=0)
    """Small files are joined every so many commits; 0: only by `k2 compact`."""
    candles_s: Seconds0 = 5.0
    """Candles are brought up to date so often; 0: only by `k2 candles`."""
    metrics_port: Port | None = None
    """Prometheus figures and health on 127.0.0.1 at this port; without it there are none."""
    crash_at: str | None = None
    """For tests: POINT, POINT:N or POINT:stop:N ends or stops the writer there; refused outside the local profile."""

    @model_validator(mode="after")
    def _only_locally(self) -> Self:
        if self.crash_at is not None and self.profile != "local":
            raise ValueError("crash_at is for tests; it is refused outside the local profile")
        return self


class ServeSettings(LakeSettings):
    """`k2 serve`."""

    host: str = "127.0.0.1"
    port: Port = 8000
    api_key: SecretStr | None = None
    """What `X-API-Key` must be; in the local profile `k2-dev-api-key-2026` when it is not set."""
    allowed_hosts: Names = ("127.0.0.1", "localhost", "::1")
    """Names without ports that a request's `Host` may have."""
    rate_limit: float = Field(default=100.0, gt=0)
    """Requests a second of one key; twice as many may come at once."""
    stale_s: Seconds = 30.0
    """Readiness is 503 when the newest trade of every symbol came longer ago."""
    refresh_s: Seconds = 0.25
    """How often tables are looked at for a newer snapshot."""
    tail_rows: int = Field(default=500_000, ge=1000)
    """Rows of the live tail that no table has yet; beyond it the oldest are dropped and answers say so."""
    query_memory_mb: int = Field(default=512, ge=64)
    query_s: Seconds = 10.0
    """A query that takes longer is ended."""
    query_threads: int = Field(default=4, ge=1, le=64)
    """Questions that are worked on at once; others wait."""
    max_body_bytes: int = Field(default=65_536, ge=1024)

    @model_validator(mode="after")
    def _a_key(self) -> Self:
        if self.api_key is None and self.profile != "local":
            raise ValueError("api_key must be set outside the local profile, by K2_API_KEY or in the settings file")
        return self

    @property
    def key(self) -> str:
        """The key that clients must send."""
        return self.api_key.get_secret_value() if self.api_key else "k2-dev-api-key-2026"


PROGRAMS: Mapping[str, type[K2Settings]] = {
    "exchange": ExchangeSettings,
    "feed": FeedSettings,
    "ingest": IngestSettings,
    "serve": ServeSettings,
    "dlq": DlqSettings,
}


def _known_keys() -> frozenset[str]:
    return frozenset().union(*(program.model_fields for program in PROGRAMS.values()))


def _settings_file(config: Path | None) -> Path | None:
    if config is not None:
        return config
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "k2", "k2.toml")
    return next((path for path in (Path("k2.toml"), user) if path.is_file()), None)


def _read_environment(names: Iterable[str]) -> dict[str, str]:
    found = {variable.lower(): value for variable, value in os.environ.items()}
    return {name: found[variable] for name in names if (variable := f"k2_{name}") in found}


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
            hint = f"did you mean {near[0]}?" if near else "`k2 config` lists those that are."
            raise SettingsError(f"{key} in {path} is not a setting; {hint}")
    return content


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
