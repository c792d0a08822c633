"""What recording costs: processor time of the recorder while a whole fibre is recorded.

Claim: 2222 channels at 2000 samples/s (350 blocks and 9 MB a second) under 0.3 core. A real broker, the interrogator
and the recorder run as their own processes; each sample is 5 s of the recorder's user and system time, one file in it.
Beside it, in the same seconds, the limit of this way: a reader of the same blocks that only acknowledges them. With
`--stack` the fibre is a second site on that stack's broker.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import h5py
from _figures import options, print_claim, read, show
from _stack import add_option, the_stack

from fullspan.testing import running_rabbitmq

FS, SITE = 2000, "bench"
READY_S = 60.0
CORES = 0.3
SAMPLE = Path(os.environ.get("FULLSPAN_VAR") or "var", "data", "sample.npy").absolute()


@dataclass(frozen=True)
class Size:
    """The fibre, and how long a file and a sample are."""

    channels: int
    file_s: int


WHOLE, SMALL = Size(2222, 5), Size(200, 1)


async def read_only(url: str) -> None:
    """Read a site's blocks and acknowledge every fiftieth with those before it, until killed."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=False)
    await channel.set_qos(1000)
    exchange = await channel.declare_exchange("prisma", aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, f"fiber.{SITE}.*")
    count = 0

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal count
        count += 1
        if count % 50 == 0:
            await message.ack(multiple=True)

    await queue.consume(take)
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextmanager
def program(name: str, folder: Path, url: str, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a program with its log in `folder`."""
    log = folder / f"{name}.log"
    environment = os.environ | {
        "FOCUS_AMQP_URL": url,
        "FOCUS_MONGO_URL": "mongodb://127.0.0.1:9/prisma",
        "FOCUS_SITE": SITE,
        "FOCUS_STATE_DIR": str(folder / name),
    }
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=output, stderr=output)
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


def wait_for(log: Path, word: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program's log holds a word."""
    deadline = time.monotonic() + READY_S
    while word not in log.read_text():
        if time.monotonic() > deadline or process.poll() is not None:
            raise TimeoutError(f"no {word} in {log}: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process has used, s."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def recorded_s(folder: Path) -> float:
    """Return how many seconds of the fibre the files hold."""
    samples = 0
    for path in folder.rglob("*.h5"):
        with h5py.File(path, locking=False) as file:
            samples += int(file["Acquisition"].attrs["focus_samples"])
    return samples / FS


@contextmanager
def broker(stack: str | None, folder: Path) -> Iterator[str]:
    """Give the address of a broker: of a running stack, or of one's own."""
    if stack is None:
        with running_rabbitmq(folder / "rabbitmq") as rabbitmq:
            yield rabbitmq.amqp_url
    else:
        with the_stack(stack) as running:
            yield running.endpoint("rabbitmq.amqp")


def measure(n: int, size: Size, url: str, folder: Path) -> tuple[list[float], list[float], float]:
    """Take n samples of both at once, in cores; also return the recorded time over the time that passed."""
    recordings = folder / "recordings"
    recorder = ["-m", "focus_server", "record", "--recordings-dir", str(recordings), "--recording-s", str(size.file_s)]
    replay = ["-m", "focus_server", "replay", "--recording", str(SAMPLE)]
    replay += ["--fs", str(FS), "--channels", str(size.channels)]
    with ExitStack() as stack:
        record, record_log = stack.enter_context(program("record", folder, url, *recorder))
        bare, bare_log = stack.enter_context(program("bare", folder, url, __file__, "--read-only"))
        wait_for(record_log, "recorder.ready", record)
        wait_for(bare_log, "ready", bare)
        fibre, _ = stack.enter_context(program("replay", folder, url, *replay))
        wait_for(record_log, "recorder.fibre", record)
        time.sleep(size.file_s + 1)  # the first file, and the caches, warm up
        figures: tuple[list[float], list[float]] = ([], [])
        before, began = [cpu_s(record), cpu_s(bare)], time.monotonic()
        earlier_s, first_s = recorded_s(recordings), began
        for _ in range(n):
            time.sleep(size.file_s)
            now, ended = [cpu_s(record), cpu_s(bare)], time.monotonic()
            for into, used, earlier in zip(figures, now, before, strict=True):
                into.append((used - earlier) / (ended - began))
            before, began = now, ended
        assert (fibre.poll(), record.poll()) == (None, None)
        share = (recorded_s(recordings) - earlier_s) / (began - first_s)
    return *figures, share


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 12, "samples of 5 s")
    parser.add_argument("--read-only", action="store_true", help="only be the reader, of the broker in FOCUS_AMQP_URL")
    add_option(parser)
    if parser.parse_args().read_only:
        asyncio.run(read_only(os.environ["FOCUS_AMQP_URL"]))
        return
    given = read(parser)
    size = SMALL if given.quick else WHOLE
    print(f"n: {given.n} of {size.file_s} s; {size.channels} channels, {FS} samples/s, int16, files of {size.file_s} s")
    with tempfile.TemporaryDirectory() as folder, broker(given.stack, Path(folder)) as url:
        recorder, bare, share = measure(given.n, size, url, Path(folder))
    print(f"recorded: {share:.2f} s of the fibre in a second; far below 1 this machine was too busy to play it")
    recording = show("recorder", recorder, "core")
    if share > 0:
        print(f"  for a second of the fibre: {sum(recorder) / len(recorder) / share:.3f} core")
    reading = show("reading alone", bare, "core")
    ratio = f"{recording / reading:.2f}" if reading else "none, the reader took no time that counts"
    print(f"ratio recorder / reading alone: {ratio}")
    print_claim(f"the recorder under {CORES:g} core", recording < CORES, quick=given.quick)


if __name__ == "__main__":
    main()
