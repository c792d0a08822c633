"""K2, a market data pipeline from exchange to lake, exactly once."""

__all__ = ["__version__"]

__version__ = "0.1.0"
