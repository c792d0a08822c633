"""A way to the broker that can be closed, for one program alone: the broker itself serves others meanwhile.

A broker tells its clients where it is, so what it says on this way is changed: it names the way's own port.
"""

import socket
import threading
from contextlib import suppress

_HOST = "127.0.0.1"
_HEAD = 4


class Way:
    """Carries bytes between clients and a broker while it is open; `bootstrap` is its address, whether open or not."""

    def __init__(self, broker_port):
        self._to = broker_port
        self._listener = None
        self._lines = set()
        self._lock = threading.Lock()
        with socket.create_server((_HOST, 0)) as found:
            self.port = found.getsockname()[1]

    @property
    def bootstrap(self):
        return f"{_HOST}:{self.port}"

    def open(self):
        self._listener = socket.create_server((_HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self):
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            lines, self._lines = self._lines, set()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                broker = socket.create_connection((_HOST, self._to))
            except OSError:
                return
            with self._lock:
                self._lines |= {client, broker}
            if self._listener is not listener:  # closed meanwhile
                client.close()
                broker.close()
                return
            for pump, source, to in ((self._there, client, broker), (self._back, broker, client)):
                threading.Thread(target=self._carry, args=(pump, source, to), daemon=True).start()

    def _carry(self, pump, source, to):
        with suppress(OSError), source:
            pump(source, to)
        with suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._lines.discard(source)

    def _there(self, client, broker):
        while part := client.recv(2**16):
            broker.sendall(part)

    def _back(self, broker, client):
        """Carry whole answers, each its length and its content, with the way's port in place of the broker's."""
        his, mine = (_HOST.encode() + port.to_bytes(4, "big") for port in (self._to, self.port))
        with broker.makefile("rb") as answers:
            while len(head := answers.read(_HEAD)) == _HEAD:
                content = answers.read(int.from_bytes(head, "big"))
                client.sendall(head + content.replace(his, mine))
