"""What clients and browsers speak to: REST, the WebSocket bridge and LiveView."""

from focus_server.api.app import create_app

__all__ = ["create_app"]
