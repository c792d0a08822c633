"""From gRPC to the browser: one gRPC stream per stream of a job feeds all WebSocket viewers of it."""

from focus_server.api.bridge.bridge import Bridge
from focus_server.api.bridge.trunk import TrunkLimits
from focus_server.api.bridge.viewer import End, Viewer, ViewerLimits

__all__ = ["Bridge", "End", "TrunkLimits", "Viewer", "ViewerLimits"]
