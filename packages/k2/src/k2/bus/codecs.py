"""Records as Kafka carries them, in Avro: written one by one, read in bulk.

Two forms are written and read: the Confluent wire format and Avro's single objects. A writer that keeps up with bursts
reads fifty thousand values a second and many times that, so `Codec.decode` makes an Arrow table of a whole batch
without an object per value. What has another schema than today's (an older version of it) is read one by one, by
Avro's rules of resolution. What reading in bulk needs is imported with the first batch: who only writes does without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Protocol

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from k2.errors import BusError, CodecError
from k2.schema import Kind, Quote, Record, Trade

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from k2.settings import BusSettings

__all__ = ["Codec", "Decoded", "Rejected", "SchemaSource", "registry_of"]

_SINGLE_OBJECT: Final = b"\xc3\x01"
_CONFLUENT: Final = b"\x00"
_EXACT: Final = Context(prec=80, traps=[Inexact, InvalidOperation])


class SchemaSource(Protocol):
    """Where schemas have numbers: a schema registry."""

    def register(self, subject: str, schema: str) -> int:
        """Return the number of a schema (JSON), which is entered when it is new; raises BusError."""

    def schema(self, number: int) -> str:
        """Return the schema (JSON) of a number; raises CodecError when there is none, BusError when it is away."""


def registry_of(settings: BusSettings) -> SchemaSource | None:
    """Return the schema registry that the settings name, None when they name none."""
    url = settings.schema_registry_url
    if url is None:
        return None
    from k2.bus.registry import SchemaRegistry

    return SchemaRegistry(url.get_secret_value())


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that is no record: its place in the batch, the reason in one word, and the sentence for a person."""

    index: int
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch: the good rows in order, and what was rejected, in order. Rows and rejected make up the batch."""

    table: pa.Table
    rejected: tuple[Rejected, ...]


class Codec:
    """Writes and reads the values of one kind of record.

    With a `registry` it writes the Confluent wire format under `subject`; without one Avro's single-object encoding.
    It reads both, the first only with a registry. `older` are schemas of earlier versions that single objects may have.
    """

    def __init__(
        self,
        record: Record,
        registry: SchemaSource | None = None,
        subject: str | None = None,
        older: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.record = record
        self._registry = registry
        self._subject = subject or f"{record.name.lower()}-value"
        self._canonical = to_parsing_canonical_form(record.avro())
        self._parsed = parse_schema(record.avro())
        self._fingerprint = _fingerprint(record.avro())
        self._older = {_fingerprint(schema): parse_schema(schema) for schema in older}
        self._numbers: dict[int, Any] = {}  # what the registry said: the schema, or None for today's
        self._makers: list[tuple[str, Callable[[Any], Any]]] = [
            (column.name, _maker(column.kind, column.precision, column.scale)) for column in record.columns
        ]

    @cached_property
    def prefix(self) -> bytes:
        """What every written value begins with; with a registry the schema is entered there first (BusError)."""
        if self._registry is None:
            return _SINGLE_OBJECT + self._fingerprint
        number = self._registry.register(self._subject, json.dumps(self.record.avro()))
        return _CONFLUENT + number.to_bytes(4, "big")

    def encode(self, record: Trade | Quote) -> bytes:
        """Write one record; CodecError `precision` when a number does not fit its column."""
        out = BytesIO(self.prefix)
        out.seek(0, 2)
        values = {name: make(getattr(record, name)) for name, make in self._makers}
        try:
            fastavro.schemaless_writer(out, self._parsed, values)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise CodecError("value", f"A {self.record.name} cannot be written: {error}.") from None
        return out.getvalue()

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """Read a batch: an Arrow table of the good rows in order, and the rejected ones with their reasons.

        Raises BusError when the schema registry is needed and away.
        """
        import numpy as np
        import pyarrow as pa

        from k2.bus.columns import Columns

        present = [value or b"" for value in values]
        lengths = np.fromiter(map(len, present), dtype=np.int64, count=len(present))
        joined = b"".join(present)
        ends = np.cumsum(lengths)
        starts = ends - lengths
        skip = self._today(joined, starts, lengths)
        quick = np.flatnonzero(skip)
        rejected: list[Rejected] = []
        good = np.ones(len(present), dtype=np.bool_)
        columns = Columns(self.record, joined, starts[quick] + skip[quick], ends[quick])
        for wrong in np.flatnonzero(columns.bad | columns.unfit):
            index = int(quick[wrong])
            rejected.append(self._explain(index, present[index], bool(columns.unfit[wrong])))
            good[index] = False
        table = columns.table()
        if len(quick) == len(present):
            return Decoded(table, tuple(rejected))
        slow: list[dict[str, Any]] = []
        taken: list[int] = []
        for other in map(int, np.flatnonzero(skip == 0)):
            try:
                slow.append(self.decode_one(present[other]))
                taken.append(other)
            except CodecError as error:
                rejected.append(Rejected(other, error.reason, str(error)))
        if slow:
            merged = pa.concat_tables([table, pa.Table.from_pylist(slow, schema=self.record.arrow())])
            order = np.argsort(np.concatenate([quick[good[quick]], np.asarray(taken, dtype=np.int64)]))
            table = merged.take(pa.array(order))
        return Decoded(table, tuple(sorted(rejected, key=lambda one: one.index)))

    def decode_one(self, value: bytes | None) -> dict[str, Any]:
        """Read one value; times come as zone-aware datetimes. Raises CodecError, and BusError like `decode`."""
        if not value:
            raise CodecError("empty", f"A {self.record.name} has no value.")
        written, skip = self._written(value)
        stream = BytesIO(value)
        stream.seek(skip)
        try:
            read = fastavro.schemaless_reader(stream, written, self._parsed)
        except CodecError:
            raise
        except Exception as error:  # the library raises whatever the bytes lead it into
            raise CodecError(
                "malformed", f"A {self.record.name} cannot be read: {type(error).__name__} {error}."
            ) from None
        if stream.tell() != len(value):
            raise CodecError("malformed", f"A {self.record.name} is followed by {len(value) - stream.tell()} bytes.")
        assert isinstance(read, dict)  # noqa: S101 - the schema is that of a record
        self._check_decimals(read)
        return read

    def _check_decimals(self, read: dict[str, Any]) -> None:
        for column in self.record.columns:
            if column.kind is not Kind.DECIMAL:
                continue
            if abs(read[column.name].scaleb(column.scale, _EXACT)) >= 10**column.precision:
                raise CodecError("precision", f"{column.name} does not fit decimal({column.precision},{column.scale}).")

    def _explain(self, index: int, value: bytes, unfit: bool) -> Rejected:
        """Find the sentence for a value that the bulk reader refused."""
        try:
            self.decode_one(value)
        except CodecError as error:
            return Rejected(index, error.reason, str(error))
        reason = "precision" if unfit else "malformed"
        return Rejected(index, reason, f"A {self.record.name} is not as the Avro specification writes it.")

    def _today(self, joined: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many bytes precede each record that has today's schema, 0 for all others, shape (n,)."""
        import numpy as np

        data = np.frombuffer(joined + bytes(16), dtype=np.uint8)
        skip = np.zeros(len(starts), dtype=np.int64)
        head = _SINGLE_OBJECT + self._fingerprint
        single = lengths > len(head)
        for place, byte in enumerate(head):
            single &= data[starts + place] == byte
        skip[single] = len(head)
        if self._registry is not None:
            framed = (lengths > 5) & (data[starts] == 0)
            numbers = sum(data[starts + 1 + place].astype(np.int64) << (24 - 8 * place) for place in range(4))
            for number in np.unique(np.asarray(numbers)[framed]):
                try:
                    today = self._of_number(int(number)) is None
                except CodecError:
                    continue
                if today:
                    skip[framed & (numbers == number)] = 5
        return skip

    def _written(self, value: bytes) -> tuple[Any, int]:
        """Return the schema that a value was written with, and where it begins."""
        if value.startswith(_SINGLE_OBJECT):
            found = self._parsed if value[2:10] == self._fingerprint else self._older.get(value[2:10])
            if found is None:
                raise CodecError(
                    "unknown_schema", f"A {self.record.name} has the unknown schema fingerprint {value[2:10].hex()}."
                )
            return found, 10
        if value.startswith(_CONFLUENT) and len(value) > 5:
            if self._registry is None:
                raise CodecError(
                    "unknown_schema",
                    f"A {self.record.name} names a schema of a registry; set K2_SCHEMA_REGISTRY_URL to read it.",
                )
            return self._of_number(int.from_bytes(value[1:5], "big")) or self._parsed, 5
        raise CodecError("malformed", f"A {self.record.name} begins with {value[:2].hex()}, which is no Avro form.")

    def _of_number(self, number: int) -> Any:
        """Return the schema of a number, None when it is today's."""
        if number not in self._numbers:
            if self._registry is None:
                raise BusError("There is no schema registry; set K2_SCHEMA_REGISTRY_URL.")
            try:
                schema = json.loads(self._registry.schema(number))
                today = to_parsing_canonical_form(schema) == self._canonical
                self._numbers[number] = None if today else parse_schema(schema)
            except (ValueError, fastavro.schema.SchemaParseException) as error:
                raise CodecError("unknown_schema", f"Schema {number} of the registry is no Avro: {error}.") from None
        return self._numbers[number]


def _fingerprint(schema: dict[str, Any]) -> bytes:
    """Return the CRC-64-AVRO of the canonical form, as single objects carry it (little-endian)."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def _maker(kind: Kind, precision: int, scale: int) -> Callable[[Any], Any]:
    if kind is not Kind.DECIMAL:
        return list if kind is Kind.TEXTS else _same
    bound = 10**precision

    def unscaled(value: Decimal) -> bytes:
        try:
            number = int(_EXACT.to_integral_exact(value.scaleb(scale, _EXACT)))
        except (Inexact, InvalidOperation, ValueError, OverflowError):  # the last two: NaN and infinities
            number = bound
        if abs(number) >= bound:
            raise CodecError("precision", f"{value} does not fit decimal({precision},{scale}).")
        # One bit more than the number has, for the sign.
        return number.to_bytes(((number if number >= 0 else ~number).bit_length() + 8) // 8, "big", signed=True)

    return unscaled


def _same(value: Any) -> Any:
    return value
