"""The queue on the disk: what was added is there after any end, what was confirmed is not."""

import resource
from contextlib import ExitStack, closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2.bus import spool as module
from k2.bus.spool import Entry, Spool
from k2.errors import BusError, SpoolDown

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
@given(st.lists(st.tuples(entries, st.none() | st.floats(0, 1), st.booleans()), max_size=30))
def test_what_is_not_confirmed_is_there_again(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    written, positions, confirmed = [], [], 0
    with ExitStack() as stack:
        spool = stack.enter_context(closing(Spool(folder, 2**20)))
        for entry, share, again in steps:
            written.append(entry)
            positions.append(spool.append(entry))
            if share is not None:
                confirmed += int(share * (len(positions) - confirmed))
                spool.confirm(positions[confirmed - 1] if confirmed else 0)
            if again:
                spool.close()
                spool = stack.enter_context(closing(Spool(folder, 2**20)))
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
    assert [entry.value for _, entry in again.since(0)] == [b"whole", b"next"]


def test_a_record_is_the_kernels_before_it_is_told_that_it_is_in(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    end = spool.append(Entry("t", b"k", b"first"))
    assert opened(tmp_path, 2**20).end == end, "what a process that is killed now has left"


@contextmanager
def files_of_at_most(size):
    """Let no file of this process grow beyond a size: to who writes that is a full disk, and nobody need be root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", range(0, 60, 7))
def test_what_the_disk_refuses_is_not_in_and_nothing_half_of_it(tmp_path, opened, room):
    spool = opened(tmp_path, 2**20)
    end = spool.append(Entry("t", b"k", b"whole"))
    with files_of_at_most(end + room):
        for _ in range(2):
            with pytest.raises(SpoolDown, match="cannot be written: File too large; make room there"):
                spool.append(Entry("t", b"k", bytes(50)))
    (path,) = tmp_path.glob("*.spool")
    assert path.stat().st_size == end + room, "some of it was written"
    assert [entry.value for _, entry in spool.since(0)] == [b"whole"]
    shorter = spool.append(Entry("t", b"k", b"shorter"))
    assert shorter == spool.end == end + len(Entry("t", b"k", b"shorter").encode())
    again = opened(tmp_path, 2**20)
    assert (again.end, [entry.value for _, entry in again.since(0)]) == (shorter, [b"whole", b"shorter"])


def test_a_kill_on_a_full_disk_leaves_whole_records_only(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    end = spool.append(Entry("t", b"k", b"whole"))
    with files_of_at_most(end + 40), pytest.raises(SpoolDown):
        spool.append(Entry("t", b"k", bytes(50)))
    again = opened(tmp_path, 2**20)
    assert again.end == end
    again.append(Entry("t", b"k", b"next"))
    assert [entry.value for _, entry in again.since(0)] == [b"whole", b"next"]


def test_on_a_full_disk_the_last_file_goes_too_when_all_of_it_has_arrived(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    end = spool.append(Entry("t", b"k", b"arrived"))
    (former,) = tmp_path.glob("*.spool")
    with files_of_at_most(end + 10):
        with pytest.raises(SpoolDown):
            spool.append(Entry("t", b"k", b"next"))
        spool.confirm(end, needed_from=0)
        spool.append(Entry("t", b"k", b"next"))
    assert former.exists(), "it is needed elsewhere"
    spool.confirm(end)
    assert not former.exists()
    assert [entry.value for _, entry in opened(tmp_path, 2**20).since(end)] == [b"next"]


def test_what_cannot_be_deleted_now_is_deleted_later(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    positions = [spool.append(Entry("t", b"k", bytes(50))) for _ in range(4)]
    first = min(tmp_path.glob("*.spool"))
    kept = tmp_path / "kept"
    first.rename(kept)
    first.mkdir()  # which cannot be unlinked
    spool.confirm(positions[-1])
    assert spool.confirmed == positions[-1]
    first.rmdir()
    kept.rename(first)
    spool.confirm(positions[-1])
    assert len(list(tmp_path.glob("*.spool"))) == 1
    assert opened(tmp_path, 2**20).confirmed == positions[-1]


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


def test_a_file_that_somebody_took_away_is_told(tmp_path, opened):
    spool = opened(tmp_path, 2**20)
    spool.append(Entry("t", b"k", b"value"))
    (path,) = tmp_path.glob("*.spool")
    path.unlink()
    with pytest.raises(BusError, match="cannot be read: No such file or directory; choose another --spool-dir"):
        list(spool.since(0))


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
