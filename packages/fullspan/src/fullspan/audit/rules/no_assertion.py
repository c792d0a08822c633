"""A test that asserts nothing passes whatever the system does, short of an exception."""

from collections.abc import Iterator

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Source
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]


@rule("no-assertion", "Assert a value that the system must give.")
def look(source: Source, vocabulary: Vocabulary) -> Iterator[Found]:
    """Find tests that neither assert nor call anything that does."""
    for test in source.tests():
        if not vocabulary.asserts(test):
            yield test, "the test asserts nothing, nor does anything that it calls."
