"""Which numbers are stored, against a set that knows every one of them."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2.errors import LakeError
from k2.lake.seen import Seen

ROWS = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.one_of(st.none(), st.integers(0, 30))), max_size=20)


def table(rows):
    return pa.table(
        {
            "exchange": pa.array(["X"] * len(rows), pa.string()),
            "symbol": pa.array([symbol for symbol, _ in rows], pa.string()),
            "source_sequence": pa.array([number for _, number in rows], pa.int64()),
            "place": pa.array(range(len(rows)), pa.int64()),
        }
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, max_size=5))
def test_a_number_is_kept_once_whatever_comes_in_which_order(batches):
    seen, known = Seen(), set()
    for rows in batches:
        kept, seen = seen.add(table(rows))
        expected = []
        for place, row in enumerate(rows):
            if row[1] is None or row not in known:
                expected.append(place)
            if row[1] is not None:
                known.add(row)
        assert kept.column("place").to_pylist() == expected
        seen = Seen.read(seen.text())
    stored = {
        (symbol, number)
        for symbol in "AB"
        for first, last in seen.ranges(f"X:{symbol}")
        for number in range(first, last + 1)
    }
    assert stored == known


def test_ranges_that_touch_are_one_and_gaps_are_told():
    _, seen = Seen().add(table([("A", number) for number in (1, 2, 3, 7, 8, 12)]))
    assert seen.ranges("X:A") == [(1, 3), (7, 8), (12, 12)]
    assert seen.gaps() == {"X:A": [(4, 6), (9, 11)]}
    _, seen = seen.add(table([("A", number) for number in (4, 5, 6)]))
    assert seen.ranges("X:A") == [(1, 8), (12, 12)]


def test_what_several_have_seen_is_joined():
    parts = [Seen.of(table([("A", number) for number in numbers])) for numbers in ((1, 2, 9), (3, 4), (20,))]
    assert Seen().join(parts).ranges("X:A") == [(1, 4), (9, 9), (20, 20)]


@pytest.mark.parametrize("text", ["", "[]", '{"X:A": [[1]]}', '{"X:A": "no"}'])
def test_what_is_no_map_of_ranges_is_refused(text):
    with pytest.raises(LakeError, match="k2 repair"):
        Seen.read(text)
