"""A real browser for suites: which executable, and the flags that make it quiet, exact and local."""

import os
from typing import Final, TypedDict
from urllib.parse import urlsplit

from fullspan.errors import UsageError
from fullspan.settings import Settings
from fullspan.stack.services.executables import Executable

__all__ = ["CHROMIUM", "LaunchOptions", "check_installed", "launch_options"]

CHROMIUM: Final = Executable(
    "Chromium",
    "FULLSPAN_CHROMIUM_EXECUTABLE",
    ("/usr/bin/chromium",),
    ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "chromium",
    "--version",
)
_FLAGS: Final = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class LaunchOptions(TypedDict):
    """What Playwright's `chromium.launch` takes."""

    executable_path: str
    args: list[str]


def check_installed() -> None:
    """Raise a StackError that names the Debian package when there is no browser."""
    CHROMIUM.find(Settings.load().chromium_executable)


def launch_options(page: str = "http://127.0.0.1/") -> LaunchOptions:
    """Return how to launch the browser for pages of one server.

    Root can run Chromium only without its sandbox; then a page that is not of this machine is a UsageError.
    """
    flags = list(_FLAGS)
    if os.geteuid() == 0:
        if urlsplit(page).hostname not in _LOOPBACK:
            raise UsageError(
                f"As root the browser runs without its sandbox, so it opens no page of another machine: {page}.",
                "Run as an ordinary user.",
            )
        flags.append("--no-sandbox")
    return LaunchOptions(executable_path=CHROMIUM.find(Settings.load().chromium_executable), args=flags)
