"""Opening a TCP connection for a probe, with the cause in words when it fails."""

import asyncio
import ssl

from fullspan.stack.probes.base import NotReady

__all__ = ["open_stream"]


async def open_stream(
    host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; NotReady says why it failed, as `connection refused`."""
    try:
        return await asyncio.open_connection(host, port, ssl=tls)
    except ConnectionRefusedError:
        raise NotReady("connection refused") from None
    except OSError as error:
        raise NotReady((error.strerror or str(error)).lower()) from None
