"""One recording's samples, read from its file; what is not there is told apart from what is zero."""

from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focus_server.errors import RecordingError
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.prodml import gap_table, open_recording, raw_data

__all__ = ["RecordingFile"]

Samples = NDArray[Any]
Missing = NDArray[np.bool_]


class RecordingFile:
    """An open recording. Samples are numbered on the fibre's grid, channels from 1, both channel ends included."""

    def __init__(self, entry: RecordingEntry) -> None:
        """Open the file. Raises `RecordingError` when it is gone, broken, or another recording than the entry's."""
        self._name = entry.path or entry.uuid
        with ExitStack() as stack:
            file = stack.enter_context(open_recording(entry.file()))
            self._raw = raw_data(file)
            self._gaps = gap_table(file)
            attributes = file["Acquisition"].attrs
            if attributes.get("focus_uuid") != entry.uuid:
                raise RecordingError(f"The file {self._name} holds another recording than the catalogue says.")
            self.first_sample = int(attributes["focus_first_sample"])
            if self._raw.shape[1] != entry.channels or self._raw.dtype != np.dtype(entry.dtype).newbyteorder("<"):
                raise RecordingError(f"The file {self._name} has other channels or samples than the catalogue says.")
            self.end_sample = self.first_sample + len(self._raw)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def read(
        self, first_sample: int, end_sample: int, first_channel: int, last_channel: int
    ) -> tuple[Samples, Missing | None]:
        """Read [channel, time], and which of it is missing (None: nothing); both may be views with any strides.

        The range must lie within the recording. Raises `RecordingError` when the file is broken.
        """
        begin, end = first_sample - self.first_sample, end_sample - self.first_sample
        if not 0 <= begin <= end <= len(self._raw):
            raise RecordingError(f"Samples {first_sample} to {end_sample} are not in {self._name}.")
        try:
            samples = self._raw[begin:end, first_channel - 1 : last_channel]
        except (OSError, RuntimeError, ValueError) as error:
            raise RecordingError(f"The file {self._name} is broken: {' '.join(str(error).split())}.") from None
        return samples.T, self._missing(first_sample, end_sample, first_channel, last_channel)

    def _missing(self, first_sample: int, end_sample: int, first_channel: int, last_channel: int) -> Missing | None:
        gaps = self._gaps
        touches = (gaps[:, 0] < end_sample) & (gaps[:, 1] > first_sample)
        touches &= (gaps[:, 2] <= last_channel) & (gaps[:, 3] >= first_channel)
        if not touches.any():
            return None
        missing = np.zeros((last_channel - first_channel + 1, end_sample - first_sample), np.bool_)
        for begin, end, low, high in gaps[touches].tolist():
            channels = slice(max(0, low - first_channel), max(0, high + 1 - first_channel))
            missing[channels, max(0, begin - first_sample) : max(0, end - first_sample)] = True
        return missing
