"""fullspan proves a streaming system end to end: from the source of a record to the screen, while parts of it fail."""

__all__ = ["__version__"]

__version__ = "0.1.0"
