"""A command that plays a schedule in name only: it fails when certain faults are in it, more or less often.

`double.py NEEDED RATE` fails with exit code 1 if all faults of NEEDED (numbers, with commas between) are in the file
that FULLSPAN_SCHEDULE names, in RATE of 100 cases; `MODE` as a third word makes it do something else instead.
"""

import json
import os
import random
import sys
import time

needed = {int(number) for number in sys.argv[1].split(",") if number}
mode = sys.argv[3] if len(sys.argv) > 3 else ""
with open(os.environ["FULLSPAN_SCHEDULE"]) as file:  # noqa: PTH123 - quicker to start without pathlib
    there = {fault["number"] for fault in json.load(file)["faults"]}
time.sleep(0.05)  # audit: sleep because a trial takes that long
if mode == "hang":
    time.sleep(600)  # audit: sleep because it stands still on purpose
if mode == "child":
    if not os.fork():
        time.sleep(600)  # audit: sleep because it stands still on purpose
    time.sleep(600)  # audit: sleep because it stands still on purpose
if mode == "setup":
    sys.exit("there is no stack")
if needed <= there and random.randrange(100) < int(sys.argv[2]):
    sys.stdout.write(f"FAILED suite.py::test_all - no loss: {random.randrange(10**6)} records lost at row-grpc\n")
    sys.exit(1)
if mode == "other" and random.random() < 0.2:
    sys.stdout.write("FAILED suite.py::test_all - TimeoutError\n")
    sys.exit(1)
