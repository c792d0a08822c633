"""The recorder: from the broker's queue to rolling files; a block is acknowledged when its file is on the disk."""

from focus_server.recordings.recorder.recorder import Recorder

__all__ = ["Recorder"]
