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
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fullspan.clients import FocusClient

SERVE = [sys.executable, "-m", "focus_server", "serve"]


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "HOME": str(tmp_path), "FOCUS_ANALYZER_SOCKET": str(tmp_path / "analyzer.sock")}


@pytest.fixture
def start(tmp_path, environment):
    """Starts a server on a free port and gives the process and its address; none outlives the test."""
    processes = []

    def started(*options):
        command = [*SERVE, "--port", "0", *options]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
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


def run(environment, tmp_path, *options):
    command = [*SERVE, *options]
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.timed
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_within_two_seconds_although_viewers_are_connected(start, number, code):
    process, address = start()
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
            viewer.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def test_it_listens_on_loopback_only_and_without_a_word_of_what_it_is(start):
    _, address = start()
    assert address.startswith("127.0.0.1:")
    assert "server" not in httpx.get(f"http://{address}/ack", trust_env=False).headers


def test_a_port_in_use_is_a_sentence(environment, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(environment, tmp_path, "--port", str(port))
    assert ended.returncode == 3
    assert ended.stderr == (
        f"focus-server: Cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --port.\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_it_refuses_to_listen_beyond_loopback(environment, tmp_path, host):
    ended = run(environment, tmp_path, "--host", host, "--port", "0")
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"focus-server: {host} can be reached from other machines")
    assert "--no-auth" in ended.stderr


def test_it_may_be_told_to_listen_beyond_loopback(start):
    _, address = start("--host", "0.0.0.0", "--no-auth")
    port = address.rpartition(":")[2]
    assert httpx.get(f"http://127.0.0.1:{port}/ack", trust_env=False).status_code == 200


def test_an_address_that_is_not_here_is_a_sentence(environment, tmp_path):
    ended = run(environment, tmp_path, "--host", "192.0.2.1", "--port", "0", "--no-auth")
    assert ended.returncode == 3
    assert "Cannot listen on 192.0.2.1" in ended.stderr


def test_a_wrong_setting_is_a_sentence(environment, tmp_path):
    ended = run({**environment, "FOCUS_PORT": "many"}, tmp_path)
    assert ended.returncode == 3
    assert "port" in ended.stderr
    assert "FOCUS_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_connections_are_among_the_figures(start):
    _, address = start()
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as odd, FocusClient(f"http://{address}") as focus:
        odd.sendall(b"this is not HTTP\r\n\r\n")
        assert odd.recv(1000).startswith(b"HTTP/1.1 400 ")
        metrics = focus.metrics()
    assert metrics.value("focus_connections_ended_total", reason="malformed") == 1
    assert metrics.value("focus_connections") >= 1


def test_answers_are_not_held_back_by_the_kernel(start):
    _, address = start()
    took_s = []
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as http:
        for _ in range(30):
            begin = time.perf_counter()
            http.get("/ack")
            took_s.append(time.perf_counter() - begin)
    assert min(took_s) < 0.03  # Nagle's algorithm with delayed acknowledgements costs each of them 40 ms


def test_messages_are_not_compressed_although_a_viewer_offers_it(start):
    _, address = start()
    with connect(f"ws://{address}/ws/jobs/0-1/streams/0", compression="deflate", proxy=None) as viewer:
        assert "Sec-WebSocket-Extensions" in viewer.request.headers
        assert "Sec-WebSocket-Extensions" not in viewer.response.headers
