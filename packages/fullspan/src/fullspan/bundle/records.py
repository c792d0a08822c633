"""What a bundle's files hold: the run, its tests, and the evidence of each."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fullspan.verdict import Verdict

__all__ = [
    "SCHEMA",
    "Attachment",
    "DebtRecord",
    "FaultRecord",
    "FaultSpan",
    "Figure",
    "FindingRecord",
    "LayerRecord",
    "LinkRecord",
    "LogErrorRecord",
    "RecoveryRecord",
    "ResultsRecord",
    "RunRecord",
    "TestRecord",
    "TotalsRecord",
]

SCHEMA: Final = 1

Schema = Annotated[Literal[1], Field(alias="schema")]


class Record(BaseModel):
    """Base of all records; what a later version adds is left alone."""

    # Most of who imports these uses one or two: each learns to validate when it first does.
    model_config = ConfigDict(extra="ignore", populate_by_name=True, allow_inf_nan=False, defer_build=True)


class FaultSpan(Record):
    """One fault that was on while, or shortly before, a record went wrong. Times are CLOCK_MONOTONIC, ns."""

    kind: str
    target: str
    injected_mono_ns: int
    healed_mono_ns: int


class FindingRecord(Record):
    """One invariant's finding; the witness holds observations as the ledger writes them, and at most two faults."""

    name: str
    verdict: Verdict
    summary: str
    n: int
    witness: list[dict[str, Any]] = []
    first_bad_hop: str | None = None
    faults: list[FaultSpan] = []
    guarantee: str | None = None


class Figure(Record):
    """One measured value with its unit; `table` names the table of the report in which it stands, if it does."""

    name: str
    value: float | int | str
    unit: str = ""
    table: str = ""


class FaultRecord(Record):
    """One fault and the evidence, from outside the component, that it bit and that it healed.

    `recovery_s` is how long after its lifting was begun the first sign of life was seen, s.
    """

    kind: str
    target: str
    verdict: Verdict
    bit: bool
    healed: bool
    bit_detail: str
    heal_detail: str
    injected_mono_ns: int | None = None
    healed_mono_ns: int | None = None
    recovery_s: float | None = None


class LayerRecord(Record):
    """One layer's recovery: by phase, after how many seconds it was reached, None when it never was.

    A phase that is not there was not looked for.
    """

    name: str
    seconds: dict[str, float | None]


class RecoveryRecord(Record):
    """The recovery of all layers from one fault; `after` says of each phase what its seconds are counted from."""

    kind: str
    target: str
    injected_mono_ns: int
    healed_mono_ns: int
    until_mono_ns: int
    after: dict[str, Literal["injected", "healed"]]
    layers: list[LayerRecord]


class DebtRecord(Record):
    """How many records one hop had seen and the next one had not: steps of (CLOCK_MONOTONIC, ns; count)."""

    before: str
    after: str
    steps: list[tuple[int, int]]


class TotalsRecord(Record):
    """A ledger's totals, one row per hop in stage order, keyed by column, and the debts between hops."""

    title: str
    records: int
    first_bad_hop: str | None
    hops: list[dict[str, int | str]]
    debts: list[DebtRecord] = []


class Attachment(Record):
    """A file of the bundle and what to call it; the path is relative to the bundle."""

    name: str
    path: str


class LogErrorRecord(Record):
    """An error that a component logged: when it was read (CLOCK_MONOTONIC, ns), at which byte of its log, what."""

    component: str
    mono_ns: int
    position: int
    line: str


class TestRecord(Record):
    """One test: its verdict, why, and what it showed. Times are CLOCK_MONOTONIC, ns."""

    __test__ = False

    nodeid: str
    verdict: Verdict
    reason: str = ""
    details: str = ""
    began_mono_ns: int
    ended_mono_ns: int
    findings: list[FindingRecord] = []
    figures: list[Figure] = []
    faults: list[FaultRecord] = []
    recoveries: list[RecoveryRecord] = []
    totals: list[TotalsRecord] = []
    attachments: list[Attachment] = []
    logs: dict[str, str] = {}
    """What each component logged during the test: paths relative to the bundle, with `--monitor`."""
    log_errors: list[LogErrorRecord] = []
    peaks: dict[str, dict[str, float]] = {}
    """The most that each component used: cpu_percent, memory_mb, handles, threads, disk_mb."""

    @property
    def duration_s(self) -> float:
        """Return how long the test took, s."""
        return (self.ended_mono_ns - self.began_mono_ns) / 1e9


class ResultsRecord(Record):
    """The tests of a run, in the order in which they ran."""

    schema_: Schema = SCHEMA
    tests: list[TestRecord] = []


class LinkRecord(Record):
    """One link of the stack that has a proxy: between what, and what passed it during the run, both ways."""

    id: str
    source: str
    to: str
    connections: int
    bytes: int


class RunRecord(Record):
    """A run as a whole. Times are UTC, ns since 1970; `verdict` is None until it ended."""

    schema_: Schema = SCHEMA
    id: str
    name: str
    suite: str
    stack: str | None = None
    profile: str | None = None
    environment: str | None = None
    mark: str | None = None
    seed: int
    fullspan: str
    machine: dict[str, str | int] = {}
    began_wall_ns: int
    began_mono_ns: int
    ended_wall_ns: int | None = None
    verdict: Verdict | None = None
    summary: str = ""
    problem: str | None = None
    expected_inconclusive: dict[str, str] = {}
    components: list[str] = []
    links: list[LinkRecord] = []
