"""The probe that is content when the component has logged something."""

import re

from fullspan.errors import UsageError
from fullspan.stack.probes.base import NotReady, Probe

__all__ = ["LogProbe"]


class LogProbe(Probe):
    """`log: PATTERN`, a regular expression; what earlier runs of the component logged does not count."""

    kind = "log"

    @property
    def waits_for(self) -> str:
        """The pattern."""
        return f"a log line with {self.target!r}"

    def parse(self) -> None:
        """Check that the target is a regular expression."""
        try:
            self._pattern = re.compile(self.target)
        except re.error as error:
            raise UsageError(f"The probe `log: {self.target}` is no regular expression: {error}.") from error

    async def check(self) -> None:
        """Look at what has been logged so far."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            text = log.read()
        if any(self._pattern.search(line) for line in text.decode("utf-8", errors="replace").splitlines()):
            return
        # Whole lines need not be looked at again; the last one may go on.
        self.log_start += text.rfind(b"\n") + 1
        raise NotReady("not logged yet")
