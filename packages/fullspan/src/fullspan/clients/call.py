"""One call of an HTTP interface as a value: what to send and how to read the answer, without doing either."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import httpx

from fullspan.clients.errors import NotUnderstood, Refused

__all__ = ["Call", "T", "http_options", "retry_after_s"]

T = TypeVar("T")

_OK: Final = frozenset({200})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; `read` makes the result of an answer whose status is among `expected`.

    `repeatable`: a second time adds nothing to the first, also when nobody knows whether that had its effect.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    document: Mapping[str, Any] | None = None
    expected: frozenset[int] = _OK
    repeatable: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def result(self, response: httpx.Response) -> T:
        """Read an answer, or say why it cannot be used."""
        if response.status_code not in self.expected:
            raise _refused(str(self), response)
        try:
            return self.read(response)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotUnderstood(f"the answer to {self} is not what the contract says: {error!r}") from error


def http_options(
    base_url: str, timeout_s: float, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """Return what both clients are made with.

    The authorities that vouch for certificates take long to load; for a server that shows none nobody is trusted.
    """
    verify = tls or httpx.URL(base_url).scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return {
        "base_url": base_url,
        "timeout": timeout_s,
        "trust_env": False,
        "verify": verify,
        "headers": headers,
    }


def _refused(call: str, response: httpx.Response) -> Refused:
    try:
        body = response.json()
    except ValueError:
        body = None
    return Refused(call, response.status_code, body if isinstance(body, dict) else {}, retry_after_s(response))


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds after which the server asks to try again, when it says so."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
