"""The probe that is content when a broker lets us in: port, user, password and virtual host together."""

from urllib.parse import urlsplit

from fullspan.errors import UsageError
from fullspan.stack.probes.base import NotReady, Probe
from fullspan.stack.probes.connect import open_stream

__all__ = ["AmqpProbe"]


class AmqpProbe(Probe):
    """`amqp: URL`; a connection is opened and closed, not the kind that reconnects by itself."""

    kind = "amqp"

    @property
    def waits_for(self) -> str:
        """The address without user and password."""
        return f"a login at {self._url.scheme}://{self._url.hostname}:{self._url.port}{self._url.path}"

    def parse(self) -> None:
        """Check that the target is an AMQP address."""
        self._url = urlsplit(self.target)
        if self._url.scheme not in ("amqp", "amqps") or not self._url.hostname or not self._url.port:
            raise UsageError("The probe `amqp` has no address.", "Write amqp://USER:PASSWORD@HOST:PORT/VHOST.")

    async def check(self) -> None:
        """Connect and log in."""
        # The port alone first: nearly all of a broker's start passes before it listens.
        _, writer = await open_stream(str(self._url.hostname), self._url.port or 0)
        writer.close()
        await self._log_in()

    async def _log_in(self) -> None:
        # Imported when a broker listens, because the library costs the supervisor more time than all the rest.
        import aiormq

        try:
            connection = await aiormq.connect(self.target)
        except (OSError, aiormq.exceptions.AMQPError) as error:
            raise NotReady(str(error) or type(error).__name__) from None
        await connection.close()
