"""The command line of K2."""

import click

from k2 import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="k2")
def main() -> None:
    """K2, a market data pipeline: exchange to Kafka to Iceberg to query API.

    This version carries the package and its version only; the pipeline itself is not part of it yet.
    """


if __name__ == "__main__":
    main()
