"""The probe that is content when a URL is answered with success."""

import contextlib
import ssl
from typing import Final
from urllib.parse import urlsplit

from fullspan.errors import UsageError
from fullspan.stack.probes.base import NotReady, Probe
from fullspan.stack.probes.connect import open_stream

__all__ = ["HttpProbe"]

_DEFAULT_PORT: Final = {"http": 80, "https": 443}


class HttpProbe(Probe):
    """`http: URL`; ready is a status of 200 to 399.

    Spoken by hand: a client library would cost more memory and start-up time than the rest of the supervisor.
    """

    kind = "http"

    def parse(self) -> None:
        """Check that the target is an HTTP address."""
        self._url = urlsplit(self.target)
        if self._url.scheme not in _DEFAULT_PORT or not self._url.hostname:
            raise UsageError(f"The probe `http: {self.target}` is no address.", "Write http://HOST:PORT/PATH.")

    async def check(self) -> None:
        """Ask once, and look at the status."""
        url = self._url
        if url.scheme == "https" and self.tls is None:
            self.tls = ssl.create_default_context()
        tls = self.tls if url.scheme == "https" else None
        reader, writer = await open_stream(str(url.hostname), url.port or _DEFAULT_PORT[url.scheme], tls)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            line = (await reader.readline()).decode("latin-1")
        except OSError as error:
            raise NotReady((error.strerror or str(error)).lower()) from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        _check_status(line)


def _check_status(line: str) -> None:
    words = line.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise NotReady("the answer was no HTTP")
    if not 200 <= int(words[1]) < 400:
        raise NotReady(f"answered {' '.join(words[1:])}")
