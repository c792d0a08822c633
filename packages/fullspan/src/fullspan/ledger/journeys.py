"""Journeys on disk: what a test asked of each record, so that it can be explained long after."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fullspan.errors import UsageError
from fullspan.ledger.journey import Journey, Stage

__all__ = ["find_journey", "write_journeys"]

SCHEMA: Final = pa.schema(
    [
        ("record", pa.string()),
        ("hop", pa.string()),  # the stages of a record follow each other
        ("keys", pa.list_(pa.string())),
        ("digest", pa.string()),  # JSON: of the only key, or an object of each key's; null where it is not known
        ("tolerance", pa.float64()),
    ]
)


def write_journeys(file: Path, journeys: Iterable[Journey]) -> None:
    """Write journeys as one Parquet file, a row per stage; a reader sees the whole file or none."""
    rows = [
        {
            "record": journey.key,
            "hop": stage.hop,
            "keys": list(stage.keys),
            "digest": None if stage.digest is None else json.dumps(_plain(stage)),
            "tolerance": stage.tolerance,
        }
        for journey in journeys
        for stage in journey.stages
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), part, compression="zstd")
    part.replace(file)


def find_journey(file: Path, key: str) -> Journey | None:
    """Return the journey of a record, or of the first record that depends on this key at some hop; None without one.

    Raises UsageError when the file cannot be read.
    """
    if not file.exists():
        return None
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file} cannot be read as journeys: {str(error).splitlines()[0]}") from error
    rows = table.to_pylist()
    record = next((row["record"] for row in rows if row["record"] == key), None)
    record = record or next((row["record"] for row in rows if key in row["keys"]), None)
    stages = [
        Stage(row["hop"], row["keys"], None if row["digest"] is None else json.loads(row["digest"]), row["tolerance"])
        for row in rows
        if row["record"] == record
    ]
    return Journey(record, stages) if record is not None else None


def _plain(stage: Stage) -> object:
    return stage.digest if isinstance(stage.digest, str) else dict(stage.digest or {})
