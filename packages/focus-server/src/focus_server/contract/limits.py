"""The numbers of the contract that clients rely on, each in one place."""

from typing import Final

NFFT_VALUES: Final = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
DEFAULT_NFFT: Final = 1024
DEFAULT_DURATION_S: Final = 10.0

MAX_CHANNELS: Final = 2222
MAX_FREQUENCY: Final = 1000.0
"""Hz; a band may be asked for up to here, the part above fs/2 is clipped."""
MIN_FREQUENCY_SPAN: Final = 1.0
"""Hz."""

MAX_HEIGHT: Final = 2**31 - 1
"""Lines; there are not more row numbers."""
MAX_DURATION_S: Final = 31_622_400.0
"""A year of 366 days."""
MIN_PLAYRATE: Final = 0.001
MAX_PLAYRATE: Final = 1e6
"""Times real time; beyond it a recording is played as fast as it can be anyway."""

MAX_OVERLAP: Final = 0.98
MIN_LINES_PER_SECOND: Final = 0.1
"""A line that takes longer than ten seconds would outgrow the samples that the analyzer keeps."""
WATERFALL_LINES_PER_SECOND: Final = 20

MOST_LINES_PER_HEIGHT: Final = 4
"""A historic view of more than so many lines for each one that is shown gets fewer, unless a rate was asked for."""

MAX_STREAMS: Final = 3
"""Streams of a multichannel job; the other views have one."""

WAITING_FOR_FIBER: Final = "waiting for fiber"
"""What `sw_version` and `fiber_description` say, and what a refusal names, while no live block has arrived."""

JOB_ID_PATTERN: Final = r"[0-9]{1,2}-[0-9]{1,18}"
"""`<window>-<serial>`; anything else cannot be a job."""

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""Header of POST /configure: repeating a request with the same key makes no second job."""
IDEMPOTENCY_KEY_PATTERN: Final = r"[\x21-\x7e]{1,128}"

TASK_ID_PATTERN: Final = r"[A-Za-z0-9_-]{1,256}"
"""What a client of the older form names its job by."""
TASK_KEY: Final = "task:"
"""Begins the key of a job that was made for a task_id. Such a key keeps one job: another request replaces it."""

VIEWER: Final = "X-Viewer"
"""Header of POST /configure: who asks. One viewer has at most so many jobs as there are windows."""
VIEWER_PATTERN: Final = IDEMPOTENCY_KEY_PATTERN
