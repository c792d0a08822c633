"""A proxied link whose both ends the test holds in its hands."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import pytest

from fullspan.stack.proxy import LinkProxy

DEADLINE_S = 10


class Peer:
    """One end of a connection."""

    def __init__(self, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.loop = asyncio.get_running_loop()

    async def send(self, data):
        async with asyncio.timeout(DEADLINE_S):
            await self.loop.sock_sendall(self.sock, data)

    async def receive(self, count):
        """Exactly `count` bytes, less only when the stream ends."""
        data = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            while len(data) < count:
                piece = await self.loop.sock_recv(self.sock, count - len(data))
                if not piece:
                    break
                data += piece
        return bytes(data)

    async def until_end(self):
        data = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            while piece := await self.loop.sock_recv(self.sock, 1 << 20):
                data += piece
        return bytes(data)

    async def silent(self, seconds):
        """Whether neither a byte nor an end comes for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.loop.sock_recv(self.sock, 1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self):
        try:
            while await asyncio.wait_for(self.loop.sock_recv(self.sock, 1 << 16), DEADLINE_S):
                pass
        except ConnectionResetError:
            return True
        return False

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Link:
    """A proxy, an upstream that listens, and every socket opened through it."""

    def __init__(self, proxy, listener):
        self.proxy = proxy
        self.listener = listener
        self.peers = []

    async def connect(self):
        """Return (client, upstream), both connected."""
        client = await self.connect_client()
        return client, await self.accept()

    async def accept(self):
        """Return the upstream's end of the next connection."""
        async with asyncio.timeout(DEADLINE_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.peers.append(Peer(sock))
        return self.peers[-1]

    async def connect_client(self):
        sock = socket.create_connection(self.proxy.address, timeout=DEADLINE_S)
        self.peers.append(Peer(sock))
        return self.peers[-1]

    async def settled(self, condition):
        """Wait until `condition(counters)` holds."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self.proxy.counters()):  # noqa: ASYNC110 - counters have no event
                await asyncio.sleep(0.005)
        return self.proxy.counters()


@asynccontextmanager
async def open_link(**options):
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setblocking(False)
    proxy = LinkProxy("a-b", "127.0.0.1", listener.getsockname()[1], **options)
    await proxy.start()
    link = Link(proxy, listener)
    try:
        yield link
    finally:
        for peer in link.peers:
            peer.close()
        await proxy.aclose()
        link.listener.close()


@pytest.fixture
def linked():
    """`async with linked(...) as link`."""
    return open_link


@pytest.fixture
async def link(anyio_backend):
    async with open_link() as opened:
        yield opened
