"""The probe that is content when a MongoDB server lets us in: port, user, password and database together."""

from urllib.parse import urlsplit

from fullspan.errors import UsageError
from fullspan.stack.probes.base import NotReady, Probe
from fullspan.stack.probes.connect import open_stream

__all__ = ["MongoProbe"]

_ANSWER_MS = 2000


class MongoProbe(Probe):
    """`mongo: URL`; logs in and asks the database for its collections."""

    kind = "mongo"

    @property
    def waits_for(self) -> str:
        """The address without user and password."""
        return f"a login at {self._url.scheme}://{self._url.hostname}:{self._url.port}{self._url.path}"

    def parse(self) -> None:
        """Check that the target is the address of a database."""
        self._url = urlsplit(self.target)
        if self._url.scheme != "mongodb" or not self._url.hostname or not self._url.port or len(self._url.path) < 2:
            raise UsageError("The probe `mongo` has no address.", "Write mongodb://USER:PASSWORD@HOST:PORT/DATABASE.")

    async def check(self) -> None:
        """Connect, log in, and ask."""
        # The port alone first: the library is worth its loading time only when somebody listens.
        _, writer = await open_stream(str(self._url.hostname), self._url.port or 0)
        writer.close()
        await self._log_in()

    async def _log_in(self) -> None:
        try:
            from pymongo import AsyncMongoClient
            from pymongo.errors import PyMongoError
        except ImportError:
            raise UsageError("The probe `mongo` needs pymongo.", "pip install 'fullspan[mongodb]'.") from None
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
            self.target, timeoutMS=_ANSWER_MS, directConnection=True
        )
        try:
            await client.get_default_database().list_collection_names()
        except PyMongoError as error:
            raise NotReady(f"{type(error).__name__}") from None
        finally:
            await client.close()
