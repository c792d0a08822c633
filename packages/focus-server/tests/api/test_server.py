"""The server as a process: where it listens, what it says when it cannot, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import httpx
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from focus_server.api.command import serve
from focus_server.api.server import listen
from focus_server.errors import FocusError, SettingsError
from fullspan.clients import FocusClient

SERVE = [sys.executable, "-m", "focus_server", "serve"]


@pytest.fixture(scope="module")
def start(folder):
    """Starts a server on a free port and gives the process and its address; none outlives this module."""
    environment = {**os.environ, "HOME": str(folder), "FOCUS_ANALYZER_SOCKET": str(folder / "analyzer.sock")}
    processes = []

    def started(*options):
        command = [*SERVE, "--port", "0", *options]
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "server.ready":
                return process, f"{event['host']}:{event['port']}"
        raise AssertionError(f"the server ended with {process.wait()} before it was ready")

    yield started
    for process in processes:
        process.kill()
        process.wait(10)
        process.stderr.close()


@pytest.fixture(scope="module")
def address(start):
    """A server without options, for all who only ask."""
    return start()[1]


@pytest.mark.timed
@pytest.mark.parametrize(
    ("number", "code", "options", "host"),
    [(signal.SIGTERM, 0, (), "127.0.0.1"), (signal.SIGINT, 130, ("--host", "0.0.0.0", "--no-auth"), "0.0.0.0")],
)
def test_a_signal_ends_it_within_two_seconds_although_viewers_are_connected(start, number, code, options, host):
    process, listening = start(*options)
    assert listening.startswith(f"{host}:")
    address = f"127.0.0.1:{listening.rpartition(':')[2]}"
    with ExitStack() as stack:
        target = f"ws://{address}/ws/jobs/0-{{}}/streams/0"
        viewers = [stack.enter_context(connect(target.format(n), compression=None, proxy=None)) for n in range(3)]
        assert httpx.get(f"http://{address}/ack", trust_env=False).status_code == 200
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == code
        assert time.monotonic() - begin < 2
        assert [closed_with(viewer) for viewer in viewers] == [1012] * 3
    last = json.loads(process.stderr.read().splitlines()[-1])
    assert (last["event"], last["signal"]) == ("server.stopped", number.name)


def closed_with(viewer):
    try:
        while True:
            viewer.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def test_it_listens_on_loopback_only_and_without_a_word_of_what_it_is(address):
    assert address.startswith("127.0.0.1:")
    assert "server" not in httpx.get(f"http://{address}/ack", trust_env=False).headers


def test_a_port_in_use_is_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*SERVE, "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 3
    assert ended.stderr == (
        f"focus-server: Cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --port.\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_it_refuses_to_listen_beyond_loopback(host):
    with pytest.raises(FocusError, match="--no-auth") as refused:
        listen(host, 0, no_auth=False)
    assert str(refused.value).startswith(f"{host} can be reached from other machines")


def test_an_address_that_is_not_here_is_a_sentence():
    with pytest.raises(FocusError, match=r"^Cannot listen on 192\.0\.2\.1 port 0: .*; choose another --port\.$"):
        listen("192.0.2.1", 0, no_auth=True)


def test_a_wrong_setting_is_a_sentence(monkeypatch):
    monkeypatch.setenv("FOCUS_PORT", "many")
    with pytest.raises(SettingsError, match=r"^The setting port \(environment FOCUS_PORT\) cannot be used: "):
        CliRunner().invoke(serve, catch_exceptions=False)


def test_connections_are_among_the_figures(address):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as odd, FocusClient(f"http://{address}") as focus:
        odd.sendall(b"this is not HTTP\r\n\r\n")
        assert odd.recv(1000).startswith(b"HTTP/1.1 400 ")
        metrics = focus.metrics()
    assert metrics.value("focus_connections_ended_total", reason="malformed") == 1
    assert metrics.value("focus_connections") >= 1


def test_answers_are_not_held_back_by_the_kernel(address):
    took_s = []
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as http:
        for _ in range(30):
            begin = time.perf_counter()
            http.get("/ack")
            took_s.append(time.perf_counter() - begin)
    assert min(took_s) < 0.03  # Nagle's algorithm with delayed acknowledgements costs each of them 40 ms


def test_messages_are_not_compressed_although_a_viewer_offers_it(address):
    with connect(f"ws://{address}/ws/jobs/0-1/streams/0", compression="deflate", proxy=None) as viewer:
        assert "Sec-WebSocket-Extensions" in viewer.request.headers
        assert "Sec-WebSocket-Extensions" not in viewer.response.headers
