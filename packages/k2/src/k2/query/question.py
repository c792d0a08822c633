"""What is asked of a table, as a value: columns, conditions, order and how much; never SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, get_args

from k2.errors import QueryError
from k2.lake.tables import TableForm
from k2.schema import Column, Kind

__all__ = ["Condition", "Operator", "Question", "column_of", "micros"]

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)

_MOST_OF_IN: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """A row counts when its column compares so to the value; for `in` to one of the values of a list."""

    column: str
    operator: Operator
    value: Any

    def sql(self, form: TableForm) -> tuple[str, list[Any]]:
        """Return the condition with its parameters. Raises QueryError."""
        column = column_of(form, self.column)
        if column.kind in {Kind.MAP, Kind.TEXTS}:
            raise QueryError("column", f"{self.column} holds several values and cannot be compared.")
        side = f'"{column.name}"'
        if self.operator == "in":
            if not isinstance(self.value, list) or not 0 < len(self.value) <= _MOST_OF_IN:
                raise QueryError("value", f"`in` needs a list of 1 to {_MOST_OF_IN} values for {self.column}.")
            values = [_parameter(column, value) for value in self.value]
            return f"{side} IN ({','.join('?' for _ in values)})", values
        return f"{side} {'<>' if self.operator == '!=' else self.operator} ?", [_parameter(column, self.value)]


@dataclass(frozen=True, slots=True)
class Question:
    """Rows of a table: which, in which order, how many after how many.

    `order` are columns with True for the largest first; times bound the table's own time column: from `start_us`,
    before `end_us`, in microseconds since 1970, UTC.
    """

    form: TableForm
    columns: tuple[str, ...] = ()
    symbol: str | None = None
    exchange: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    conditions: Sequence[Condition] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = 100
    offset: int = 0

    def where(self) -> tuple[str, list[Any]]:
        """Return all conditions with their parameters. Raises QueryError."""
        time = f'"{self.form.time}"'
        parts: list[tuple[str, list[Any]]] = [condition.sql(self.form) for condition in self.conditions]
        for text, value in (
            ('"symbol" = ?', self.symbol),
            ('"exchange" = ?', self.exchange),
            (f"{time} >= ?", None if self.start_us is None else _moment(self.start_us)),
            (f"{time} < ?", None if self.end_us is None else _moment(self.end_us)),
        ):
            if value is not None:
                parts.append((text, [value]))
        return " AND ".join(text for text, _ in parts) or "true", [value for _, values in parts for value in values]

    def ordered(self) -> tuple[tuple[str, bool], ...]:
        """Return the whole order: what was asked for, then what tells all rows apart. Raises QueryError."""
        for name, _ in self.order:
            if column_of(self.form, name).kind in {Kind.MAP, Kind.TEXTS}:
                raise QueryError("column", f"{name} holds several values and cannot be sorted by.")
        order = self.order or ((self.form.time, True),)
        names = {name for name, _ in order}
        rest = [name for name in self._telling() if name not in names]
        return (*order, *((name, order[0][1]) for name in rest))

    def _telling(self) -> tuple[str, ...]:
        columns = ("source_sequence",) if self.form.fed else ()
        return (self.form.time, *columns, "symbol", "exchange")


def column_of(form: TableForm, name: str) -> Column:
    """Return a column of a table. Raises QueryError, which lists those that there are."""
    found = next((column for column in form.record.columns if column.name == name), None)
    if found is None:
        names = ", ".join(column.name for column in form.record.columns)
        raise QueryError("column", f"{form.name} has no column {name!r}; it has {names}.")
    return found


def micros(text: str) -> int:
    """Read a time: ISO, UTC when it names no zone. Raises QueryError."""
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.utcoffset() is None else time
        since = time.astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError):
        raise QueryError("time", f"{text!r} is no time; write 2026-01-31T23:59:59.123456Z.") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _moment(us: int) -> datetime:
    """Return a time as the engine compares it to a column, whose files say between which times they lie."""
    return _EPOCH + timedelta(microseconds=us)


def _parameter(column: Column, value: Any) -> Any:
    match column.kind:
        case Kind.MICROS if isinstance(value, str):
            return _moment(micros(value))
        case Kind.LONG if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case Kind.DECIMAL if isinstance(value, str):
            return _decimal(column, value)
        case Kind.TEXT | Kind.CHOICE if isinstance(value, str):
            return value
    wanted = {
        Kind.MICROS: "a time as text",
        Kind.LONG: "a whole number",
        Kind.DECIMAL: "a decimal as text, which keeps all its digits,",
    }.get(column.kind, "text")
    raise QueryError("value", f"{column.name} is compared to {wanted} and not to {value!r}.")


def _decimal(column: Column, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value.adjusted()) > 38:
        raise QueryError("value", f"{column.name} is compared to {text!r}, which is no decimal that it can have.")
    return value
