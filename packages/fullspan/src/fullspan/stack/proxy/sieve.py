"""Packets that are lost for real: the kernel drops them as they arrive, before TCP has seen them.

A socket filter (classic BPF) on a socket of the proxy draws for each packet whether TCP may have it. What follows is
the kernel's own: no acknowledgement, retransmissions, backing off, connections that time out. The filter dies with its
socket, so there is nothing to clean up, and no other connection of the machine can be hit. A filter on a listener
concerns the packets that open connections.
"""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Sequence
from typing import Final

__all__ = ["Sieve", "why_not"]

# Numbers of Linux (asm-generic/socket.h, filter.h, sock_diag.h) that Python has no names for.
_ATTACH: Final = 26
_DETACH: Final = 27
_MEMINFO: Final = 55
_MEMINFO_SIZE: Final = 9 * 4
_DROPS: Final = 8
_LOAD_RANDOM: Final = (0x20, 0, 0, 0xFFFFF000 + 56)
_KEEP: Final = (0x06, 0, 0, 0xFFFFFFFF)
_DROP: Final = (0x06, 0, 0, 0)
_JUMP_IF_AT_LEAST: Final = 0x35
_ALL: Final = 2**32

Instruction = tuple[int, int, int, int]


def _program(share: float) -> Sequence[Instruction]:
    """Return what drops a share (0 to 1) of all packets, drawn anew for each."""
    drops = round(share * _ALL)
    if drops >= _ALL:
        return (_DROP,)
    return _LOAD_RANDOM, (_JUMP_IF_AT_LEAST, 0, 1, drops), _KEEP, _DROP


def _attach(sock: socket.socket, share: float) -> None:
    program = _program(share)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HP", len(program), ctypes.addressof(code)))


def _detach(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _dropped(sock: socket.socket) -> int:
    """Return how many packets the kernel has kept from a socket."""
    memory = sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, _MEMINFO_SIZE)
    return int(struct.unpack_from("=I", memory, _DROPS * 4)[0])


def why_not() -> str | None:
    """Return why packets cannot be dropped here, None if they can; nothing is changed."""
    with socket.socket() as sock:
        try:
            _attach(sock, 0.5)
            _dropped(sock)
        except OSError as error:
            return f"this kernel lets this user put no filter on a socket ({error.strerror})"
    return None


class Sieve:
    """What lets packets through to the sockets of one direction, or drops a share of them; and counts these."""

    def __init__(self) -> None:
        self.share = 0.0
        self._before: dict[socket.socket, int] = {}
        self._sockets: set[socket.socket] = set()
        self._counted = 0
        self._used = False

    def set(self, share: float) -> None:
        """Drop this share (0 to 1) of the packets that arrive from now on; OSError where the kernel cannot."""
        if share == self.share:
            return
        self.share = share
        self._used = True
        for sock in self._sockets:
            self._apply(sock)

    def add(self, sock: socket.socket) -> None:
        """Take in a socket; one that was accepted has the filter of its listener from before."""
        self._sockets.add(sock)
        if self._used:
            self._apply(sock)

    def remove(self, sock: socket.socket) -> None:
        """Let go of a socket that is about to be closed."""
        if sock in self._sockets:
            self._count(sock)
            self._sockets.discard(sock)
            self._before.pop(sock, None)

    def dropped(self) -> int:
        """Return how many packets were dropped so far."""
        for sock in list(self._before):
            self._count(sock)
        return self._counted

    def _apply(self, sock: socket.socket) -> None:
        self._count(sock)
        if self.share:
            _attach(sock, self.share)
            self._before[sock] = _dropped(sock)
        else:
            self._before.pop(sock, None)
            _detach(sock)

    def _count(self, sock: socket.socket) -> None:
        """Take in what was dropped since the last look; the kernel's counter has 32 bits and may come round."""
        if sock not in self._before:
            return
        with contextlib.suppress(OSError):
            now = _dropped(sock)
            self._counted += (now - self._before[sock]) % _ALL
            self._before[sock] = now
