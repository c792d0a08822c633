"""What is remembered of the fibre: rolling files, the catalogue that finds them, and the recorder that writes both."""

from focus_server.recordings.entry import RecordingEntry

__all__ = ["RecordingEntry"]
