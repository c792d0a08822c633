"""The rules of the audit, one module each: what it is called, and what it finds in a file."""

from fullspan.audit.rules import always_true, any_error, mock_success, no_assertion, sleep, swallowed
from fullspan.audit.rules.rule import RULES, Found, Rule

__all__ = ["RULES", "Found", "Rule", "always_true", "any_error", "mock_success", "no_assertion", "sleep", "swallowed"]
