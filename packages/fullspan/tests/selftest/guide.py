"""The tables of the self-test's guide are made from the defects themselves."""

import os
from pathlib import Path

GUIDE = Path(__file__).parents[4] / "docs" / "selftest.md"


def must_stand_in_the_guide(system: str, table: str) -> None:
    """Hold the guide's table of one system against what is planted; FULLSPAN_WRITE_GUIDE=1 writes it anew."""
    begin, end = f"<!-- {system} -->\n", f"<!-- end of {system} -->"
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(begin)
    old, _, after = rest.partition(end)
    if os.environ.get("FULLSPAN_WRITE_GUIDE"):
        GUIDE.write_text(before + begin + table + end + after, encoding="utf-8")
    else:
        assert old == table
