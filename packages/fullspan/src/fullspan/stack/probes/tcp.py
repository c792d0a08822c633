"""The probe that is content when a port accepts a connection."""

import contextlib

from fullspan.errors import UsageError
from fullspan.stack.probes.base import Probe
from fullspan.stack.probes.connect import open_stream

__all__ = ["TcpProbe"]


class TcpProbe(Probe):
    """`tcp: HOST:PORT`, or `tcp: PORT` on this machine."""

    kind = "tcp"

    def parse(self) -> None:
        """Check that the target names a port."""
        host, _, port = self.target.rpartition(":")
        if not port.isdecimal():
            raise UsageError(f"The probe `tcp: {self.target}` names no port.", "Write HOST:PORT, or PORT.")
        self._address = host or "127.0.0.1", int(port)

    async def check(self) -> None:
        """Connect once."""
        _, writer = await open_stream(*self._address)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
