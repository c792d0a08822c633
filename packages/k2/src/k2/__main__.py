"""Run the command line with `python -m k2`."""

from k2.cli import main

main()
