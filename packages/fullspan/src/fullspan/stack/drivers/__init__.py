"""How components run: the base of all drivers, and the one for processes of this machine."""

from fullspan.stack.drivers.base import Driver, Ending, Instance, Launch

__all__ = ["Driver", "Ending", "Instance", "Launch"]
