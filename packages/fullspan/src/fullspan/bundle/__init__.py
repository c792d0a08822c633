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
from fullspan.bundle.violations import StageRecord, ViolationRecord, ViolationsRecord
from fullspan.redaction import Redaction

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
