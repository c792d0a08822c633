"""The bundle: one run on disk."""

from fullspan.bundle.bundle import Bundle
from fullspan.bundle.records import (
    SCHEMA,
    Attachment,
    DebtRecord,
    FaultRecord,
    Figure,
    FindingRecord,
    LayerRecord,
    RecoveryRecord,
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
    "DebtRecord",
    "FaultRecord",
    "Figure",
    "FindingRecord",
    "LayerRecord",
    "RecoveryRecord",
    "Redaction",
    "ResultsRecord",
    "RunRecord",
    "TestRecord",
    "TotalsRecord",
]
