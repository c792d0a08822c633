"""How a recording lies in a SEG-Y rev 2 file: what stands in its headers, and what only our own part of them says.

Standard fields hold what they can: the sampling interval as an IEEE double, the number of samples in 32 bits, the
first sample's second, distances in mm, the scale as transduction constant. An extended textual header of our own (a
stanza, as the standard foresees) says every field of the recording's entry exactly, and what is missing.
"""

import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np
from pydantic import ValidationError

from focus_server import __version__
from focus_server.errors import RecordingError
from focus_server.fiber import FiberGrid
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.source import Gaps, no_gaps

__all__ = ["HEAD", "SEGY", "TEXT", "parse_stanza", "patched_head", "stanza_records", "trace_header"]

SEGY: Final = frozenset({".sgy", ".segy"})
TEXT: Final = 3200
"""Bytes of each textual header."""
HEAD: Final = TEXT + 400
"""Bytes before the extended textual headers."""

_STANZA: Final = "((focus-server: Recording 1))"
_END: Final = "((SEG: EndText))"
_MOST_GAPS: Final = 300_000
"""At 85 bytes each they fit in the 32,767 headers that there may be."""
_OF_THE_PLACE: Final = {"base_path", "path", "deleted"}
_NUMBERS: Final = frozenset(
    {"start_ns", "end_ns", "channels", "first_channel", "samples", "t0_ns", "fs_num", "fs_den", "first_sample"}
)
_UNIT_CODES: Final[Mapping[str, int]] = {"Pa": 1, "V": 2, "m": 5, "m/s": 6}
"""Transduction units of the standard; -1 is another one."""
_EBCDIC: Final = "cp037"
_UTC: Final = 4
_LIVE, _DEAD = 1, 2


def interval_us(entry: RecordingEntry) -> Fraction:
    """Return the sampling interval in microseconds, exactly."""
    return 1_000_000 / entry.fs


def patched_head(head: bytes, entry: RecordingEntry, records: int) -> bytes:
    """Return the first 3600 bytes with text and with the fields of rev 2 that the library cannot write."""
    out = bytearray(head)
    out[:TEXT] = _card_text(entry).encode(_EBCDIC)
    interval, samples = interval_us(entry), entry.samples

    def put(byte: int, kind: str, value: float) -> None:
        struct.pack_into(f">{kind}", out, byte - 1, value)

    put(3217, "H", _short(round(interval)))
    put(3219, "H", 0)
    put(3221, "H", _short(samples))
    put(3223, "H", 0)
    put(3213, "h", _signed(entry.channels))
    put(3215, "h", 0)
    put(3225, "h", 5)
    put(3229, "h", 1)  # as recorded, no sorting
    put(3255, "h", 1)  # metres
    put(3261, "I", entry.channels)
    put(3269, "I", samples)
    put(3273, "d", float(interval))
    put(3281, "d", 0.0)
    put(3289, "I", 0)
    put(3297, "I", 0x01020304)
    put(3501, "B", 2)
    put(3502, "B", 0)
    put(3503, "h", 1)
    put(3505, "h", records)
    put(3511, "h", _UTC)
    put(3513, "Q", entry.channels)
    put(3521, "Q", HEAD + records * TEXT)
    return bytes(out)


