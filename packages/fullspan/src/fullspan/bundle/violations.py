"""What went wrong in one test, record by record: the file `violations.json` beside the test's observations."""

from typing import Any

from pydantic import Field

from fullspan.bundle.records import SCHEMA, FaultSpan, Record, Schema

__all__ = ["StageRecord", "ViolationRecord", "ViolationsRecord"]


class StageRecord(Record):
    """One hop of a record's journey: at most five of its `key_count` keys, and what was first seen of each, if it was.

    Observations are written as the ledger does.
    """

    hop: str
    keys: list[str]
    key_count: int
    seen: list[dict[str, Any]]


class ViolationRecord(Record):
    """One key that went wrong at one hop; at most five observations and two faults show it.

    `records` are at most five of the `record_count` journeys that depend on the key; `journey` is that of the first.
    """

    title: str
    kind: str
    hop: str
    key: str
    first_bad_hop: str
    is_root: bool
    detail: str
    records: list[str]
    record_count: int
    swapped_with: str | None = None
    witness: list[dict[str, Any]] = Field(default_factory=list)
    faults: list[FaultSpan] = Field(default_factory=list)
    journey: list[StageRecord] = Field(default_factory=list)


class ViolationsRecord(Record):
    """The violations of one test, roots first; `total` counts also those that are too many to be kept."""

    schema_: Schema = SCHEMA
    test: str
    total: int = 0
    violations: list[ViolationRecord] = Field(default_factory=list)
