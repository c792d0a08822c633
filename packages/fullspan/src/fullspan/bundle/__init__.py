"""The bundle: one run on disk."""

from fullspan.bundle.bundle import Bundle, newest_bundle
from fullspan.bundle.records import (
    SCHEMA,
    Attachment,
    DebtRecord,
    FaultRecord,
    FaultSpan,
    Figure,
    FindingRecord,
    LayerRecord,
    LinkRecord,
    LogErrorRecord,
    RecoveryRecord,
    ResultsRecord,
    RunRecord,
    TestRecord,
    TotalsRecord,
)
from fullspan.bundle.redaction import Redaction
from fullspan.bundle.violations import StageRecord, ViolationRecord, ViolationsRecord

__all__ = [
    "SCHEMA",
    "Attachment",
    "Bundle",
    "DebtRecord",
    "FaultRecord",
    "FaultSpan",
    "Figure",
    "FindingRecord",
    "LayerRecord",
    "LinkRecord",
    "LogErrorRecord",
    "RecoveryRecord",
    "Redaction",
    "ResultsRecord",
    "RunRecord",
    "StageRecord",
    "TestRecord",
    "TotalsRecord",
    "ViolationRecord",
    "ViolationsRecord",
    "newest_bundle",
]
