"""`focus-server export` and `focus-server import FILE`, with all that their user sees, on a real catalogue."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from focus_server.analyzer.history.recorded import Recorded
from focus_server.cli import focus_server
from focus_server.errors import FocusError
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.export import check_target, write_export
from focus_server.recordings.import_file import open_sources
from focus_server.recordings.import_store import ImportStore
from focus_server.recordings.importing import import_files
from focus_server.recordings.prodml import read_entry, write_recording
from focus_server.recordings.reader import RecordingFile
from focus_server.recordings.told import Told

T0_S = 1_700_000_000
RATE = 1000


@pytest.fixture
def start(mongo, tmp_path):
    """Start a command as the program that a user runs."""

    def program(*arguments, **settings):
        command = [sys.executable, "-m", "focus_server", *map(str, arguments)]
        environment = {**os.environ, "HOME": str(tmp_path), "FOCUS_MONGO_URL": mongo.url, **settings}
        return subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return program


@pytest.fixture
async def recorded(make_entry, catalogue):
    """Three recordings of 2 s that follow each other, in the catalogue; gives their entries and all samples."""
    samples = np.random.default_rng(5).integers(-(2**15), 2**15, (6000, 5)).astype(np.int16)
    samples[100:150, :2] = 0
    entries = []
    for slot in range(3):
        name = f"local/20231114/local-{slot}.h5"
        entry = make_entry(slot, samples=2000, first_sample=2000 * slot, channels=5, gaps=slot == 0, path=name)
        gaps = np.array([[100, 150, 1, 2]] if slot == 0 else np.empty((0, 4)), np.int64)
        write_recording(entry, samples[2000 * slot : 2000 * slot + 2000], gaps, Path(entry.base_path))
        await catalogue.finished(entry)
        entries.append(entry)
    return entries, samples


def everything(source):
    return source.read(source.entry.first_sample, source.entry.end_sample, 1, source.entry.channels)


@pytest.mark.anyio
async def test_a_time_and_some_channels_leave_the_catalogue_and_come_back(start, run, recorded, catalogue, tmp_path):
    entries, samples = recorded
    times = ("--start", f"{T0_S}.05", "--end", "2023-11-14T22:13:25.0005Z")
    with start("export", *times, "--channels", "2-4", "--to", "a.sgy") as exporting:
        printed, said = exporting.communicate(timeout=60)
    assert (exporting.returncode, printed) == (0, "a.sgy: 3 channels, 4951 samples, 1000 samples/s, 1/s.\n")
    assert said.splitlines()[-1] == "exported: 100 %"
    ((source,), _) = open_sources(tmp_path / "a.sgy")
    assert np.array_equal(everything(source), samples[50:5001, 1:4])
    assert source.gaps.tolist() == [[100, 150, 1, 1]]

    imported = run("import", "a.sgy", "--recordings-dir", "elsewhere", "--site", "back")
    assert (imported.code, imported.out) == (
        0, "1 of 1 files imported: 1 recordings added, 0 were there already.\n",
    )  # fmt: skip
    found = [it for it in await catalogue.find(T0_S * 10**9, (T0_S + 10) * 10**9) if it.site == "back"]
    assert [(it.first_sample, it.samples, it.first_channel, it.channels) for it in found] == [(50, 4951, 2, 3)]
    assert found[0].start_ns == entries[0].start_ns + 50_000_000
    assert found[0].grid_key == (*entries[0].grid_key[:3], 3, *entries[0].grid_key[4:])
    assert read_entry(found[0].file(), tmp_path / "elsewhere") == found[0]
    file = RecordingFile(found[0])
    data, missing = file.read(50, 5001, 1, 3)
    file.close()
    assert np.array_equal(data, samples[50:5001, 1:4].T)
    assert np.argwhere(missing).tolist() == [[0, row] for row in range(50, 100)]


@pytest.mark.anyio
async def test_a_recording_that_is_gone_becomes_a_gap_and_is_named(run, recorded, tmp_path):
    entries, samples = recorded
    entries[1].file().unlink()
    done = run("export", "--start", T0_S, "--end", T0_S + 6, "--to", "a.h5")
    assert done.code == 1
    assert done.out == "a.h5: 5 channels, 6000 samples, 2000 of them missing, 1000 samples/s, 1/s.\n"
    assert "left out: The recording local-1.h5 cannot be read: " in done.err
    ((source,), _) = open_sources(tmp_path / "a.h5")
    assert source.gaps.tolist() == [[100, 150, 1, 2], [2000, 4000, 1, 5]]
    assert np.array_equal(everything(source)[4000:], samples[4000:])
    assert not everything(source)[2000:4000].any()


def test_what_cannot_be_exported_is_a_sentence_and_leaves_the_folder_as_it_was(run, tmp_path, make_source):
    write_export(make_source(), tmp_path / "a.h5")
    before = (tmp_path / "a.h5").read_bytes()
    for arguments, sentence in [
        (["--to", "b.sgy"], "Say which time to export with --start and --end, or which files."),
        (["--start", "5", "--end", "6", "--to", "b.sgy"], "There is nothing recorded in that time"),
    ]:
        done = run("export", *arguments)
        assert (done.code, done.out) == (3, "")
        assert sentence in done.err
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"a.h5"}
    assert (tmp_path / "a.h5").read_bytes() == before


def test_a_name_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    for name, sentence in [("b.mseed", "The format of b.mseed is not known"), ("no/b.sgy", "no does not exist")]:
        with pytest.raises(FocusError, match=sentence):
            check_target(tmp_path / name, overwrite=False)
    (tmp_path / "a.sgy").write_text("")
    check_target(tmp_path / "a.sgy", overwrite=True)
    with pytest.raises(FocusError, match="exists already; choose another name, or say --overwrite"):
        check_target(tmp_path / "a.sgy", overwrite=False)


@pytest.mark.anyio
async def test_a_file_is_imported_in_recordings_of_some_seconds_and_only_once(
    run, tmp_path, make_source, mongo, database
):
    source = make_source(samples=9000, channels=3, dtype="float32", gaps=[(3000, 5000, 1, 2)], site="odd")
    write_export(source, tmp_path / "a.sgy")
    (tmp_path / "focus.toml").write_text("recording_s = 2\nrecordings_dir = 'here'\n")
    first = run("import", "a.sgy")
    assert first.out == "1 of 1 files imported: 3 recordings added, 0 were there already.\n"
    files = sorted((tmp_path / "here" / "imported.d" / "odd").rglob("*.h5"))
    assert [path.parent.name for path in files] == ["20231114"] * 3
    entries = [read_entry(path, tmp_path / "here") for path in files]
    assert [entry.samples for entry in entries] == [4000, 4000, 1000]
    assert {entry.grid_key for entry in entries} == {source.entry.grid_key}
    assert b"".join(everything(it).tobytes() for path in files for it in open_sources(path)[0]) == source.data.tobytes()
    assert [open_sources(path)[0][0].gaps[:, :2].tolist() for path in files] == [
        [[1_003_003, 1_004_003]], [[1_004_003, 1_005_003]], [],
    ]  # fmt: skip
    played = Recorded(entries)
    samples = np.empty((3, 6000), np.float32)
    missing = played.read(1_000_003 + 2500, 1, samples)
    played.close()
    assert np.ascontiguousarray(samples.T).tobytes() == source.data[2500:8500].tobytes()
    assert np.array_equal(missing, np.add.outer([1, 1, 0], np.isin(np.arange(6000), range(500, 2500))) == 2)
    documents = database[database.base_paths.find_one({"base_path": str(tmp_path / "here")})["guid"]]
    assert documents.count_documents({"end_time": {"$ne": None}, "deleted": False}) == 3

    other = make_source(samples=9000, channels=3, dtype="float32", site="odd")
    write_export(other, tmp_path / "b.sgy")
    (tmp_path / "c.sgy").write_bytes((tmp_path / "a.sgy").read_bytes()[:-1])
    (tmp_path / "here" / "imported.d" / ".left.h5.part").write_text("of an import that was killed")
    store = ImportStore(tmp_path / "here", 2, 0)
    names = ("b.sgy", "c.sgy", "a.sgy", files[0].relative_to(tmp_path))
    done = await import_files(MongoAddress(mongo.url), store, [tmp_path / name for name in names], Told())
    assert (done.added, done.known, len(done.refused)) == (0, 3, 3)
    assert done.refused[0].startswith("b.sgy: Other samples of the same times are there already")
    assert done.refused[1].startswith("c.sgy is no SEG-Y file that can be read")
    assert done.refused[2].endswith("lies in the folder of recordings already; enter it with --scan.")
    assert sorted((tmp_path / "here").rglob("*.h5*")) == files


def test_without_room_nothing_is_imported(tmp_path, make_source):
    with pytest.raises(FocusError, match=r"must stay so \(min_free_bytes\); make room"):
        ImportStore(tmp_path / "here", 10, 2**60).store(make_source())
    assert not (tmp_path / "here").exists()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_without_a_catalogue_nothing_is_imported(outage, run, tmp_path, make_source):
    write_export(make_source(), tmp_path / "a.sgy")
    down = run("import", "a.sgy", "--recordings-dir", "here", url="mongodb://user:s3cret@127.0.0.1:1/prisma")
    assert (down.code, down.out) == (3, "")
    assert "focus-server: MongoDB cannot be reached" in down.err
    assert "s3cret" not in down.err + down.log
    assert not list((tmp_path / "here").rglob("*.h5"))


@pytest.mark.parametrize("arguments", [[], ["--scan", "{}", __file__]])
def test_either_files_or_a_folder(tmp_path, arguments):
    done = CliRunner().invoke(focus_server, ["import", *(it.format(tmp_path) for it in arguments)])
    assert "Name files to import, or a folder with --scan." in done.output


def test_an_import_that_is_interrupted_leaves_nothing(start, tmp_path, make_source):
    """As many recordings as take far longer than the moment between the first one and the interrupt."""
    write_export(make_source(samples=20_000, channels=2, rate=(1, 1), first_sample=5), tmp_path / "a.sgy")
    with start("import", "a.sgy", "--recordings-dir", "here", FOCUS_RECORDING_S="1") as process:
        try:
            until = time.monotonic() + 60
            while not list((tmp_path / "here").rglob("*.h5")):
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < until, "no recording after 60 s"
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in errors) == (130, False)
    assert not list((tmp_path / "here").rglob("*.h5*"))


def test_without_dascore_it_is_said_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dascore", None)
    (tmp_path / "foreign.dat").write_bytes(b"x" * 5000)
    done = run("import", "foreign.dat", "--recordings-dir", "here")
    assert (done.code, done.out.split(":")[0]) == (1, "0 of 1 files imported")
    assert "pip install 'focus-server[dascore]'" in done.err
