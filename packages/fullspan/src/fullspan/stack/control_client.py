"""HTTP to the supervisor of a stack, on the UNIX socket of its control interface."""

import sys
from types import ModuleType
from typing import Final, cast

# For its own command line the library would load all of this, where it is installed, which takes as long as the rest.
_FINERY: Final = tuple(name for name in ("rich", "pygments") if name not in sys.modules)
sys.modules.update({name: cast(ModuleType, None) for name in _FINERY})
try:
    from httpx import Client, HTTPError, HTTPTransport, Timeout, TransportError
finally:
    for _name in _FINERY:
        del sys.modules[_name]

__all__ = ["Client", "HTTPError", "Timeout", "TransportError", "control_client"]


def control_client(socket: str, timeout_s: float) -> Client:
    """Make a client; `socket` is the path of the UNIX socket."""
    # verify: a UNIX socket has no certificate, and those of all authorities take a while to load.
    transport = HTTPTransport(verify=False, uds=socket)
    return Client(transport=transport, base_url="http://stack", timeout=timeout_s)
