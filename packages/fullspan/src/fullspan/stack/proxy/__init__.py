"""A TCP proxy that sits on a link of a stack, passes its bytes at full speed, and can make the link bad on request."""

from fullspan.stack.proxy.flow import Tamper
from fullspan.stack.proxy.link import LinkProxy
from fullspan.stack.proxy.toxics import CLEAR, Counters, Toxics

__all__ = ["CLEAR", "Counters", "LinkProxy", "Tamper", "Toxics"]
