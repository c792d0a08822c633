"""The hops: where records are seen pass, on the broker, on the wire, in the browser and on the screen."""

from fullspan.ledger.hops.amqp import AmqpMessage, AmqpTap
from fullspan.ledger.hops.canvas import CanvasReader, Shot
from fullspan.ledger.hops.grpc import GrpcStream
from fullspan.ledger.hops.hop import BackgroundHop, Hop, Interruption
from fullspan.ledger.hops.runner import HopRunner
from fullspan.ledger.hops.websocket import PageFrames

__all__ = [
    "AmqpMessage",
    "AmqpTap",
    "BackgroundHop",
    "CanvasReader",
    "GrpcStream",
    "Hop",
    "HopRunner",
    "Interruption",
    "PageFrames",
    "Shot",
]
