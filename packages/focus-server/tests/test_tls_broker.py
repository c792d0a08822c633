"""A broker that speaks TLS with a certificate of its own: who knows it gets in, everybody else learns why not."""

import asyncio
import contextlib
import functools
import json
import shutil
import ssl
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
import structlog

from focus_server.analyzer.feed import Feed
from focus_server.analyzer.intake import Intake
from focus_server.fiber import FiberGrid
from focus_server.fiber.broker import BrokerAddress
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.interrogator import Fiber, Interrogator
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.recording import Recording
from focus_server.recordings.recorder.recorder import Recorder
from focus_server.settings import RecordSettings
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.rabbitmq import RABBITMQ
from fullspan.testing import running_rabbitmq

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WAIT_S = 60
CHANNELS, FS = 70, Fraction(200)
NOWHERE = "mongodb://127.0.0.1:9/prisma?directConnection=true"


def make_certificate(folder):
    """A key, and a certificate that it signs itself, for 127.0.0.1."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=a broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def make_executable(folder, settings):
    """RabbitMQ's start script with more settings than the launcher gives it, beside the same plugins."""
    real = Path(RABBITMQ.find()).resolve()
    (folder / "sbin").mkdir()
    (folder / "plugins").symlink_to(real.parent.parent / "plugins")
    (folder / "tls.conf").write_text(settings)
    script = folder / "sbin" / "rabbitmq-server"
    script.write_text(f'#!/bin/sh\ncat {folder / "tls.conf"} >> "$RABBITMQ_CONFIG_FILE"\nexec {real} "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def certificate(tmp_path):
    """The files of a certificate and of its key."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is not installed; on Debian: apt-get install openssl")
    return make_certificate(tmp_path)


@contextlib.asynccontextmanager
async def listener(certificate, folder, _):
    """RabbitMQ's own TLS."""
    held = hold_free_port()
    settings = {
        "listeners.ssl.1": f"127.0.0.1:{held.port}",
        "ssl_options.cacertfile": certificate[0],
        "ssl_options.certfile": certificate[0],
        "ssl_options.keyfile": certificate[1],
        "ssl_options.verify": "verify_none",
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RABBITMQ.setting, str(make_executable(folder, lines)))
        held.release()
        with running_rabbitmq(folder / "rabbitmq") as broker:
            yield broker.amqp_url, held.port


async def copy(reader, writer):
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def terminated(certificate, _, one_rabbitmq):
    """TLS that ends before the broker, as at a load balancer: a broker of its own costs seconds."""
    url = one_rabbitmq().virtual_host("tls").amqp_url
    host, port = urlsplit(url).hostname, urlsplit(url).port
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def serve(reader, writer):
        back_reader, back_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(copy(reader, back_writer), copy(back_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield url, server.sockets[0].getsockname()[1]


@pytest.fixture(params=[terminated, pytest.param(listener, marks=pytest.mark.soak)], ids=lambda how: how.__name__)
async def url(request, certificate, tmp_path):
    """Where a real broker speaks TLS, with user and password."""
    shared = functools.partial(request.getfixturevalue, "one_rabbitmq")
    async with request.param(certificate, tmp_path, shared) as (plain, port):
        at = urlsplit(plain)
        yield f"amqps://{at.username}:{at.password}@127.0.0.1:{port}{at.path}"


@pytest.fixture
def formula(tmp_path):
    path = tmp_path / "noise.npy"
    np.save(path, np.random.default_rng(5).normal(0, 3e-5, (50, 777)))
    info = {"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 1.5, "units": "1/s"}
    path.with_suffix(".json").write_text(json.dumps(info))
    return ReplayFormula(Recording.load(path), ReplayOptions(channels=CHANNELS))


@contextlib.asynccontextmanager
async def running(work):
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextlib.asynccontextmanager
async def playing(formula, url, folder):
    """The interrogator of a fibre that begins now."""
    grid = FiberGrid(time.time_ns() // 10**9 * 10**9, FS.numerator, FS.denominator)
    stop = asyncio.Event()
    with Outbox(folder / "outbox") as outbox:
        fiber = Fiber("local", 1, grid, formula)
        task = asyncio.ensure_future(Interrogator(fiber, outbox, BrokerAddress(url), structlog.get_logger()).run(stop))
        try:
            yield
        finally:
            stop.set()
            await task
        assert outbox.waiting == 0, "the broker did not confirm everything"


@contextlib.asynccontextmanager
async def recording(url, folder):
    settings = RecordSettings(
        amqp_url=url, mongo_url=NOWHERE, recordings_dir=folder, recording_s=1, min_free_bytes=0, retention_s=3600
    )
    stop = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(Recorder(settings).run(stop))
    try:
        yield
    finally:
        stop.set_result(None)
        await task


async def until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        await asyncio.sleep(0.02)
    return found


def whole_file(folder):
    """The first sample and the samples of a file that lacks nothing, if there is one."""
    for path in folder.rglob("local-*.h5"):
        with h5py.File(path, locking=False) as file:
            if not len(file["Acquisition/focus_gaps"]) and file["Acquisition"].attrs["focus_samples"] == FS:
                return int(file["Acquisition"].attrs["focus_first_sample"]), file["Acquisition/Raw[0]/RawData"][:]
    return None


async def test_interrogator_analyzer_and_recorder_speak_tls(url, certificate, formula, tmp_path):
    stranger = Intake(BrokerAddress(url), "local", Feed(4096, 2.0, lambda _: None), lambda: None)
    async with running(stranger.run()):
        await until(lambda: stranger.state.state == "down", "who does not know the certificate is refused")
    assert "certificate verify failed" in stranger.state.detail
    assert urlsplit(url).password not in stranger.state.detail

    url = f"{url}?cafile={certificate[0]}"
    feed = Feed(4096, 2.0, lambda _: None)
    intake = Intake(BrokerAddress(url), "local", feed, lambda: None)
    async with running(intake.run()), recording(url, tmp_path / "recordings"), playing(formula, url, tmp_path):
        first, data = await until(lambda: whole_file(tmp_path / "recordings"), "a whole second is recorded")
        await until(lambda: feed.samples is not None and feed.samples.end >= first + FS, "the analyzer has it too")
        assert intake.state.state == "up"
    expected = formula.samples(first, int(FS))
    assert np.array_equal(data, expected)
    assert all(feed.samples.ring.holds(group, first, first + int(FS)) for group in (0, 1))
    assert np.array_equal(feed.samples.ring.read(slice(0, CHANNELS), first, first + int(FS)), expected.T)
