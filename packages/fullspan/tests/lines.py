"""A way to a shared broker that one test can cut without anybody else noticing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio.from_thread import start_blocking_portal

from fullspan.stack.proxy import CLEAR, LinkProxy, Toxics
from fullspan.testing import RunningRabbitMQ


@dataclass(frozen=True)
class Line:
    """Where the broker can be reached; `cut` resets every connection, now and from now on, until `mend`."""

    amqp_url: str
    _set: Callable[[Toxics], object]

    def cut(self) -> None:
        self._set(Toxics(reset=True))

    def mend(self) -> None:
        self._set(CLEAR)


@contextmanager
def line_to(broker: RunningRabbitMQ) -> Iterator[Line]:
    """Lead to a broker for the length of a block."""
    with start_blocking_portal() as portal:
        link = LinkProxy("test-broker", "127.0.0.1", broker.ports[0])
        portal.call(link.start)
        try:
            url = broker.amqp_url.replace(f":{broker.ports[0]}/", f":{link.address[1]}/")
            yield Line(url, lambda toxics: portal.call(link.set_toxics, toxics))
        finally:
            portal.call(link.aclose)
