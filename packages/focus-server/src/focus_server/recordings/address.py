"""Where MongoDB is: a URL whose credentials never reach a log, an answer or an error."""

import re
from typing import Final

from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.uri_parser import parse_uri

from focus_server.errors import SettingsError

DEFAULT_DATABASE: Final = "prisma"

_URL: Final = re.compile(r"mongodb(?:\+srv)?://(?:[^@/?#]*@)?([^@/?#\s]+)(?:/([^/?#]*))?(?:\?[^#]*)?", re.ASCII)
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
_HOSTS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_FORBIDDEN: Final = frozenset({13, 18})
"""MongoDB's codes Unauthorized and AuthenticationFailed."""


class MongoAddress:
    """A MongoDB URL with its database, `prisma` when it names none; it shows itself as hosts and ports.

    Raises `SettingsError` when the URL is none.
    """

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        database = (match[2] if match else None) or DEFAULT_DATABASE
        hosts = match[1].split(",") if match else [""]
        well_formed = all(map(_HOSTS.fullmatch, hosts)) and _DATABASE.fullmatch(database)
        if not well_formed or not _driver_takes(url):
            raise SettingsError(
                "The setting mongo_url is not of the form mongodb://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS, or has "
                "an option that does not exist; signs of user and password that mean something in a URL become %XX."
            )
        self.url = url
        self.database = database
        self._shown = ",".join(hosts)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"MongoAddress({self._shown})"


def _driver_takes(url: str) -> bool:
    """Say whether the driver understands the URL; one with +srv it could judge only by asking the DNS."""
    if url.startswith("mongodb+srv:"):
        return True
    try:
        parse_uri(url, validate=True, warn=False)
    except (PyMongoError, ValueError, TypeError):
        return False
    return True


def explain(error: BaseException) -> str:
    """Say in one sentence why MongoDB cannot be used; it holds neither address nor credentials."""
    match error:
        case OperationFailure(code=code) if code in _FORBIDDEN:
            return "MongoDB refuses the user or the password; correct the setting mongo_url."
        case TimeoutError() | NetworkTimeout() | ExecutionTimeout() | WaitQueueTimeoutError():
            return "MongoDB does not answer in time; start it again, or wait until it does."
        case ServerSelectionTimeoutError() | AutoReconnect() | OSError():
            return "MongoDB cannot be reached; start it, or correct the setting mongo_url."
        case OperationFailure(code=code):
            return f"MongoDB refused a command (code {code}); its log says why."
        case ConfigurationError():
            return "The setting mongo_url has an option that MongoDB's driver does not take; correct it."
    return f"MongoDB cannot be used now ({type(error).__name__})."
