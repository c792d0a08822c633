"""How components run: the base of all drivers, and the one for processes of this machine."""

from fullspan.stack.drivers.base import ACTS, Driver, Ending, Instance, Launch

__all__ = ["ACTS", "Driver", "Ending", "Instance", "Launch"]
