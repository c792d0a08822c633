"""Free ports for components that take their port as an argument, held until the component is about to bind them.

They are picked below the kernel's range for outgoing connections, so that no connection can take one between the moment
it is chosen and the moment it is bound; the bound socket keeps other stacks away meanwhile.
"""

import random
import socket
from pathlib import Path
from typing import Final

from fullspan.errors import StackError

__all__ = ["HeldPort", "hold_free_port"]

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

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
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
