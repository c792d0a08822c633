"""Faults in time, drawn from one seed or written down: what happens, to what, when and for how long.

Each fault is drawn from a stream of its own, named by the seed and its number, so that a schedule of three faults is
the beginning of the schedule of ten with the same seed. A schedule that was played is written as it really went, and
can be played again, or with faults left out.
"""

import contextlib
import itertools
import json
import os
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from fullspan.errors import UsageError
from fullspan.faults.base import Fault
from fullspan.stack.kinds import find_kind

__all__ = ["May", "Planned", "Schedule"]

SCHEMA: Final = 1
INSTEAD: Final = "FULLSPAN_SCHEDULE"
_GROUP: Final = "fullspan.faults"
_PLACES: Final = 200
_DECIMALS: Final = 3

Value = str | int | float | bool
Range = tuple[float, float]


@dataclass(frozen=True)
class May:
    """What a drawn schedule may do: a kind of fault, its targets, and its parameters.

    A parameter is a value, or a pair of numbers between which it is drawn: `May("latency", "a-b", ms=(20, 200))`.
    """

    kind: str
    targets: tuple[str, ...]
    parameters: Mapping[str, Value | Range]

    def __init__(self, kind: str, *targets: str, **parameters: Value | Range) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "parameters", parameters)

    def drawn(self, source: random.Random) -> dict[str, Value]:
        """Return the parameters, each drawn from its range."""
        return {name: _drawn(value, source) for name, value in self.parameters.items()}


def _drawn(value: Value | Range, source: random.Random) -> Value:
    if not isinstance(value, tuple):
        return value
    low, high = value
    if isinstance(low, int) and isinstance(high, int):
        return source.randint(low, high)
    return round(source.uniform(low, high), _DECIMALS)


@dataclass(frozen=True)
class Planned:
    """One fault of a schedule: from `at_s` seconds after the beginning on, for `for_s` seconds."""

    number: int
    at_s: float
    for_s: float
    kind: str
    targets: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in self.parameters.items())
        return f"#{self.number} {self.kind}({', '.join(self.targets)}{given}) at {self.at_s:g} s for {self.for_s:g} s"

    def fault(self) -> Fault:
        """Make the fault; UsageError for a kind or parameters that there are not."""
        make: Callable[..., Fault] = _kind(self.kind)
        try:
            return make(*self.targets, **self.parameters)
        except TypeError as error:
            raise UsageError(f"The fault {self} cannot be made: {error}.") from error

    def in_the_way_of(self, other: "Planned") -> bool:
        """Tell whether two faults want the same target at the same time, and cannot share it."""
        shared = set(self.targets) & set(other.targets)
        if not shared or (_kind(self.kind).shares_its_target and _kind(other.kind).shares_its_target):
            return False
        return self.at_s <= other.at_s + other.for_s and other.at_s <= self.at_s + self.for_s


@cache
def _kind(kind: str) -> type[Fault]:
    return find_kind(_GROUP, kind, Fault)  # type: ignore[type-abstract]


@dataclass(frozen=True)
class Schedule:
    """Faults in the order of their beginnings; `realised` when the times are those at which they really happened."""

    faults: tuple[Planned, ...]
    seed: int | None = None
    name: str = "schedule"
    realised: bool = False

    @classmethod
    def draw(
        cls,
        seed: int,
        may: Sequence[May],
        count: int,
        *,
        within_s: float,
        lasting_s: Range = (0.5, 3.0),
        name: str = "schedule",
    ) -> Self:
        """Draw `count` faults that begin within so many seconds; the same seed gives the same faults.

        Faults of links may overlap as it comes; a component has one fault at a time. UsageError when so many do not
        fit into the time, or when something that may happen cannot be meant.
        """
        if not may:
            raise UsageError(f"The schedule {name!r} may do nothing.", "Say what it may do: May(kind, target, ...).")
        planned: list[Planned] = []
        for number in range(1, count + 1):
            source = random.Random(f"{seed}/{name}/{number}")  # noqa: S311 - to be repeated, not to be secret
            planned.append(_placed(number, source, may, planned, within_s, lasting_s))
        drawn = cls(_in_order(planned), seed, name)
        drawn.check()
        return drawn

    def check(self) -> None:
        """Raise UsageError if one of its faults cannot be made."""
        for planned in self.faults:
            planned.fault()

    @property
    def duration_s(self) -> float:
        """When the last fault is over, seconds after the beginning."""
        return max((one.at_s + one.for_s for one in self.faults), default=0.0)

    def only(self, numbers: Collection[int]) -> "Schedule":
        """Return the schedule with these faults alone, at the same times."""
        return replace(self, faults=tuple(one for one in self.faults if one.number in numbers))

    def to_json(self) -> dict[str, Any]:
        """Return what a file holds."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "seed": self.seed,
            "realised": self.realised,
            "faults": [asdict(one) for one in self.faults],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: str = "a schedule") -> Self:
        """Read what `to_json` returned; UsageError says what of it cannot be understood."""
        try:
            if fields["schema"] != SCHEMA:
                raise UsageError(f"The schema of {where} is {fields['schema']!r}, which is not known here.")
            planned = [Planned(**one | {"targets": tuple(one["targets"])}) for one in fields["faults"]]
            whole = cls(_in_order(planned), fields["seed"], fields["name"], fields["realised"])
        except (KeyError, TypeError) as error:
            raise UsageError(f"What {where} says is no schedule: {error}.") from error
        whole.check()
        return whole

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; UsageError when it holds no schedule."""
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError) as error:
            raise UsageError(f"The schedule {path} cannot be read: {error}.") from error

    def write(self, path: Path) -> Path:
        """Write it to a file, which is there as a whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        return new.replace(path)

    def write_new(self, folder: Path) -> Path:
        """Write it to a file of its name, or with a number behind it, that nobody has written; return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / (f"{self.name}.json" if number == 1 else f"{self.name}-{number}.json")
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                return self.write(path)
        raise AssertionError  # there are always more numbers

    def or_instead(self) -> "Schedule":
        """Return the schedule that the environment names in FULLSPAN_SCHEDULE if it is one of this name."""
        given = os.environ.get(INSTEAD)
        if not given:
            return self
        other = Schedule.read(Path(given))
        return other if other.name == self.name else self


def _placed(
    number: int, source: random.Random, may: Sequence[May], others: Sequence[Planned], within_s: float, lasting_s: Range
) -> Planned:
    for _ in range(_PLACES):
        one = source.choice(may)
        planned = Planned(
            number=number,
            at_s=round(source.uniform(0, within_s), _DECIMALS),
            for_s=round(source.uniform(*lasting_s), _DECIMALS),
            kind=one.kind,
            targets=one.targets,
            parameters=one.drawn(source),
        )
        if not any(planned.in_the_way_of(other) for other in others):
            return planned
    raise UsageError(
        f"There is no room for fault {number} within {within_s:g} s: a component has one fault at a time.",
        "Give it more time, fewer or shorter faults, or more targets.",
    )


def _in_order(planned: Sequence[Planned]) -> tuple[Planned, ...]:
    return tuple(sorted(planned, key=lambda one: (one.at_s, one.number)))
