"""The hops: where records are seen pass, at the source, on a broker, in a table, on the wire and on the screen."""

from fullspan.ledger.hops.amqp import AmqpMessage, AmqpTap
from fullspan.ledger.hops.api import ApiRows, ApiTail
from fullspan.ledger.hops.canvas import CanvasReader, Shot
from fullspan.ledger.hops.exchange import ExchangeFrames
from fullspan.ledger.hops.grpc import GrpcStream
from fullspan.ledger.hops.hop import BackgroundHop, Hop, Interruption
from fullspan.ledger.hops.iceberg import IcebergRows
from fullspan.ledger.hops.kafka import KafkaRecord, KafkaTopic
from fullspan.ledger.hops.runner import HopRunner
from fullspan.ledger.hops.websocket import PageFrames

__all__ = [
    "AmqpMessage",
    "AmqpTap",
    "ApiRows",
    "ApiTail",
    "BackgroundHop",
    "CanvasReader",
    "ExchangeFrames",
    "GrpcStream",
    "Hop",
    "HopRunner",
    "IcebergRows",
    "Interruption",
    "KafkaRecord",
    "KafkaTopic",
    "PageFrames",
    "Shot",
]
