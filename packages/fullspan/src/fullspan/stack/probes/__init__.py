"""When a component is ready: the base of all probes, and waiting with a deadline."""

from fullspan.stack.probes.base import NotReady, Probe
from fullspan.stack.probes.wait import wait_ready

__all__ = ["NotReady", "Probe", "wait_ready"]
