"""How long a historic view takes from the request to the last row, beside DASCore with SciPy on the same files.

Claim: at least 100 times faster than real time: 98 channels x 60 s at 2000 samples/s, NFFT 1024, 50 % overlap, all
bins, in 0.6 s. What is timed is a client's whole way: POST over the UNIX socket to an analyzer of its own process,
which has no broker and no fibre, opening the gRPC stream, and reading it to the end with all rows as arrays. The peer
reads the same files with DASCore, in this process, and computes the same lines with `scipy.signal.spectrogram` in
float32; it has no network between. Both find the files in the page cache. The processor time of the analyzer is given
as well: it depends less on what else the machine does.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dascore
import grpc.aio
import numpy as np
from _figures import options, print_claim, read, show
from numpy.typing import NDArray
from scipy.signal import spectrogram
from scipy.signal.windows import hann

from focus_server.contract import ConfigureAnswer, ConfigureRequest
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.grid import FiberGrid
from focus_server.fiber.recording import Recording
from focus_server.jobs import LocalAnalyzer
from focus_server.proto import SERVICE, STREAM_DATA, DataStream, StreamDataRequest
from focus_server.recordings import RecordingEntry
from focus_server.recordings.entry import recording_uuid
from focus_server.recordings.prodml import write_recording

CHANNELS, FS, NFFT, HOP = 98, 2000, 1024, 512
SECONDS, FILE_S = 60, 10
GOAL_S = 0.6
START_S = 1_700_000_000
SAMPLE = Path(os.environ.get("FULLSPAN_VAR") or "var", "data", "sample.npy")

Samples = NDArray[np.int16]


def noise(seconds: int) -> Samples:
    """Return counts of white noise [time, channel]."""
    rng = np.random.default_rng(1)
    return (rng.standard_normal((seconds * FS, CHANNELS), np.float32) * 1000).astype(np.int16)


def earthquake(seconds: int) -> Samples | None:
    """Return the sample recording as the interrogator plays it, [time, channel], or None when it is not there."""
    if not SAMPLE.is_file():
        return None
    formula = ReplayFormula(Recording.load(SAMPLE), ReplayOptions(channels=CHANNELS))
    return formula.samples(0, seconds * FS)


def write(samples: Samples, folder: Path) -> list[RecordingEntry]:
    """Write rolling files as the recorder does."""
    t0_ns = START_S * 10**9
    grid, key = FiberGrid(t0_ns, FS, 1), (t0_ns, FS, 1, CHANNELS, "int16", "0.001")
    entries = []
    for slot in range(len(samples) // (FILE_S * FS)):
        first, end = slot * FILE_S * FS, (slot + 1) * FILE_S * FS
        entry = RecordingEntry(
            uuid=recording_uuid("local", key, slot),
            base_path=str(folder),
            path=f"local/{slot}.h5",
            start_ns=grid.time_ns(first),
            end_ns=grid.time_ns(end),
            site="local",
            channels=CHANNELS,
            dx=1.0,
            units="1/s",
            dtype="int16",
            scale="0.001",
            samples=end - first,
            t0_ns=t0_ns,
            fs_num=FS,
            fs_den=1,
            first_sample=first,
        )
        write_recording(entry, samples[first:end], np.zeros((0, 4), np.int64), folder)
        entries.append(entry)
    return entries


@contextmanager
def analyzer(folder: Path) -> Iterator[tuple[Path, int]]:
    """Run an analyzer that has nothing but recordings."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = {
        "AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}/",
        "STATE_DIR": f"{folder}/state",
        "ANALYZER_SOCKET": f"{folder}/analyzer.sock",
    }
    environment = os.environ | {f"FOCUS_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "focus_server", "analyze"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=folder)
    try:
        assert process.stderr is not None
        while b"analyzer.ready" not in process.stderr.readline():
            assert process.poll() is None, "the analyzer ended"
        yield folder / "analyzer.sock", process.pid
    finally:
        process.terminate()
        process.communicate(timeout=10)


def processor_s(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def play(client: LocalAnalyzer, recordings: list[RecordingEntry]) -> tuple[float, float, NDArray[np.float32]]:
    """Return seconds from the request to the first and the last row, and the rows [line, channel, bin]."""
    body = {
        "view_type": 1,
        "channels": {"min": 1, "max": CHANNELS},
        "displayInfo": {"height": 1000},
        "nfftSelection": NFFT,
        "overlap": 0.5,
        "start_time": START_S,
        "end_time": START_S + len(recordings) * FILE_S,
    }
    began_s = time.perf_counter()
    answer = await client.configure(ConfigureRequest.read(body), None, recordings)
    first_s, rows = await _read(answer, began_s)
    last_s = time.perf_counter() - began_s
    await client.cancel(answer.job_id)
    return first_s, last_s, np.concatenate(rows).reshape(-1, CHANNELS, NFFT // 2 + 1)


async def _read(answer: ConfigureAnswer, began_s: float) -> tuple[float, list[NDArray[np.float32]]]:
    first_s, rows = 0.0, []
    options = [("grpc.max_receive_message_length", 50_000_000)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{answer.stream_port}", options=options) as channel:
        method = channel.unary_stream(
            f"/{SERVICE}/{STREAM_DATA}",
            request_serializer=StreamDataRequest.SerializeToString,
            response_deserializer=DataStream.FromString,
        )
        async for message in method(StreamDataRequest(stream_id=0)):
            first_s = first_s or time.perf_counter() - began_s
            rows += [np.frombuffer(row, "<f4") for row in message.main_data]
    return first_s, rows


def peer(recordings: list[RecordingEntry]) -> tuple[float, NDArray[np.float32]]:
    """Return how long DASCore and SciPy take for the same, and the rows."""
    began_s = time.perf_counter()
    patches = [dascore.spool(entry.file())[0] for entry in recordings]
    data = np.concatenate([patch.transpose("time", "distance").data for patch in patches])
    _, _, power = spectrogram(
        data.T.astype(np.float32) * np.float32(0.001),
        fs=FS,
        window=hann(NFFT, sym=False).astype(np.float32),
        nperseg=NFFT,
        noverlap=NFFT - HOP,
        detrend="constant",
        scaling="density",
        mode="psd",
    )
    rows: NDArray[np.float32] = np.sqrt(power.transpose(2, 0, 1), dtype=np.float32)
    return time.perf_counter() - began_s, rows


def line_count(samples: Samples) -> int:
    """Return how many lines there are."""
    return (len(samples) - NFFT) // HOP + 1


def check(rows: NDArray[np.float32], samples: Samples) -> None:
    """Hold some rows against SciPy in float64."""
    lines = line_count(samples)
    assert rows.shape == (lines, CHANNELS, NFFT // 2 + 1), rows.shape
    for line in (0, lines // 2, lines - 1):
        part = samples[line * HOP : line * HOP + NFFT].T * 0.001
        _, _, power = spectrogram(part, FS, window=hann(NFFT, sym=False), nperseg=NFFT, detrend="constant")
        expected = np.sqrt(power[:, 1:, 0])
        counted = expected >= expected.max(axis=1, keepdims=True) * 1e-5
        deviation_db = np.abs(20 * np.log10(rows[line, :, 1:] / expected))[counted].max()
        assert deviation_db <= 0.01, deviation_db


def measure(name: str, samples: Samples, repeats: int, folder: Path, process: tuple[Path, int]) -> float:
    """Print one kind of samples; return the median from the request to the last row."""
    recordings = write(samples, folder)
    ours, peers = asyncio.run(_alternate(*process, recordings, samples, repeats))
    seconds = len(samples) / FS
    print(f"\n{name}: {CHANNELS} channels x {seconds:g} s x {FS} samples/s, {len(recordings)} files, n {repeats}")
    show("  request to first row", [first for first, _, _ in ours], "s")
    median = show("  request to last row", [last for _, last, _ in ours], "s")
    show("  processor time of the analyzer", [used for _, _, used in ours], "s")
    other = show("  DASCore + scipy.signal.spectrogram", peers, "s")
    print(f"  {seconds / median:.0f} x real time; ratio to the peer: {other / median:.1f} x as fast")
    return median


async def _alternate(
    address: Path, pid: int, recordings: list[RecordingEntry], samples: Samples, repeats: int
) -> tuple[list[tuple[float, float, float]], list[float]]:
    ours: list[tuple[float, float, float]] = []
    peers: list[float] = []
    async with LocalAnalyzer(address) as client:
        for number in range(repeats + 1):
            before_s = processor_s(pid)
            first_s, last_s, rows = await play(client, recordings)
            used_s = processor_s(pid) - before_s
            peer_s, peer_rows = peer(recordings)
            if number == 0:  # to warm up, and to see that both compute the same
                check(rows, samples)
                np.testing.assert_allclose(peer_rows[5, :, 1:].max(), rows[5, :, 1:].max(), rtol=1e-3)
            else:
                ours.append((first_s, last_s, used_s))
                peers.append(peer_s)
    return ours, peers


def main() -> None:
    """Measure noise, for which float32 is exact enough, and the sample recording, whose spectrum needs float64."""
    given = read(options(__doc__, 7, "samples of each figure"))
    warnings.simplefilter("ignore")
    seconds = FILE_S if given.quick else SECONDS
    with tempfile.TemporaryDirectory() as name, analyzer(Path(name)) as process:
        median = measure("noise", noise(seconds), given.n, Path(name, "noise"), process)
        recorded = earthquake(seconds)
        if recorded is not None:
            measure("sample recording", recorded, given.n, Path(name, "recorded"), process)
    print_claim(f"{SECONDS} s of noise in at most {GOAL_S:g} s", median <= GOAL_S, quick=given.quick)


if __name__ == "__main__":
    main()
