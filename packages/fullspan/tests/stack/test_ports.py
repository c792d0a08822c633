"""Ports: free ones that stay free until they are bound, fixed ones whose holder is named."""

import os
import socket

import pytest

from fullspan.errors import StackError
from fullspan.stack.ports import HeldPort, hold_fixed_port, hold_free_port


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_held_port_is_nobody_elses():
    held = hold_free_port()
    with pytest.raises(OSError, match="Address already in use"):
        HeldPort("127.0.0.1", held.port)
    port = held.release()
    assert port == held.port
    listening(port).close()


def test_held_ports_differ_and_lie_below_those_of_outgoing_connections():
    held = [hold_free_port() for _ in range(20)]
    ports = {port.release() for port in held}
    assert len(ports) == 20
    assert all(10_000 <= port < 32_768 for port in ports)


def test_the_holder_of_a_fixed_port_is_named():
    with listening(hold_free_port().release()) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError) as caught:
            hold_fixed_port(port, "component 'web' (http)")
    assert f"Port {port}, which component 'web' (http) needs, cannot be used: " in str(caught.value)
    assert f"(pid {os.getpid()}) listens on it." in str(caught.value)
    assert "go without --fixed-ports" in str(caught.value)


def test_a_fixed_port_whose_connections_wind_down_can_be_had():
    port = hold_free_port().release()
    with listening(port) as server, socket.create_connection(("127.0.0.1", port)):
        server.accept()[0].close()  # this side now waits for stray packets
    assert hold_fixed_port(port, "web").release() == port
