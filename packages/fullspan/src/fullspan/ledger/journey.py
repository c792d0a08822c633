"""What should have happened: the hops that a record must pass, and what it must look like at each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Journey", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One hop of a journey: the keys that must be seen there and, where it is known, their content.

    A record can depend on several keys of a hop (a row on the blocks that it is made of), and a key can serve several
    records. `digest` is the expected content: of the only key, or of each key by name. Where it is absent, the content
    must equal that at the previous hop, if both hops have one key for the record and both saw a digest. `tolerance` is
    the largest deviation that is still right, in the unit of the observations' `deviation`.
    """

    hop: str
    keys: Sequence[str]
    digest: str | Mapping[str, str] | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise TypeError(f"the keys of stage {self.hop} are the text {self.keys!r}; give a sequence of keys")
        if not self.keys:
            raise ValueError(f"stage {self.hop} names no key; a record that leaves no trace there has no such stage")
        if isinstance(self.digest, str) and len(self.keys) > 1:
            raise ValueError(f"stage {self.hop} has {len(self.keys)} keys and one digest; give each key its own")

    def expected_digest(self, key: str) -> str | None:
        """Return the content that a key must have here, None where it is not known."""
        return self.digest if self.digest is None or isinstance(self.digest, str) else self.digest.get(key)


@dataclass(frozen=True, slots=True)
class Journey:
    """One record's way from its source to its end: its stages in order."""

    key: str
    stages: Sequence[Stage]

    def __post_init__(self) -> None:
        hops = [stage.hop for stage in self.stages]
        if not hops or len(set(hops)) < len(hops):
            raise ValueError(f"record {self.key} must pass at least one hop, and each only once, not {hops}")
