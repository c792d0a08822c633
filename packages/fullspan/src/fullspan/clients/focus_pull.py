"""Rows as GET /waterfall gives them: the pull interface of clients that cannot hold a stream open."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx


@dataclass(frozen=True, slots=True)
class PulledRow:
    """One line: its number, the time it covers in ms since 1970 (UTC), and each sensor's amplitudes.

    A sensor has one amplitude per frequency, or a single one in a waterfall; what was not there is NaN.
    """

    number: int
    start_ms: int
    end_ms: int
    sensors: Mapping[int, tuple[float, ...]]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from a row."""
        return cls(
            number=int(document["canvasId"]),
            start_ms=int(document["startTimestamp"]),
            end_ms=int(document["endTimestamp"]),
            sensors={int(sensor["id"]): _amplitudes(sensor["intensity"]) for sensor in document["sensors"]},
        )


@dataclass(frozen=True, slots=True)
class PulledBlock:
    """Consecutive rows, with the largest and smallest finite amplitude among them."""

    rows: tuple[PulledRow, ...]
    largest: float
    smallest: float

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from a block."""
        rows = tuple(PulledRow.read(row) for row in document["rows"])
        return cls(rows, _number(document["current_max_amp"]), _number(document["current_min_amp"]))


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one call gave: blocks that no later call gives again, and whether nothing more will come."""

    blocks: tuple[PulledBlock, ...]
    complete: bool

    @classmethod
    def read(cls, response: httpx.Response) -> Self:
        """Read an answer: 200 nothing yet, 201 blocks, 208 a recording was played and given to its end."""
        documents = response.json() if response.status_code == 201 else []
        return cls(tuple(PulledBlock.read(document) for document in documents), response.status_code == 208)


def _amplitudes(intensity: Any) -> tuple[float, ...]:
    values = intensity if isinstance(intensity, list) else [intensity]
    return tuple(_number(value) for value in values)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
