"""The local exchange, as whoever drives a test commands it, and a disk that is soon full."""

import json
import os
import subprocess
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect


@pytest.fixture
def control():
    """Connect to the control of a local exchange by its port; call it with a method and its parameters."""

    @contextmanager
    def to(port):
        with connect(f"ws://127.0.0.1:{port}/control", proxy=None) as connection:

            def call(method, **params):
                connection.send(json.dumps({"method": method, "params": params, "id": 1}))
                answer = json.loads(connection.recv(30))
                assert "error" not in answer, answer
                return answer["result"]

            yield call

    return to


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk of its own can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
