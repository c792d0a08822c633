"""Ten percent loss by rule on a pair of virtual interfaces, between two network namespaces, as root only.

On a loopback interface nothing can really be lost, so here the packets of real interfaces are; TCP itself is asked what
it had to repeat. Who may not make a namespace is told what the fault says then.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys

import pytest

from fullspan.stack.proxy import Toxics
from fullspan.stack.proxy.sieve import why_not

pytestmark = pytest.mark.anyio
MESSAGES, SIZE = 3000, 100

CLIENT = """
import json, socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(int(sys.argv[3])):
        sock.sendall(number.to_bytes(4, "big") * 25)
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""
    # struct tcp_info: tcpi_total_retrans lies behind 8 bytes and 23 numbers of 4 bytes.
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    print(json.dumps({"repeated": struct.unpack_from("=I", info, 100)[0]}))
"""


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def namespace():
    """A network namespace with one end of a pair; gives its name and the address of our end."""
    if os.geteuid() != 0:
        pytest.skip(f"only root may make a network namespace; of a link's loss the fault says: {why_not()}")
    tag = secrets.token_hex(3)
    name, ours, theirs = f"fs-{tag}", f"fs{tag}a", f"fs{tag}b"
    net = f"10.{int(tag[:2], 16)}.{int(tag[2:4], 16)}"
    ip("netns", "add", name)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        ip("addr", "add", f"{net}.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "addr", "add", f"{net}.2/30", "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        yield name, f"{net}.1"
    finally:
        # Its end of the pair goes with it, and with that ours.
        ip("netns", "delete", name)


@pytest.mark.parametrize("loss", [0.1, 0.0])
async def test_what_is_lost_on_real_interfaces_is_repeated_and_nothing_is_missing(linked, namespace, loss):
    name, address = namespace
    async with linked(listen_host=address) as link:
        link.proxy.set_toxics(Toxics(loss=loss, direction="up"))
        host, port = link.proxy.address
        client = subprocess.Popen(  # noqa: ASYNC220 - returns as soon as it is loaded
            ["ip", "netns", "exec", name, sys.executable, "-c", CLIENT, host, str(port), str(MESSAGES)],
            stdout=subprocess.PIPE,
        )
        try:
            server = await link.accept()
            got = await server.receive(MESSAGES * SIZE)
            assert await server.until_end() == b""
            server.half_close()
            said = json.loads(await asyncio.to_thread(client.stdout.readline))
        finally:
            client.kill()
            client.communicate()
        lost = link.proxy.counters().lost_packets
    assert got == b"".join(number.to_bytes(4, "big") * 25 for number in range(MESSAGES))
    if loss:
        assert lost > 0
        assert said["repeated"] > 0
    else:
        assert lost == 0
