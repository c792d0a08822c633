"""Run the command line with `python -m fullspan`."""

from fullspan.cli import main

main()
