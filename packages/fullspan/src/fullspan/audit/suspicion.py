"""A suspicion: one place in a suite that cannot fail, or that waits for nothing; why, and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Suspicion"]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One finding of a rule; `test` is the function that it lies in, `because` the reason for which it may stay."""

    rule: str
    file: str
    line: int
    test: str
    message: str
    remedy: str
    because: str | None = None

    def __str__(self) -> str:
        inside = f" in {self.test}" if self.test else ""
        return f"{self.file}:{self.line}: {self.rule}{inside}: {self.message} {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """Return the suspicion as plain JSON values."""
        return asdict(self)
