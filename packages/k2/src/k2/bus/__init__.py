"""Kafka: topics, codecs, the producer with its spool, dead letters, gaps."""

from k2.bus.codecs import Codec, Decoded, Rejected
from k2.bus.gaps import Gap
from k2.bus.kafka import connection, dead_letters_of, ensure_topics

__all__ = ["Codec", "Decoded", "Gap", "Rejected", "connection", "dead_letters_of", "ensure_topics"]
