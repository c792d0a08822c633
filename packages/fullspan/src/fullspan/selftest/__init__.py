"""The check on the checker: defects planted on purpose, each of which must be found for what it is."""
