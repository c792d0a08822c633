"""Typed clients of the systems that fullspan proves."""

from fullspan.clients.errors import (
    ClientError,
    NothingCame,
    NotUnderstood,
    OutcomeUnknown,
    Refused,
    StreamLost,
    Unreachable,
)
from fullspan.clients.focus import FocusClient
from fullspan.clients.focus_answers import ChannelRange, Grid, Health, Job, JobSummary, LiveMetadata
from fullspan.clients.focus_async import AsyncFocusClient
from fullspan.clients.focus_commands import AsyncFocusCommands, Colormap, FocusCommands
from fullspan.clients.focus_pull import Pulled, PulledBlock, PulledRow
from fullspan.clients.focus_requests import OlderWishes, Wishes, configure_document, older_document
from fullspan.clients.focus_rows import Row, rows_of
from fullspan.clients.focus_stream import (
    AsyncStreamReader,
    StreamCall,
    StreamReader,
    open_stream,
    read_stream,
    read_stream_async,
)
from fullspan.clients.focus_watch import AsyncWatch, StateFrame, Watch
from fullspan.clients.k2 import K2Client
from fullspan.clients.k2_answers import K2Health, Page, Quote, Readiness, Trade
from fullspan.clients.k2_async import AsyncK2Client
from fullspan.clients.metrics import Metrics
from fullspan.clients.pandadatastream_pb2 import DataStream, StreamDataRequest

__all__ = [
    "AsyncFocusClient",
    "AsyncFocusCommands",
    "AsyncK2Client",
    "AsyncStreamReader",
    "AsyncWatch",
    "ChannelRange",
    "ClientError",
    "Colormap",
    "DataStream",
    "FocusClient",
    "FocusCommands",
    "Grid",
    "Health",
    "Job",
    "JobSummary",
    "K2Client",
    "K2Health",
    "LiveMetadata",
    "Metrics",
    "NotUnderstood",
    "NothingCame",
    "OlderWishes",
    "OutcomeUnknown",
    "Page",
    "Pulled",
    "PulledBlock",
    "PulledRow",
    "Quote",
    "Readiness",
    "Refused",
    "Row",
    "StateFrame",
    "StreamCall",
    "StreamDataRequest",
    "StreamLost",
    "StreamReader",
    "Trade",
    "Unreachable",
    "Watch",
    "Wishes",
    "configure_document",
    "older_document",
    "open_stream",
    "read_stream",
    "read_stream_async",
    "rows_of",
]
