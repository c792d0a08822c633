"""What a stream promises of its records, and so what counts as a violation."""

from enum import StrEnum

__all__ = ["Guarantee"]


class Guarantee(StrEnum):
    """Content and order are promised by all; they differ in what may be missing and what may come again.

    | guarantee             | missing                            | again     |
    | exactly once          | a violation                        | a violation |
    | at least once         | a violation                        | right     |
    | best effort, marked   | right where the hop said so itself | a violation |

    A record whose outcome is unknown (a request that timed out) may be missing under each, and counts apart.
    """

    EXACTLY_ONCE = "exactly once"
    AT_LEAST_ONCE = "at least once"
    BEST_EFFORT = "best effort with marks"

    @property
    def allows_repeats(self) -> bool:
        """Tell whether a record may be seen again."""
        return self is Guarantee.AT_LEAST_ONCE

    @property
    def allows_marked_loss(self) -> bool:
        """Tell whether a record may be missing that the hop has marked as left out."""
        return self is Guarantee.BEST_EFFORT