def trace_header(entry: RecordingEntry, column: int, dead: bool) -> dict[int, int]:
    """Return the header of the trace of a column, counted from 0: values by their first byte, counted from 1."""
    start = datetime.fromtimestamp(entry.start_ns // 1_000_000_000, UTC)
    metres = entry.fiber_start_meters + column * entry.dx
    mantissa, power = _power_of_ten(entry.scale)
    unit = _UNIT_CODES.get(entry.units, -1)
    return {
        1: column + 1, 5: column + 1, 9: 1, 13: entry.first_channel + column, 29: _DEAD if dead else _LIVE,
        37: _int32(metres), 71: -1000, 81: _int32(metres * 1000), 89: 1,
        115: _short(entry.samples), 117: _short(round(interval_us(entry))),
        157: start.year, 159: start.timetuple().tm_yday, 161: start.hour, 163: start.minute, 165: start.second,
        167: _UTC, 203: unit if entry.scale == "1" else -1, 205: mantissa, 209: power, 211: unit,
    }  # fmt: skip


def stanza_records(entry: RecordingEntry, gaps: Gaps) -> list[bytes]:
    """Return the extended textual headers, 3200 bytes each. Raises `RecordingError` when there are too many gaps."""
    if len(gaps) > _MOST_GAPS:
        raise RecordingError(f"{len(gaps)} gaps do not fit in the headers of SEG-Y; export a shorter time, or HDF5.")
    fields = entry.model_dump(exclude=_OF_THE_PLACE, exclude_none=True) | {"gaps": int(entry.gaps)}
    lines = [_STANZA, *(f"{name} = {quote(str(value))}" for name, value in fields.items())]
    lines += [f"gap = {' '.join(map(str, row))}" for row in gaps.tolist()]
    text = "".join(f"{line}\r\n" for line in lines).encode(_EBCDIC)
    records = [text[begin : begin + TEXT] for begin in range(0, len(text), TEXT)] + [f"{_END}\r\n".encode(_EBCDIC)]
    return [record.ljust(TEXT, " ".encode(_EBCDIC)) for record in records]


def parse_stanza(extended: bytes) -> tuple[RecordingEntry, Gaps] | None:
    """Read what `stanza_records` wrote; None when these headers are of another program.

    Raises `RecordingError` when it is ours and wrong.
    """
    text = extended.decode(_EBCDIC, errors="replace")
    _, found, text = text.partition(_STANZA)
    if not found:
        return None
    pairs = list(_pairs(text.partition("((")[0]))
    rows = [value.split() for name, value in pairs if name == "gap"]
    fields: dict[str, Any] = {name: unquote(value) for name, value in pairs if name != "gap"}
    try:
        fields |= {name: int(value) for name, value in fields.items() if name in _NUMBERS}
        gaps = np.array([[int(part) for part in row] for row in rows], np.int64).reshape(-1, 4) if rows else no_gaps()
        entry = RecordingEntry.model_validate({**fields, "base_path": "", "path": None})
    except (ValidationError, ValueError, OverflowError):
        raise RecordingError("its stanza of focus-server is damaged; export it anew") from None
    grid = FiberGrid(entry.t0_ns, entry.fs_num, entry.fs_den)
    if (entry.start_ns, entry.end_ns) != (grid.time_ns(entry.first_sample), grid.time_ns(entry.end_sample)):
        raise RecordingError("its stanza of focus-server has times that do not fit its own grid; export it anew")
    return entry, gaps


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            yield name.strip(), value.strip()


def _card_text(entry: RecordingEntry) -> str:
    """Return the 40 lines of 80 signs that a person reads."""
    places = entry.fiber_start_meters, entry.dx
    cards = {
        1: f"RECORDING OF FIBRE {entry.site}, WRITTEN BY FOCUS-SERVER {__version__}",
        2: f"{entry.channels} TRACES, ONE FOR EACH CHANNEL FROM {entry.first_channel} ON",
        3: f"{entry.samples} SAMPLES AT {float(entry.fs):.9g} PER SECOND ({entry.fs_num}/{entry.fs_den})",
        4: f"FIRST SAMPLE {np.datetime64(entry.start_ns, 'ns')} UTC",
        5: f"FIRST TRACE AT {places[0]:.9g} M, ONE EACH {places[1]:.9g} M (GROUP X, BYTES 81-84, MM)",
        6: f"VALUES ARE {entry.dtype}; PHYSICAL = VALUE * {entry.scale} {entry.units}",
        7: "WHAT IS MISSING IS NAN, AND A TRACE WITHOUT ANY SAMPLE IS MARKED DEAD",
        8: "EXACT IN THE EXTENDED TEXTUAL HEADER: TIME IN NS, GRID, SCALE, GAPS",
        39: "SEG-Y REV2.0",
        40: "END TEXTUAL HEADER",
    }
    lines = [f"C{number:>2} {cards.get(number, '')}" for number in range(1, 41)]
    return "".join(line.encode("ascii", "replace").decode()[:80].ljust(80) for line in lines)


def _power_of_ten(scale: str) -> tuple[int, int]:
    """Write a decimal as a whole number of 31 bits and a power of ten, exactly when it has so few digits."""
    value = Decimal(scale)
    if not value:
        return 0, 0
    parts = value.as_tuple()
    mantissa, power = int("".join(map(str, parts.digits))), int(parts.exponent)
    while mantissa % 10 == 0 or mantissa >= 2**31:
        mantissa, power = (mantissa // 10 if mantissa % 10 == 0 else round(mantissa / 10)), power + 1
    return mantissa, power


def _short(value: int) -> int:
    """Give what 16 bits can hold, or 0, which sends the reader to the 32 bits or the double."""
    return value if value < 2**16 else 0


def _signed(value: int) -> int:
    return value if value < 2**15 else 0


def _int32(value: float) -> int:
    return max(-(2**31), min(2**31 - 1, round(value)))
