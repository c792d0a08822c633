"""Typed clients of the systems that fullspan proves."""

from fullspan.clients.errors import ClientError, NotUnderstood, OutcomeUnknown, Refused, Unreachable
from fullspan.clients.focus import AsyncFocusClient, FocusClient
from fullspan.clients.focus_answers import ChannelRange, Grid, Health, Job, LiveMetadata
from fullspan.clients.focus_calls import configure_document
from fullspan.clients.focus_stream import StreamCall, open_stream
from fullspan.clients.pandadatastream_pb2 import DataStream, StreamDataRequest

__all__ = [
    "AsyncFocusClient",
    "ChannelRange",
    "ClientError",
    "DataStream",
    "FocusClient",
    "Grid",
    "Health",
    "Job",
    "LiveMetadata",
    "NotUnderstood",
    "OutcomeUnknown",
    "Refused",
    "StreamCall",
    "StreamDataRequest",
    "Unreachable",
    "configure_document",
    "open_stream",
]
