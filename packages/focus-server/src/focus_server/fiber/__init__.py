"""The fibre: live blocks and announcements on AMQP, the interrogator that plays a recording, and its sample."""

from focus_server.fiber.announcement import FiberAnnouncement, announcement_key
from focus_server.fiber.blocks import Block, Message, decode, encode, group_count, group_range, routing_key
from focus_server.fiber.grid import FiberGrid

__all__ = [
    "Block",
    "FiberAnnouncement",
    "FiberGrid",
    "Message",
    "announcement_key",
    "decode",
    "encode",
    "group_count",
    "group_range",
    "routing_key",
]
