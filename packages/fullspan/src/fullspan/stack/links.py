"""The links of a running stack that faults can be put on: those of the stack file, and those made while it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from fullspan.errors import StackError, UsageError, nearest
from fullspan.stack.model import SUITE
from fullspan.stack.proxy import Counters, LinkProxy, Toxics
from fullspan.stack.proxy.toxics import merged
from fullspan.stack.state import LinkState

__all__ = ["Link", "Links"]


class Link:
    """One link: a proxy for each address that it leads to, all with the same toxics.

    A link of the stack file leads to one address; one made at run time leads to as many as were asked for, as each
    job of a server has a port of its own.
    """

    def __init__(self, link_id: str, from_: str, to: str) -> None:
        self.id = link_id
        self.from_ = from_
        self.to = to
        self.layers: dict[str, Toxics] = {}
        """What holds at present, by whoever asked for it; "" is who asked for the link as a whole."""
        self._proxies: dict[tuple[str, int], LinkProxy] = {}

    async def lead_to(self, host: str, port: int) -> tuple[str, int]:
        """Return where to connect to reach an address through this link."""
        proxy = self._proxies.get((host, port))
        if proxy is None:
            proxy = LinkProxy(self.id, host, port)
            await proxy.start()
            proxy.set_toxics(*self.layers.values())
            self._proxies[host, port] = proxy
        return proxy.address

    @property
    def toxics(self) -> Toxics:
        """What all layers come to."""
        layers = list(self.layers.values())
        return layers[0] if len(layers) == 1 else merged(layers)

    def set_toxics(self, toxics: Toxics, layer: str = "") -> None:
        """Make the link bad, on top of what other layers ask for; the same layer replaces itself."""
        self._set({**self.layers, layer: toxics})

    def clear_toxics(self, layer: str) -> None:
        """Take one layer away."""
        self._set({name: toxics for name, toxics in self.layers.items() if name != layer})

    def clear(self) -> None:
        """Make the link clear, whoever made it bad."""
        self._set({})

    def _set(self, layers: dict[str, Toxics]) -> None:
        before = self.layers
        self.layers = layers
        try:
            for proxy in self._proxies.values():
                proxy.set_toxics(*layers.values())
        except StackError:
            self.layers = before
            for proxy in self._proxies.values():
                proxy.set_toxics(*before.values())
            raise

    def counters(self) -> Counters:
        """Return the sums over all its proxies."""
        each = [proxy.counters() for proxy in self._proxies.values()]
        names = [field.name for field in fields(Counters)]
        return Counters(**{name: sum(getattr(counters, name) for counters in each) for name in names})

    def state(self) -> LinkState:
        """Return where it listens and leads to; of several the one made last."""
        upstream, proxy = list(self._proxies.items())[-1]
        return LinkState.model_validate({
            "from": self.from_, "to": self.to, "listen": proxy.address, "upstream": upstream,
        })  # fmt: skip

    async def aclose(self) -> None:
        """Reset what is connected, and listen no more."""
        for proxy in self._proxies.values():
            await proxy.aclose()


class Links(Mapping[str, Link]):
    """All links by their id."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._of_the_file: set[str] = set()

    def __getitem__(self, link_id: str) -> Link:
        if link_id not in self._links:
            raise UsageError(f"The stack has no link {link_id!r} with a proxy.", nearest(link_id, self._links))
        return self._links[link_id]

    def __contains__(self, link_id: object) -> bool:
        return link_id in self._links

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)

    async def open(self, link_id: str, from_: str, to: str, port: int) -> int:
        """Open a link of the stack file; return the port to connect to."""
        link = Link(link_id, from_, to)
        address = await link.lead_to("127.0.0.1", port)
        self._links[link_id] = link
        self._of_the_file.add(link_id)
        return address[1]

    async def lead(self, link_id: str, host: str, port: int) -> tuple[str, int]:
        """Lead a link, made here unless it exists, to one more address; return where to connect instead."""
        if link_id in self._of_the_file:
            raise StackError(f"The link {link_id!r} stands in the stack file and leads to one address only.")
        link = self._links.get(link_id) or Link(link_id, SUITE, f"{host}:{port}")
        address = await link.lead_to(host, port)
        self._links[link_id] = link
        return address

    async def aclose(self) -> None:
        """Close all."""
        for link in self._links.values():
            await link.aclose()
