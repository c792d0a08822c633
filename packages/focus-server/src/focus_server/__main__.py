"""Run the command line with `python -m focus_server`."""

from focus_server.cli import main

main()
