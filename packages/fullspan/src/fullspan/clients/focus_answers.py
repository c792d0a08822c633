"""What a Focus Server answers, typed; the document as it came is kept beside what is picked from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """The channel numbers of the fibre, both ends included."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class LiveMetadata:
    """The fibre as it is now: `prr` in samples per second and channel, `dx` and the ends in m."""

    prr: float
    dtype: str
    dx: float
    number_of_channels: int
    fiber_start_meters: float
    fiber_length_meters: float
    fiber_description: str
    fiber_source: Mapping[str, Any]
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from an answer."""
        return cls(
            prr=float(document["prr"]),
            dtype=str(document["dtype"]),
            dx=float(document["dx"]),
            number_of_channels=int(document["number_of_channels"]),
            fiber_start_meters=float(document["fiber_start_meters"]),
            fiber_length_meters=float(document["fiber_length_meters"]),
            fiber_description=str(document["fiber_description"]),
            fiber_source=document["fiber_source"],
            document=document,
        )

    @property
    def waiting(self) -> bool:
        """True while no live block has arrived."""
        return self.prr == 0


@dataclass(frozen=True, slots=True)
class Grid:
    """The fibre's own grid of lines: row r is line first_line + r, sample n was taken at t0_ns + n·10⁹/fs."""

    t0_ns: int
    fs: Fraction
    first_line: int
    hop: int
    nfft: int

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from `metadata.grid`."""
        fs = Fraction(int(document["fs_num"]), int(document["fs_den"]))
        hop, nfft = int(document["hop"]), int(document["nfft"])
        return cls(int(document["t0_ns"]), fs, int(document["first_line"]), hop, nfft)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as `/configure` and `/metadata/{job_id}` give it; frequencies in Hz, `lines_dt` in s."""

    job_id: str
    stream_url: str
    stream_port: int
    stream_amount: int
    channel_to_stream: Mapping[int, int]
    channel_amount: int
    frequencies: tuple[float, ...]
    lines_dt: float
    view_type: int
    units: str
    ready_in_s: float
    grid: Grid
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from an answer."""
        metadata = document["metadata"]
        return cls(
            job_id=str(document["job_id"]),
            stream_url=str(document["stream_url"]),
            stream_port=int(document["stream_port"]),
            stream_amount=int(document["stream_amount"]),
            channel_to_stream={int(c): int(s) for c, s in document["channel_to_stream_index"].items()},
            channel_amount=int(document["channel_amount"]),
            frequencies=tuple(float(f) for f in document["frequencies_list"]),
            lines_dt=float(document["lines_dt"]),
            view_type=int(document["view_type"]),
            units=str(metadata["units"]),
            ready_in_s=float(metadata["ready_in_s"]),
            grid=Grid.read(metadata["grid"]),
            document=document,
        )

    @property
    def historic(self) -> bool:
        """True when the job plays recordings, false when it shows the live fibre."""
        return bool(self.document["metadata"].get("recording_ids"))

    @property
    def lines(self) -> int | None:
        """How many lines a historic job has at most; None when it is live."""
        lines = self.document["metadata"].get("lines")
        return None if lines is None else int(lines)

    @property
    def display(self) -> Mapping[str, Any]:
        """What commands have said about drawing the job: `caxis` and `colormap`; what is None is up to the viewer."""
        return self.document["metadata"].get("display") or {}

    @property
    def host(self) -> str:
        """Where the job's gRPC port is."""
        return urlsplit(self.stream_url).hostname or ""

    @property
    def serial(self) -> int:
        """The number after the window, which every message of the job carries."""
        return int(self.job_id.partition("-")[2])


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job of the list of all jobs; `channels` both included, `nfft` None for a waterfall, times in UTC."""

    job_id: str
    view_type: int
    mode: str
    state: str
    channels: tuple[int, int]
    nfft: int | None
    viewers: int
    created: datetime
    last_activity: datetime
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from an entry."""
        nfft = document["nfft"]
        return cls(
            job_id=str(document["job_id"]),
            view_type=int(document["view_type"]),
            mode=str(document["mode"]),
            state=str(document["state"]),
            channels=(int(document["channels"]["min"]), int(document["channels"]["max"])),
            nfft=None if nfft is None else int(nfft),
            viewers=int(document["viewers"]),
            created=datetime.fromisoformat(document["created"]),
            last_activity=datetime.fromisoformat(document["last_activity"]),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the server can do its work, with the `status` it said so by, and the state of each dependency."""

    status: int
    dependencies: Mapping[str, str]
    document: Mapping[str, Any]

    @classmethod
    def read(cls, status: int, document: Mapping[str, Any]) -> Self:
        """Pick the fields from an answer."""
        states = {name: str(it["state"]) for name, it in document["dependencies"].items()}
        return cls(status=status, dependencies=states, document=document)

    @property
    def healthy(self) -> bool:
        """True when all that live views need works."""
        return self.status == 200
