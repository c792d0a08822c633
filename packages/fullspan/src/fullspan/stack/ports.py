"""Free ports for components that take their port as an argument, held until the component is about to bind them.

They are picked below the kernel's range for outgoing connections, so that no connection can take one between the moment
it is chosen and the moment it is bound; the bound socket keeps other stacks away meanwhile.
"""

import random
import socket
from pathlib import Path
from typing import Final

from fullspan.errors import StackError

__all__ = ["HeldPort", "hold_fixed_port", "hold_free_port"]

_LOWEST: Final = 10_000
_TRIES: Final = 1_000
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _first_outgoing() -> int:
    """Return the first port that the kernel gives to outgoing connections."""
    try:
        return int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except OSError:
        return 32_768


class HeldPort:
    """A port that is bound, not listening, so nobody else can have it until `release`."""

    __slots__ = ("_socket", "host", "port")

    def __init__(self, host: str, port: int, *, after_use: bool = False) -> None:
        self.host = host
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if after_use:
            # Connections of a former server that are still winding down do not keep a new one from listening.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> int:
        """Let go of the port, for the one who shall have it, and return its number."""
        self._socket.close()
        return self.port


def hold_free_port(host: str = "127.0.0.1") -> HeldPort:
    """Hold a port of `host` that nobody uses."""
    end = _first_outgoing()
    candidates = range(_LOWEST, end) if end > _LOWEST + _TRIES else range(_LOWEST, 65_536)
    for port in random.sample(candidates, _TRIES):
        try:
            return HeldPort(host, port)
        except OSError:
            continue
    raise StackError(
        f"No free port on {host}: {_TRIES} between {candidates.start} and {candidates.stop} were tried.",
        "End what holds them.",
    )


def hold_fixed_port(port: int, wanted_for: str, host: str = "127.0.0.1") -> HeldPort:
    """Hold exactly this port; a StackError names the component that wants it and, if visible, who has it."""
    try:
        return HeldPort(host, port, after_use=True)
    except OSError as error:
        raise StackError(
            f"Port {port}, which {wanted_for} needs, cannot be used: {_why(port, error)}.",
            "End its holder, or go without --fixed-ports.",
        ) from error


def _why(port: int, error: OSError) -> str:
    holder = _holder(port)
    return f"{holder} listens on it" if holder else (error.strerror or str(error)).lower()


def _holder(port: int) -> str | None:
    """Return name and pid of the process that listens on a port, if this user may see it."""
    # Every stack imports this module, and only one whose port is taken has to ask.
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return None
    return None
