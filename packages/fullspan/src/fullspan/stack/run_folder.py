"""Where one stack keeps what it needs while it runs: `var/run/NAME`."""

import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunFolder"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a stack by its name; logs and events stay after the stack has gone, for people to read."""

    var: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.var / "run" / self.name

    @property
    def state(self) -> Path:
        """What runs, for everybody who wants to know; for the owner only."""
        return self.path / "state.json"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        return self.path / "control.sock"

    @property
    def lock(self) -> Path:
        """Held by the supervisor and its janitor as long as either lives; never removed."""
        return self.path / "lock"

    @property
    def undo(self) -> Path:
        """What the janitor has to undo."""
        return self.path / "undo.jsonl"

    @property
    def events(self) -> Path:
        """What happened, as a timeline."""
        return self.path / "events.jsonl"

    @property
    def supervisor_log(self) -> Path:
        """What supervisor and janitor say when something is wrong with themselves."""
        return self.path / "supervisor.log"

    @property
    def components(self) -> Path:
        """The folders of all components."""
        return self.path / "components"

    def component(self, component: str) -> Path:
        """Return the folder of one component."""
        return self.components / component

    def log(self, component: str) -> Path:
        """Return the file of what one component wrote to its standard output and error."""
        return self.path / "logs" / f"{component}.log"

    def make_new(self) -> None:
        """Begin with nothing of an earlier run; the lock, which is held, stays."""
        shutil.rmtree(self.components, ignore_errors=True)
        shutil.rmtree(self.path / "logs", ignore_errors=True)
        for path in (self.undo, self.events, self.state, self.control):
            path.unlink(missing_ok=True)
        (self.path / "logs").mkdir(parents=True)

    def clear(self) -> None:
        """Remove what nobody needs once the stack has gone."""
        shutil.rmtree(self.components, ignore_errors=True)
        for path in (self.undo, self.state, self.control):
            path.unlink(missing_ok=True)
