"""Every error that this package raises on purpose.

FocusError            what happened, to what, and what to do, in one sentence
├── SettingsError     a setting, its file or its environment variable is wrong
├── BlockError        a message of the live fibre that cannot be used; its reader counts it and goes on
├── CommandError      a command to a job that is not obeyed; it is laid aside with its reason
├── RecordingError    a recording that is gone, broken or not to be opened; its reader treats it as a gap
└── CatalogueDown     MongoDB cannot be used now; live views never depend on it

`focus_server.contract.Refusal` is not an error of this tree: it is an answer to a client.
"""

__all__ = ["BlockError", "CatalogueDown", "CommandError", "FocusError", "RecordingError", "SettingsError"]


class FocusError(Exception):
    """The root; its text is meant for a person and never holds a secret."""


class SettingsError(FocusError):
    """A setting cannot be used; the text names the setting and where its value came from."""


class BlockError(FocusError):
    """A live block or an announcement of the fibre that is damaged or of a schema that nobody here knows."""


class CommandError(FocusError):
    """A command that is not obeyed: the reason in one or two words, for programs, and the text for a person."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class RecordingError(FocusError):
    """A recording that is gone, broken, of an unknown schema, or that lies outside its base path."""


class CatalogueDown(FocusError):  # noqa: N818 - a state that passes, not a defect
    """MongoDB cannot be reached or does not answer in time; the text never holds its credentials."""
