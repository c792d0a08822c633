"""The query API: HTTP in front of the lake and its live tail."""

from k2.api.app import create_app

__all__ = ["create_app"]
