"""The stack: what is brought up, how its parts run, and what notices when one ends."""
