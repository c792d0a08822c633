"""Probes on real servers: why something is not ready yet, and that it is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fullspan.errors import UsageError
from fullspan.stack.ports import hold_free_port
from fullspan.stack.probes import NotReady, Probe, wait_ready
from fullspan.stack.probes.amqp import AmqpProbe
from fullspan.stack.probes.http import HttpProbe
from fullspan.stack.probes.log import LogProbe
from fullspan.stack.probes.tcp import TcpProbe
from fullspan.stack.proxy import LinkProxy
from fullspan.testing import RunningRabbitMQ, check_probe

NO_LOG = Path("/nowhere")


@pytest.fixture(scope="module")
def broker(one_rabbitmq: RunningRabbitMQ) -> RunningRabbitMQ:
    return one_rabbitmq.virtual_host("probes")


@contextlib.asynccontextmanager
async def answering(port: int, answer: bytes) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield


@pytest.mark.anyio
async def test_tcp_does_what_probes_must():
    port = hold_free_port().release()
    async with contextlib.AsyncExitStack() as stack:
        for target in (str(port), f"127.0.0.1:{port}"):
            with pytest.raises(NotReady, match="connection refused"):
                await TcpProbe(target, NO_LOG, 0).check()
        await check_probe(TcpProbe(str(port), NO_LOG, 0), lambda: stack.enter_async_context(answering(port, b"")))


@pytest.mark.anyio
async def test_http_does_what_probes_must():
    port = hold_free_port().release()
    async with contextlib.AsyncExitStack() as stack:
        ok = answering(port, b"HTTP/1.1 204 No Content\r\n\r\n")
        probe = HttpProbe(f"http://127.0.0.1:{port}/ack?x=1", NO_LOG, 0)
        await check_probe(probe, lambda: stack.enter_async_context(ok))
        assert probe.waits_for == f"http http://127.0.0.1:{port}/ack?x=1"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503 Service Unavailable"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer was no HTTP"),
        (b"", "the answer was no HTTP|connection reset"),
    ],
)
async def test_http_tells_why_an_answer_is_not_good(answer: bytes, cause: str):
    port = hold_free_port().release()
    async with answering(port, answer):
        with pytest.raises(NotReady, match=cause):
            await HttpProbe(f"http://127.0.0.1:{port}", NO_LOG, 0).check()


@pytest.mark.anyio
async def test_log_does_what_probes_must(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_text("server ready: an earlier run\n")

    async def say() -> None:
        with log.open("a") as file:
            file.write("server ready\n")

    probe = LogProbe("ready$", log, log.stat().st_size)
    await check_probe(probe, say)
    assert probe.waits_for == "a log line with 'ready$'"


@pytest.mark.anyio
async def test_amqp_does_what_probes_must(broker: RunningRabbitMQ):
    probe = AmqpProbe(broker.amqp_url, NO_LOG, 0)
    assert "@" not in probe.waits_for, "no password in words"
    broker.hang()
    try:
        with pytest.raises(NotReady, match=r"for a login at amqp://127[0-9.:]*/.*: no answer"):
            await wait_ready(probe, 0.3, print)
    finally:
        broker.resume()
    await wait_ready(probe, 20, print)
    wrong = AmqpProbe(broker.amqp_url.replace("test:", "test:x"), NO_LOG, 0)
    with pytest.raises(NotReady, match="ACCESS_REFUSED"):
        await wrong.check()

    later = hold_free_port().release()
    link = LinkProxy("probe-broker", "127.0.0.1", broker.ports[0], listen_port=later)
    through = AmqpProbe(broker.amqp_url.replace(f":{broker.ports[0]}/", f":{later}/"), NO_LOG, 0)
    try:
        await check_probe(through, link.start)
    finally:
        await link.aclose()


@pytest.mark.anyio
async def test_waiting_says_what_for_and_why_when_time_is_over():
    port = hold_free_port().release()
    said: list[str] = []
    with pytest.raises(NotReady) as caught:
        await wait_ready(TcpProbe(str(port), NO_LOG, 0), 2.3, said.append)
    assert str(caught.value) == f"not ready within 2.3 s: waited for tcp {port}: connection refused"
    assert said == [f"waits for tcp {port} for 2 s: connection refused"]


@pytest.mark.anyio
async def test_a_server_that_never_answers_ends_with_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(NotReady, match=r"not ready within 0\.3 s: .*: no answer"):
            await wait_ready(HttpProbe(address, NO_LOG, 0), 0.3, print)


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        (TcpProbe, "localhost", "names no port"),
        (HttpProbe, "localhost:80/x", "is no address"),
        (HttpProbe, "ftp://h/x", "is no address"),
        (LogProbe, "(", "is no regular expression"),
        (AmqpProbe, "amqp://u:hush@h/", "has no address"),
    ],
)
def test_targets_that_cannot_be_meant(kind: type[Probe], target: str, words: str):
    with pytest.raises(UsageError, match=words) as caught:
        kind(target, NO_LOG, 0)
    assert "hush" not in str(caught.value)


class Refusing(Probe):
    """Refuses once, and gives no answer from then on."""

    kind = "refusing"
    asked = 0

    def parse(self) -> None:
        pass

    async def check(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise NotReady("connection refused")
        await asyncio.Event().wait()


@pytest.mark.anyio
@pytest.mark.parametrize(("timeout_s", "cause"), [(0.4, "connection refused"), (1.6, "no answer")])
async def test_a_last_check_that_is_cut_short_does_not_hide_the_cause(tmp_path: Path, timeout_s: float, cause: str):
    with pytest.raises(NotReady, match=rf"within {timeout_s:g} s: waited for refusing x: {cause}$"):
        await wait_ready(Refusing("x", tmp_path / "log", 0), timeout_s, print)
