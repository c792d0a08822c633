"""The queue on the disk: what was added is there after any end, what was confirmed is not."""

from contextlib import ExitStack, closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2.bus import spool as module
from k2.bus.spool import Entry, Spool
from k2.errors import BusError

entries = st.builds(
    Entry,
    st.sampled_from(["trades", "märkte"]),
    st.binary(max_size=5),
    st.binary(max_size=40),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.just("é"), max_size=2),
)


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 100)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(entries, st.booleans(), st.none() | st.floats(0, 1), st.booleans()), max_size=30))
def test_what_is_not_confirmed_is_there_again(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    written, positions, confirmed = [], [], 0
    with ExitStack() as stack:
        spool = stack.enter_context(closing(Spool(folder, 2**20)))
        for entry, flush, share, again in steps:
            written.append(entry)
            positions.append(spool.append(entry))
            if flush:
                spool.flush()
            if share is not None:
                confirmed += int(share * (len(positions) - confirmed))
                spool.confirm(positions[confirmed - 1] if confirmed else 0)
            if again:
                spool.close()
                spool = stack.enter_context(closing(Spool(folder, 2**20)))
        spool.flush()
        at = spool.confirmed
        assert at == (positions[confirmed - 1] if confirmed else 0)
        assert list(spool.since(at)) == list(zip(positions, written, strict=True))[confirmed:]
        assert spool.waiting == spool.end - at


@pytest.fixture
def opened():
    """Open spools; at the end all are closed."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(Spool(*arguments)))


def test_an_unfinished_record_is_cut_off_and_others_follow_it(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    first = spool.append(Entry("t", b"k", b"whole"))
    spool.append(Entry("t", b"k", b"not whole"))
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-3])
    again = opened(tmp_path, 2**20)
    assert again.end == first
    again.append(Entry("t", b"k", b"next"))
    again.flush()
    assert [entry.value for _, entry in again.since(0)] == [b"whole", b"next"]


def test_damage_is_told_not_skipped(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    for number in range(20):
        spool.append(Entry("t", b"k", b"%09d" % number))
    spool.close()
    path = sorted(tmp_path.glob("*.spool"))[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BusError, match="is damaged at byte"):
        list(opened(tmp_path, 2**20).since(0))


def test_files_go_when_nobody_needs_them_any_more(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    positions = [spool.append(Entry("t", b"k", bytes(50))) for _ in range(10)]
    assert len(list(tmp_path.glob("*.spool"))) == 5
    spool.confirm(positions[-1], needed_from=positions[3])
    assert len(list(tmp_path.glob("*.spool"))) == 3
    spool.confirm(positions[-1])
    assert len(list(tmp_path.glob("*.spool"))) == 1
    assert spool.waiting == 0


def test_it_is_full_at_its_limit(tmp_path, opened):
    spool = opened(tmp_path, 200)
    while not spool.full:
        end = spool.append(Entry("t", b"k", bytes(50)))
    assert 200 <= end < 300
    spool.confirm(end - 100)
    assert not spool.full


def test_a_folder_that_cannot_be_used_is_told(tmp_path, opened):
    (tmp_path / "file").touch()
    with pytest.raises(BusError, match="choose another --spool-dir"):
        opened(tmp_path / "file" / "spool", 100)
