"""The bundle: one run on disk."""

from fullspan.bundle.bundle import Bundle
from fullspan.bundle.records import (
    SCHEMA,
    Attachment,
    FaultRecord,
    Figure,
    FindingRecord,
    ResultsRecord,
    RunRecord,
    TestRecord,
    TotalsRecord,
)
from fullspan.bundle.redaction import Redaction

__all__ = [
    "SCHEMA",
    "Attachment",
    "Bundle",
    "FaultRecord",
    "Figure",
    "FindingRecord",
    "Redaction",
    "ResultsRecord",
    "RunRecord",
    "TestRecord",
    "TotalsRecord",
]
