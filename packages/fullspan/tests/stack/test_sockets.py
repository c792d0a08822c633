"""UNIX sockets in folders whose path is longer than the kernel takes."""

import socket
from pathlib import Path

import pytest

from fullspan.stack.sockets import listen, short_path


@pytest.mark.parametrize("depth", [1, 12])
def test_a_socket_is_reached_however_deep_it_lies(tmp_path: Path, depth: int):
    path = tmp_path.joinpath(*["a-folder-with-a-name"] * depth) / "control.sock"
    path.parent.mkdir(parents=True)
    assert (len(str(path)) > 108) is (depth > 1)
    with listen(path) as listener, socket.socket(socket.AF_UNIX) as client:
        assert path.stat().st_mode & 0o777 == 0o600
        with short_path(path) as short:
            client.connect(short)
        server, _ = listener.accept()
        server.sendall(b"hello")
        server.close()
        assert client.recv(9) == b"hello"
