"""Figures in the text format of Prometheus, as numbers that a test can ask for by name and labels."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Self

_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?[0-9]+)?")
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")


class Metrics:
    """All samples of one scrape: name and labels to a number."""

    def __init__(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self._samples = samples

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the text format. Raises `ValueError` for a line that is not of it."""
        lines = (line.strip() for line in text.splitlines())
        return cls(dict(_sample(line) for line in lines if line and not line.startswith("#")))

    @property
    def names(self) -> frozenset[str]:
        """The names of all samples."""
        return frozenset(name for name, _ in self._samples)

    def value(self, name: str, /, **labels: str) -> float:
        """Give the sum of all samples of a name that have these labels; 0 when there is none."""
        return sum(self.each(name, **labels).values())

    def each(self, name: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """Give the samples of a name that have these labels, each by all of its labels."""
        wanted = frozenset(labels.items())
        return {found: value for (its, found), value in self._samples.items() if its == name and wanted <= found}


def _sample(line: str) -> tuple[tuple[str, frozenset[tuple[str, str]]], float]:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line[:100]!r} is no sample of the text format")
    name, labels, value = match.groups()
    return (name, frozenset(_labels(labels or ""))), float(value)


def _labels(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise ValueError(f"{text[:100]!r} are no labels of the text format")
        yield match[1], _ESCAPED.sub(_plain, match[2])
        position = match.end()


def _plain(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]
