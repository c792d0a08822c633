"""Observations as columns: what the ledger's files hold, one row per observation, in the order in which they came in.

A key is kept as its stream, of which there are few, and its last part, which nearly always is the sequence number: so a
hundred million observations need no hundred million strings.
"""

import json
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from fullspan.ledger.record import Observation, Outcome

__all__ = ["SCHEMA", "VERSION", "redacted", "to_observations", "to_table"]

VERSION: Final = 1

_STREAM: Final = pa.dictionary(pa.int32(), pa.string())
_OUTCOME: Final = pa.dictionary(pa.int32(), pa.string())

SCHEMA: Final = pa.schema(
    [
        ("stream", _STREAM),  # the key without its last part; null for a key of one part
        ("sequence", pa.int64()),
        ("name", pa.string()),  # the key's last part; null where it is the sequence
        ("event_ns", pa.int64()),  # UTC, since 1970; 0 where nobody said when the record was due
        ("seen_ns", pa.int64()),  # CLOCK_MONOTONIC
        ("seen_wall_ns", pa.int64()),  # UTC, since 1970
        ("digest", pa.string()),
        ("deviation", pa.float64()),
        ("outcome", _OUTCOME),  # null: seen
        ("attributes", pa.string()),  # a JSON object; null: none
    ],
    metadata={"fullspan.schema": str(VERSION)},
)


def to_table(observations: Sequence[Observation]) -> pa.Table:
    """Return observations of one hop as a table of `SCHEMA`, n rows.

    Raises OverflowError when a sequence or a time needs more than 64 bits.
    """
    streams: list[str | None] = []
    names: list[str | None] = []
    for observation in observations:
        stream, slash, name = observation.key.rpartition("/")
        streams.append(stream if slash else None)
        names.append(None if name == str(observation.sequence) else name)
    columns = [
        pa.array(streams, pa.string()).dictionary_encode(),
        pa.array([seen.sequence for seen in observations], pa.int64()),
        pa.array(names, pa.string()),
        pa.array([seen.event_ns for seen in observations], pa.int64()),
        pa.array([seen.seen_ns for seen in observations], pa.int64()),
        pa.array([seen.seen_wall_ns for seen in observations], pa.int64()),
        pa.array([seen.digest for seen in observations], pa.string()),
        pa.array([seen.deviation for seen in observations], pa.float64()),
        pa.array([_said(seen.outcome) for seen in observations], pa.string()).dictionary_encode(),
        pa.array([_text(seen) for seen in observations], pa.string()),
    ]
    return pa.table(columns, schema=SCHEMA)


def to_observations(hop: str, table: pa.Table) -> list[Observation]:
    """Return the rows of a table of `SCHEMA` as observations of a hop."""
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in SCHEMA.names}
    return [
        Observation(
            hop=hop,
            key=_key(row["stream"], row["name"], row["sequence"]),
            sequence=row["sequence"],
            event_ns=row["event_ns"],
            seen_ns=row["seen_ns"],
            seen_wall_ns=row["seen_wall_ns"],
            digest=row["digest"],
            deviation=row["deviation"],
            attributes=MappingProxyType(json.loads(row["attributes"]) if row["attributes"] else {}),
            outcome=Outcome(row["outcome"] or Outcome.SEEN),
        )
        for row in (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    ]


def redacted(table: pa.Table, redact: Callable[[str], str]) -> pa.Table:
    """Return a table whose texts are without the secrets that `redact` takes out; keys are left as they are."""
    for name in ("digest", "attributes"):
        place = table.schema.get_field_index(name)
        column = table.column(name)
        texts = column.drop_null().to_pylist()
        # One pass over all of them: neither a digest nor JSON has a line break in it.
        told = redact("\n".join(texts)).split("\n") if texts else []
        if told != texts and len(told) == len(texts):
            fresh = iter(told)
            values = [next(fresh) if valid else None for valid in column.is_valid().to_pylist()]
            table = table.set_column(place, SCHEMA.field(name), pa.array(values, pa.string()))
    return table


def _said(outcome: Outcome) -> str | None:
    return None if outcome is Outcome.SEEN else outcome.value


def _text(observation: Observation) -> str | None:
    if not observation.attributes:
        return None
    return json.dumps(dict(observation.attributes), ensure_ascii=False, allow_nan=False)


def _key(stream: str | None, name: str | None, sequence: int) -> str:
    last = str(sequence) if name is None else name
    return last if stream is None else f"{stream}/{last}"
