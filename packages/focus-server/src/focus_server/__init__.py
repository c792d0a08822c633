"""An open Focus Server for distributed acoustic sensing: a fibre's live spectrograms over gRPC and in the browser."""

__all__ = ["__version__"]

__version__ = "0.1.0"
