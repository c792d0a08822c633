"""What the feed keeps of the numbers: the newer or the older, whole, on a full disk too."""

from contextlib import suppress

import pytest

from k2.errors import BusError
from k2.feed.kept import Kept


def filled(folder, name):
    """Fill a disk to its last byte."""
    size = 2**16
    with (folder / name).open("wb", buffering=0) as file:
        while size:
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
            size //= 2


def test_what_was_written_last_is_read(tmp_path):
    assert Kept(tmp_path).read() is None
    for at in (1, 2):
        Kept(tmp_path).write({"at": at})
        assert Kept(tmp_path).read() == {"at": at}


def test_a_full_disk_has_room_for_it_and_without_its_reserve_the_older_stays(small_disk):
    kept = Kept(small_disk)
    kept.write({"at": 1})
    for at in range(2, 5):
        filled(small_disk, f"before {at}")
        kept.write({"at": at, "symbols": "x" * 900 * at})
        assert kept.read()["at"] == at
    (small_disk / "reserve").unlink()
    filled(small_disk, "the rest")
    with pytest.raises(OSError, match="No space left"):
        kept.write({"at": 9})
    assert kept.read()["at"] == 4
    (small_disk / "the rest").unlink()
    kept.write({"at": 10})
    assert kept.read() == {"at": 10}
    assert (small_disk / "reserve").stat().st_size == 2**16


def test_a_file_that_is_none_is_told(tmp_path):
    Kept(tmp_path).write({"at": 1})
    (path,) = tmp_path.glob("*.json")
    path.write_text('{"at"')
    with pytest.raises(BusError, match=r"numbers\.json cannot be read: .*; move it away"):
        Kept(tmp_path).read()
