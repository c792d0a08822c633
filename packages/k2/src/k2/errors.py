"""Every error that this package raises on purpose.

K2Error               what happened, to what, and what to do, in one sentence
├── SettingsError     a setting, its file or its environment variable is wrong
├── CodecError        a frame or a message that cannot be used; it goes to the dead letters with its `reason`
├── BusError          Kafka or the schema registry cannot be used
│   └── SpoolDown     the disk takes no record now; its user waits and tries again
├── FeedError         the exchange cannot be used any more: its retries are spent
├── QueryError        a question that cannot be answered as it is asked
└── LakeError         a table that cannot be used as it is
    ├── LakeDown      the catalogue or the warehouse does not answer now; its user waits and tries again
    └── NotCommitted  a commit that did not happen, or of which nobody knows; its writer reloads and starts over
"""

from typing import Literal

__all__ = [
    "BusError",
    "CodecError",
    "FeedError",
    "K2Error",
    "LakeDown",
    "LakeError",
    "NotCommitted",
    "QueryError",
    "SettingsError",
    "SpoolDown",
]


class K2Error(Exception):
    """The root; its text is meant for a person and never holds a secret."""


class SettingsError(K2Error):
    """A setting cannot be used; the text names the setting and where its value came from."""


class CodecError(K2Error):
    """What cannot be read or written: the reason in one or two words, for programs, and the text for a person.

    Reasons: `malformed`, `missing`, `value`, `precision`, `unknown_event`, `unknown_schema`, `empty`.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class BusError(K2Error):
    """Kafka or the schema registry does not answer, or refuses; the text never holds credentials."""


class SpoolDown(BusError):  # noqa: N818 - a state that passes, not a defect
    """The spool's disk takes nothing now; nothing of the record is in the spool."""


class FeedError(K2Error):
    """The feed has tried as often as it may and ends; the text says what it tried last."""


class QueryError(K2Error):
    """A question that cannot be answered: the reason in one word, for programs, and the text for a person.

    Reasons: `column`, `value`, `time`, `memory`, `files`.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class LakeError(K2Error):
    """A table of the lake is not in the state that K2 left it in; the text names the command that helps."""


class LakeDown(LakeError):  # noqa: N818 - a state that passes, not a defect
    """The catalogue or the warehouse cannot be used now."""


class NotCommitted(LakeError):  # noqa: N818 - an outcome that passes, not a defect
    """Rows were not committed: `outcome` is `conflict` (somebody else committed first) or `unknown`."""

    def __init__(self, outcome: Literal["conflict", "unknown"], sentence: str) -> None:
        super().__init__(sentence)
        self.outcome = outcome
